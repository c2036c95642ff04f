"""The web UI as users start it: an edited document shows by itself, and a run takes care of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from embed_pipeline_tests.ports import free_port

ASSETS = ("corpus_manifest", "documents", "passages")
TEXT = "# The {0}\n\nThe {0} is checked every spring. " + "Grease the {0} with K2 before the first launch. " * 6
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
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
RUN = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


class WebUI:
    """A running ``embed-pipeline ui``, asked as its pages ask it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, query: str, **variables: Any) -> Any:
        sent = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.address}/graphql", json=sent, timeout=60, trust_env=False).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def stale(self) -> dict[str, str]:
        return {name: node["staleStatus"] for name, node in self._nodes().items() if node["staleStatus"] != "FRESH"}

    def reasons(self) -> dict[str, str]:
        """What the check of each asset says, where it is not up to date."""
        found = {}
        for name, node in self._nodes().items():
            (check,) = (one for one in node["assetChecksOrError"]["checks"] if one["name"] == "up_to_date")
            execution = check["executionForLatestMaterialization"]
            if execution is not None and not execution["evaluation"]["success"]:
                assert execution["evaluation"]["severity"] == "WARN"
                found[name] = execution["evaluation"]["description"]
        return found

    def materialize(self) -> str:
        selector = {
            "repositoryLocationName": "embed_pipeline",
            "repositoryName": "__repository__",
            "pipelineName": "pipeline",
            "assetSelection": [{"path": [name]} for name in ASSETS],
        }
        launched = self.ask(LAUNCH, params={"selector": selector, "runConfigData": {}, "mode": "default"})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def status_of(self, run: str) -> str:
        return str(self.ask(RUN, id=run)["runOrError"]["status"])

    def _nodes(self) -> dict[str, Any]:
        keys = [{"path": [name]} for name in ASSETS]
        return {node["assetKey"]["path"][-1]: node for node in self.ask(STATUS, keys=keys)["assetNodes"]}


def wait_until(holds: Any, seconds: float, what: str) -> float:
    """The seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if holds():
            return time.monotonic() - began
        time.sleep(1)
    raise AssertionError(f"after {seconds:g} s still not: {what}")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A corpus whose first three assets are made, in a home beside it."""
    folder: Path = tmp_path_factory.mktemp("ui_staleness")
    (folder / "corpus").mkdir()
    for name in ("valve", "drum", "cradle"):
        (folder / "corpus" / f"{name}.md").write_text(TEXT.format(name))
    command = [sys.executable, "-m", "embed_pipeline.cli", "run", "--to", "passages", "--set", "corpus.path=corpus"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, env=plain_environment())
    assert done.returncode == 0, done.stderr
    return folder / "corpus"


def plain_environment() -> dict[str, str]:
    """Without what commands that other tests ran in this process have left: their home, and who may open it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("EMBED_PIPELINE")}


@pytest.fixture(scope="module")
def ui(corpus) -> Iterator[WebUI]:
    """The folder is named as it is from where the user stands."""
    port, log = free_port(), corpus.parent / "ui.log"
    command = [sys.executable, "-m", "embed_pipeline.cli", "ui", "--port", str(port), "--set", "corpus.path=corpus"]
    with log.open("wb") as file:
        server = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=corpus.parent, start_new_session=True, env=plain_environment()
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: server.poll() is not None or _answers(address), 120, "the web UI answers")
        assert server.poll() is None, log.read_text()
        yield WebUI(address)
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/server_info", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def test_an_edited_document_shows_within_a_minute_without_a_click(ui, corpus):
    wait_until(lambda: not ui.stale() and not ui.reasons(), 60, "everything is fresh")
    (corpus / "valve.md").write_text(TEXT.format("valve OA-7"))
    wait_until(lambda: ui.stale() == {"corpus_manifest": "STALE"}, 60, "corpus_manifest is stale")
    wait_until(lambda: len(ui.reasons()) == 3, 10, "the pages say why")
    assert ui.reasons() == {
        "corpus_manifest": "corpus changed",
        "documents": "follows corpus_manifest",
        "passages": "follows documents",
    }


def test_the_job_leaves_nothing_stale(ui):
    run = ui.materialize()
    wait_until(lambda: ui.status_of(run) in ("SUCCESS", "FAILURE", "CANCELED"), 170, "the run has ended")
    assert ui.status_of(run) == "SUCCESS"
    wait_until(lambda: not ui.stale() and not ui.reasons(), 60, "everything is fresh")
