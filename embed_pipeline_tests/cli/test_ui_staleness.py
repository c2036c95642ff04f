"""The web UI as users start it: an edited document shows by itself, and a run takes care of it."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from embed_pipeline_tests.processes import wait_until
from embed_pipeline_tests.webui.served import Ui, corpus_of, serving

ASSETS = ("corpus_manifest", "documents", "passages")
STATUS = """
query Status($keys: [AssetKeyInput!]) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    staleStatus
    assetChecksOrError {
      ... on AssetChecks {
        checks { name executionForLatestMaterialization { evaluation { success severity description } } }
      }
    }
  }
}
"""


@pytest.fixture(scope="module")
def ui(tmp_path_factory) -> Iterator[Ui]:
    """Of a home whose first three assets are made; the corpus is named as it is from where the user stands."""
    folder = tmp_path_factory.mktemp("ui_staleness")
    corpus_of(folder)
    named = ("--set", "corpus.path=corpus")
    command = [sys.executable, "-m", "embed_pipeline.cli", "run", "--to", "passages", "--home", "home", *named]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    with serving(folder, *named) as running:
        yield running


def nodes(ui: Ui) -> dict[str, Any]:
    found = ui.graphql(STATUS, {"keys": [{"path": [name]} for name in ASSETS]})["assetNodes"]
    return {node["assetKey"]["path"][-1]: node for node in found}


def stale(ui: Ui) -> dict[str, str]:
    return {name: node["staleStatus"] for name, node in nodes(ui).items() if node["staleStatus"] != "FRESH"}


def reasons(ui: Ui) -> dict[str, str]:
    """What the check of each asset says, where it is not up to date."""
    found = {}
    for name, node in nodes(ui).items():
        (check,) = (one for one in node["assetChecksOrError"]["checks"] if one["name"] == "up_to_date")
        execution = check["executionForLatestMaterialization"]
        if execution is not None and not execution["evaluation"]["success"]:
            assert execution["evaluation"]["severity"] == "WARN"
            found[name] = execution["evaluation"]["description"]
    return found


def wait_until_fresh(ui: Ui) -> None:
    wait_until(lambda: not stale(ui) and not reasons(ui), 60, lambda: (stale(ui), reasons(ui)))


def test_an_edited_document_shows_within_a_minute_and_a_run_leaves_nothing_stale(ui):
    wait_until_fresh(ui)
    document = ui.folder / "corpus" / "valve.md"
    document.write_text(document.read_text().replace("valve", "valve OA-7"))
    wait_until(lambda: stale(ui) == {"corpus_manifest": "STALE"}, 60, lambda: stale(ui))
    wait_until(lambda: len(reasons(ui)) == 3, 10, lambda: reasons(ui))
    assert reasons(ui) == {
        "corpus_manifest": "corpus changed",
        "documents": "follows corpus_manifest",
        "passages": "follows documents",
    }
    assert ui.finished(ui.launch(*ASSETS), 170) == "SUCCESS"
    wait_until_fresh(ui)
