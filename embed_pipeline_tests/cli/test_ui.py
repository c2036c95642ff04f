"""The web UI, driven by a real Chromium."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from embed_pipeline_tests.browser import CHROMIUM, FLAGS, WHY_NOT
from embed_pipeline_tests.ports import free_port

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home whose first three assets are materialized."""
    folder = tmp_path_factory.mktemp("ui")
    (folder / "corpus").mkdir()
    for name in ("valve", "drum", "cradle"):
        text = (
            f"# The {name}\n\nThe {name} is checked every spring. "
            + f"Grease the {name} with K2 before the first launch. " * 6
        )
        (folder / "corpus" / f"{name}.md").write_text(text)
    command = [sys.executable, "-m", "embed_pipeline.cli", "run", "--to", "passages"]
    done = subprocess.run(
        [*command, "--corpus", str(folder / "corpus"), "--home", str(folder / "home")],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "home"


@pytest.fixture(scope="module")
def url(home) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "embed_pipeline.cli", "ui", "--home", str(home), "--port", str(port)]
    command += ["--corpus", str(home.parent / "corpus")]
    with (home.parent / "ui.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ}, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, server, home.parent / "ui.log")
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            if httpx.get(f"{address}/server_info", timeout=5, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"the web UI did not answer within 120 s: {log.read_text()}")


def test_graph_and_materialization(url, tmp_path):
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1200})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)

        page.goto(f"{url}/asset-groups")
        for group in ("corpus", "sdg", "prep", "finetune", "eval", "export", "deploy"):
            expect(page.locator("svg").get_by_text(group, exact=True).first).to_be_visible()

        page.goto(f"{url}/assets/passages?view=events")
        expect(page.get_by_text("dagster/row_count").first).to_be_visible(timeout=60_000)
        expect(page.get_by_text("computed", exact=True).first).to_be_visible()
        expect(page.get_by_text("passage_id").first).to_be_visible()
        page.get_by_text("[Show Markdown]").first.click()
        chart = page.locator("img[src^='data:image/svg+xml']").first
        expect(chart).to_be_visible()
        assert chart.evaluate("image => image.naturalWidth") > 100
        page.screenshot(path=str(tmp_path / "passages.png"))
        browser.close()
