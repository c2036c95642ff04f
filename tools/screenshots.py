"""Takes the pictures of README.md and the documentation from a home that holds a whole run, with Chromium.

    python -m tools.screenshots --home .embed_pipeline --config examples/loft_stations/pipeline.yaml

Writes docs/images/report.png (the report's beginning), docs/images/graph.png (the graph in the web UI) and
docs/images/stale.png (why an asset is stale: a web UI with one setting more).
"""

import argparse
import io
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import httpx

from tools.docs.pages import DOCS, PACKAGE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LARGEST = 150_000  # bytes of a picture
SECONDS = 120  # until the web UI answers


def main() -> None:
    """Take the pictures."""
    from playwright.sync_api import sync_playwright

    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--home", type=Path, default=Path(".embed_pipeline"))
    arguments.add_argument("--config", type=Path, default=Path("examples/loft_stations/pipeline.yaml"))
    given = arguments.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("screenshots need Chromium on the path (Debian: apt-get install chromium)")
    report = _current(given.home.resolve(), "metrics") / "report.html"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        _save(_report(browser, report), DOCS / "images" / "report.png")
        with _web_ui(given.home.resolve(), given.config.resolve()) as url:
            _save(_graph(browser, url), DOCS / "images" / "graph.png")
        with _web_ui(given.home.resolve(), given.config.resolve(), "--set", "finetune.epochs=2") as url:
            _save(_stale(browser, url), DOCS / "images" / "stale.png")
        browser.close()


def _current(home: Path, asset: str) -> Path:
    """Folder of what an asset holds in a home."""
    from embed_pipeline.store.artifacts import Store

    artifact = Store(home).current(asset)
    if artifact is None:
        sys.exit(f"{asset} has not been computed in {home}: run the pipeline first (make demo)")
    return artifact.path


def _report(browser: "Browser", report: Path) -> bytes:
    """Verdict and chart."""
    page = browser.new_page(viewport={"width": 960, "height": 735})
    page.goto(report.as_uri())
    return page.screenshot()


def _graph(browser: "Browser", url: str) -> bytes:
    """The graph with every group opened, without the menus beside it."""
    page = browser.new_page(viewport={"width": 1600, "height": 900})
    page.set_default_timeout(90_000)
    page.goto(f"{url}/asset-groups")
    graph = page.locator("svg")
    graph.get_by_text("corpus", exact=True).first.wait_for()
    page.get_by_text("Hide navigation").click()
    page.get_by_placeholder("Jump to").locator("xpath=following::button[1]").click()
    page.wait_for_timeout(1000)
    page.keyboard.press("Alt+e")  # expand all groups
    graph.get_by_text("endpoint_metrics", exact=True).first.wait_for()
    page.wait_for_timeout(3000)  # until the graph has come to rest
    page.mouse.move(800, 500)
    for _ in range(2):  # past what lies outside of the pipeline, which is drawn above it
        page.mouse.wheel(0, 200)
        page.wait_for_timeout(500)
    return page.screenshot(clip={"x": 0, "y": 0, "width": 1600, "height": 640})


def _stale(browser: "Browser", url: str) -> bytes:
    """The check that says why the checkpoint is stale, as the sensor of the web UI has found it."""
    page = browser.new_page(viewport={"width": 1100, "height": 520})
    page.set_default_timeout(90_000)
    page.goto(f"{url}/assets/checkpoint?view=checks&checkDetail=up_to_date")
    page.get_by_text("setting finetune.epochs changed").first.wait_for()
    page.get_by_text("Hide navigation").click()
    page.wait_for_timeout(2000)
    return page.screenshot()


@contextmanager
def _web_ui(home: Path, config: Path, *options: str) -> Iterator[str]:
    """Address of a web UI that runs inside the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["-m", f"{PACKAGE}.cli", "ui", "--home", str(home), "--config", str(config), "--port", str(port), *options]
    with TemporaryFile() as log:
        server = subprocess.Popen([sys.executable, *words], stdout=log, stderr=log)
        try:
            _wait_for(f"http://127.0.0.1:{port}", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/server_info", timeout=5, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    sys.exit(f"the web UI at {url} did not answer within {SECONDS} s")


def _save(picture: bytes, path: Path) -> None:
    """With a palette of 128 colours, which these pictures are as good in."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(path, optimize=True)
    size = path.stat().st_size
    if size > LARGEST:
        sys.exit(f"{path}: {size} bytes, more than {LARGEST}")
    sys.stdout.write(f"{path}: {size} bytes\n")


if __name__ == "__main__":
    main()
