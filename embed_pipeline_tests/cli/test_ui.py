"""The web UI, driven by a real Chromium."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from embed_pipeline_tests.browser import CHROMIUM, WHY_NOT, chromium
from embed_pipeline_tests.webui.served import Ui, corpus_of, serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)


@pytest.fixture(scope="module")
def ui(tmp_path_factory) -> Iterator[Ui]:
    """Of a home whose first three assets are materialized."""
    folder = tmp_path_factory.mktemp("ui")
    corpus = ("--corpus", str(corpus_of(folder)))
    command = [sys.executable, "-m", "embed_pipeline.cli", "run", "--to", "passages", "--home", str(folder / "home")]
    done = subprocess.run([*command, *corpus], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    with serving(folder, *corpus) as running:
        yield running


def test_graph_and_materialization(ui, tmp_path):
    from playwright.sync_api import expect

    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1600, "height": 1200})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)

        page.goto(f"{ui.url}/asset-groups")
        for group in ("corpus", "sdg", "prep", "finetune", "eval", "export", "deploy"):
            expect(page.locator("svg").get_by_text(group, exact=True).first).to_be_visible()

        page.goto(f"{ui.url}/assets/passages?view=events")
        expect(page.get_by_text("dagster/row_count").first).to_be_visible()
        expect(page.get_by_text("computed", exact=True).first).to_be_visible()
        expect(page.get_by_text("passage_id").first).to_be_visible()
        page.get_by_text("[Show Markdown]").first.click()
        chart = page.locator("img[src^='data:image/svg+xml']").first
        expect(chart).to_be_visible()
        assert chart.evaluate("image => image.naturalWidth") > 100
        page.screenshot(path=str(tmp_path / "passages.png"))
