"""What a person does in the web UI, in a real browser: materialize, edit a document, mend what is stale, try."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.history import History
from embed_pipeline_tests.browser import CHROMIUM, WHY_NOT, chromium
from embed_pipeline_tests.processes import wait_until
from embed_pipeline_tests.webui.served import Ui, corpus_of, serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)

GROUP = "locations/embed_pipeline/asset-groups/corpus/lineage"
MINUTE = 60_000


@pytest.fixture(scope="module")
def ui(tmp_path_factory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("journey")
    with serving(folder, "--corpus", str(corpus_of(folder))) as running:
        yield running


def run_by(ui: Ui, before: set[str]) -> str:
    """The run that was started, ended well."""
    wait_until(lambda: set(ui.runs()) - before, 60, ui.runs)
    (run_id,) = set(ui.runs()) - before
    assert ui.finished(run_id) == "SUCCESS"
    return run_id


def outcomes(ui: Ui, run_id: str) -> dict[str, str]:
    return {name: one["outcome"] for name, one in History(ui.home).of(run_id)["assets"].items()}


@pytest.mark.timeout(600)
def test_materialize_edit_see_and_take_care_of_it(ui):
    from playwright.sync_api import expect

    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(MINUTE)
        expect.set_options(timeout=MINUTE)

        page.goto(f"{ui.url}/{GROUP}")
        page.get_by_role("button", name="Materialize all").click()
        assert set(outcomes(ui, run_by(ui, set())).values()) == {"computed"}

        document = ui.folder / "corpus" / "valve.md"
        document.write_text(document.read_text() + "\n\nA valve that sticks is turned by hand, never by force.\n")
        page.goto(f"{ui.url}/assets/documents?view=checks")
        expect(page.get_by_text("Failed", exact=True).first).to_be_visible()  # within a minute, without a click
        page.get_by_text("up_to_date").first.click()
        expect(page.get_by_text("follows corpus_manifest").first).to_be_visible()

        page.goto(f"{ui.url}/{GROUP}")
        expect(page.get_by_text(re.compile("Unsynced")).first).to_be_visible()
        before = set(ui.runs())
        page.get_by_role("button", name="Materialize all").locator("xpath=following::button[1]").click()
        page.get_by_role("menuitem", name=re.compile("unsynced", re.I)).click()
        page.get_by_role("button", name=re.compile("^Materialize")).last.click()
        assert outcomes(ui, run_by(ui, before)) == {"corpus_manifest": "computed"}  # Dagster's own looks one asset far

        before = set(ui.runs())
        page.goto(f"{ui.url}/{GROUP}")
        page.get_by_role("button", name="Materialize all").click()
        assert outcomes(ui, run_by(ui, before)) == {
            "corpus_manifest": "reused",
            "documents": "computed",
            "passages": "computed",
        }


def test_a_run_with_overrides_leaves_the_home_as_it_is(ui):
    store = Store(ui.home)
    before = store.pointer("passages")
    run_id = ui.launch("passages", overrides=("corpus.passage_tokens=40",))
    assert ui.finished(run_id) == "SUCCESS"
    assert outcomes(ui, run_id) == {"passages": "computed"}
    assert store.pointer("passages") == before
    assert store.of_run(run_id, "passages").version != before["version"]


def test_gc_beside_a_run_of_the_web_ui_waits_for_nobody_and_takes_nothing(ui):
    run_id = ui.launch("corpus_manifest", "documents", "passages", overrides=("corpus.passage_tokens=50",))
    gc = [sys.executable, "-m", "embed_pipeline.cli", "gc", "--home", str(ui.home)]
    said = subprocess.run(gc, cwd=Path(ui.folder), capture_output=True, text=True, timeout=120)
    assert said.returncode in (0, 2), said.stderr
    assert said.returncode == 0 or f"run {run_id[:8]}" in said.stderr
    assert ui.finished(run_id) == "SUCCESS"
