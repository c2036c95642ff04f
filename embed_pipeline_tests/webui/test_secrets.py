"""A secret of the environment reaches the endpoint it is for, and nothing else: no file, no answer, no log."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from embed_pipeline_tests.llm.chat_server import serving as chatting
from embed_pipeline_tests.llm.chat_server import status
from embed_pipeline_tests.sdg.author import Author
from embed_pipeline_tests.webui.served import Ui, corpus_of, serving

KEY, OTHER = "sk-7f3c9a-of-the-endpoint", "hunter2-of-something-else"
ASSETS = ("corpus_manifest", "documents", "passages", "qa_candidates")
EVERYTHING = """
query Everything($run: ID!) {
  instance { info runLauncher { name } daemonHealth { allDaemonStatuses { daemonType } } }
  workspaceOrError { ... on Workspace { locationEntries {
    displayMetadata { key value }
    locationOrLoadError { ... on RepositoryLocation {
      environmentPath dagsterLibraryVersions { name version }
      repositories {
        allTopLevelResourceDetails { name configuredValues { key value } configFields { name defaultValueAsJson } }
        assetNodes { opVersion description metadataEntries { label description } configField { configType { key } } }
        jobs { name runTags { key value } }
      }
    } }
  } } }
  utilizedEnvVarsOrError(repositorySelector: {
    repositoryLocationName: "embed_pipeline", repositoryName: "__repository__"
  }) { ... on EnvVarWithConsumersList { results { envVarName } } }
  runOrError(runId: $run) { ... on Run { runConfigYaml tags { key value } executionPlan { steps { key } } } }
  logsForRun(runId: $run, limit: 1000) { ... on EventConnection { events {
    ... on MessageEvent { message }
    ... on MaterializationEvent { metadataEntries { label description ... on TextMetadataEntry { text }
      ... on PathMetadataEntry { path } ... on MarkdownMetadataEntry { mdStr }
      ... on JsonMetadataEntry { jsonString } } }
    ... on ExecutionStepFailureEvent {
      error { message stack causes { message stack } } failureMetadata { description } }
  } } }
}"""


@pytest.fixture(scope="module")
def model():
    """A chat endpoint that writes questions until it is told to refuse, and then shows the key it was given."""
    author = Author()
    refuses: list[bool] = []

    def answer(number, body):
        if refuses:
            return status(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})
        return author(number, body)

    with chatting(answer) as server:
        server.refuses = refuses
        yield server


@pytest.fixture(scope="module")
def ui(tmp_path_factory, model) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("secrets")
    options = ["--corpus", str(corpus_of(folder))]
    for setting in (f"sdg.llm.base_url={model.url}", "sdg.llm.model=writer", "sdg.llm.max_attempts=1"):
        options += ["--set", setting]
    environment = {"EMBED_PIPELINE_LLM_API_KEY": KEY, "SOME_SERVICE_SECRET": OTHER}
    with serving(folder, *options, **environment) as running:
        yield running


@pytest.fixture(scope="module")
def runs(ui, model) -> tuple[str, str]:
    """A run that asked the model, and one that the model refused."""
    done = ui.launch(*ASSETS)
    assert ui.finished(done) == "SUCCESS"
    model.refuses.append(True)
    refused = ui.launch("qa_candidates", overrides=("sdg.llm.temperature=0.1",))
    assert ui.finished(refused) == "FAILURE"
    return done, refused


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what is packed in a database."""
    yield path.read_bytes()
    if path.suffix == ".db":
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in database.execute(f'SELECT * FROM "{table}"'):
                    for value in row:
                        yield str(value).encode()
                        if isinstance(value, bytes) and value[:1] == b"\x78":
                            yield zlib.decompress(value)


def test_the_endpoint_got_its_key_and_the_log_said_where_text_goes(ui, runs, model):
    assert any(KEY in str(headers) for headers in model.headers)
    events = str(ui.graphql(EVERYTHING, {"run": runs[0]}))
    port = model.url.partition("//")[2].partition("/")[0]
    assert f"text of the corpus is sent to {port} (sdg.llm.base_url)" in events


def test_no_file_of_the_home_and_no_log_holds_a_secret(ui, runs):
    files = [path for path in [*ui.home.rglob("*"), ui.log] if path.is_file()]
    assert {path.suffix for path in files} >= {".db", ".json", ".log", ".parquet", ".err"}
    holding = [path for path in files for data in contents(path) if KEY.encode() in data or OTHER.encode() in data]
    assert holding == []


def test_no_answer_of_the_web_ui_holds_a_secret(ui, runs):
    for run in runs:
        answer = ui.post({"query": EVERYTHING, "variables": {"run": run}})
        assert answer.status_code == 200, answer.text
        assert "qa_candidates" in answer.text
        debug = httpx.get(f"{ui.url}/download_debug/{run}", timeout=60, trust_env=False)
        assert debug.is_success
        unpacked = zlib.decompress(debug.content, wbits=31) if debug.content[:2] == b"\x1f\x8b" else debug.content
        for text in (answer.text, unpacked.decode()):
            assert KEY not in text
            assert OTHER not in text


def test_a_run_is_refused_that_would_send_another_secret_elsewhere(ui, runs, model):
    asked = len(model.bodies)
    for override in ("sdg.llm.api_key_env=SOME_SERVICE_SECRET", "sdg.llm.base_url=http://127.0.0.1:9/v1"):
        run = ui.launch("qa_candidates", overrides=(override,))
        assert ui.finished(run) == "FAILURE"
        assert OTHER not in str(ui.graphql(EVERYTHING, {"run": run}))
    assert len(model.bodies) == asked
