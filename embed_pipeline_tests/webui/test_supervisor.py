"""``embed-pipeline ui`` as its user sees it: quiet, with the settings of now, and gone without a trace."""

import os
import signal
import socket
import sys
from pathlib import Path

import dagster as dg
import httpx
import psutil
import pytest

from embed_pipeline_tests.processes import wait_until
from embed_pipeline_tests.webui.served import Ui, corpus_of, serving

KEYED = '{ assetNodes(assetKeys: [{path: ["passages"]}]) { opVersion } }'


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    folder = tmp_path_factory.mktemp("supervised")
    (folder / "pipeline.yaml").write_text(f"corpus: {{path: {corpus_of(folder)}}}\n")
    (folder / "dagster.py").write_text("raise SystemExit('a file of the working folder was taken for a module')")
    with serving(folder) as running:
        yield running


def processes(ui: Ui) -> list[psutil.Process]:
    return psutil.Process(ui.process.pid).children(recursive=True)


def version(ui: Ui) -> str:
    return str(ui.graphql(KEYED)["assetNodes"][0]["opVersion"])


def state(ui: Ui) -> dict:
    return httpx.get(f"{ui.url}/embed_pipeline/state", trust_env=False).json()


def settings_are(ui: Ui, text: str) -> None:
    (ui.folder / "pipeline.yaml").write_text(f"corpus: {{path: {ui.folder / 'corpus'}{text}")


def test_the_terminal_has_the_address_and_nothing_else_and_the_log_has_the_rest(ui):
    assert ui.said() == f"web UI: {ui.url}    (Ctrl-C stops it)\n"
    log = ui.home / "dagster" / "ui.log"
    wait_until(lambda: "Instance is configured with the following daemons" in log.read_text(), 30, log.read_text)
    assert (ui.home / "dagster" / "ui.log").stat().st_mode & 0o077 == 0


def test_one_code_server_and_one_web_process(ui):
    roles = [one.cmdline()[4] for one in processes(ui)]
    assert sorted(roles) == ["code", "web"]


def test_a_run_from_the_ui_finishes(ui):
    assert ui.finished(ui.launch("corpus_manifest")) == "SUCCESS"


def test_an_override_of_a_protected_setting_ends_the_run_in_a_line(ui):
    run = ui.launch("corpus_manifest", overrides=("sdg.llm.base_url=http://127.0.0.1:9/v1", "sdg.llm.model=m"))
    assert ui.finished(run) == "FAILURE"
    failures = ui.graphql(
        "query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {"
        "... on RunFailureEvent { error { message } } } } } }",
        {"id": run},
    )
    assert "sdg.llm.base_url decides where data goes" in str(failures)


def test_changed_settings_are_read_and_told_and_runs_use_them(ui):
    before = version(ui)
    settings_are(ui, ", passage_tokens: 64}\n")
    wait_until(lambda: "corpus.passage_tokens: 200 -> 64" in ui.said(), 60, ui.said)
    wait_until(lambda: version(ui) != before, 30)
    assert state(ui)["changes"] == ["corpus.passage_tokens: 200 -> 64"]
    assert ui.finished(ui.launch("corpus_manifest", "documents", "passages")) == "SUCCESS"
    manifests = (ui.home / "artifacts" / "passages").glob("*/manifest.json")
    assert any('"corpus.passage_tokens": 64' in path.read_text() for path in manifests)


def test_settings_that_cannot_be_read_are_told_and_the_old_ones_stay(ui):
    before = version(ui)
    settings_are(ui, ", passage_token: 64}\n")
    wait_until(lambda: "unknown setting corpus.passage_token" in ui.said(), 60, ui.said)
    assert "stay in use" in ui.said()
    assert "did you mean corpus.passage_tokens" in state(ui)["problem"]
    assert version(ui) == before
    settings_are(ui, ", passage_tokens: 64}\n")
    wait_until(lambda: state(ui)["problem"] is None, 30)


def test_a_second_web_ui_of_the_same_home_is_refused(ui):
    second = Ui(ui.folder)
    assert second.process.wait(60) == 2
    assert "another web UI serves this home" in second.said()
    assert ui.runs()


def test_a_settings_file_that_is_removed_no_longer_counts_and_a_run_under_way_goes_on(ui):
    run = ui.launch("corpus_manifest", "documents")
    wait_until(lambda: ui.runs()[run] == "STARTED", 60, ui.runs)
    (ui.folder / "pipeline.yaml").unlink()
    wait_until(lambda: "corpus.passage_tokens: 64 -> 200" in ui.said(), 60, ui.said)
    settings_are(ui, "}\n")
    assert ui.finished(run) == "SUCCESS"


def test_old_code_servers_end_after_their_last_run(ui):
    wait_until(lambda: len(processes(ui)) == 2, 90, lambda: [one.cmdline() for one in processes(ui)])


def test_memory_at_rest(ui):
    """Of all its processes together; shared pages are counted as often as they are shared."""
    all_of_it = sum(one.memory_info().rss for one in [psutil.Process(ui.process.pid), *processes(ui)])
    assert all_of_it < 500e6


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_it_ends_and_a_run_under_way_is_told_as_stopped(tmp_path, monkeypatch, sent):
    corpus = corpus_of(tmp_path)
    for number in range(3000):
        (corpus / f"page_{number}.md").write_text(
            f"# Page {number}\n\n" + f"The crank of page {number} is oiled. " * 40
        )
    with serving(tmp_path, "--verbose", "--corpus", str(corpus)) as ui:
        assert "Instance is configured with the following daemons" in ui.said()
        assert not (ui.home / "dagster" / "ui.log").exists()
        run = ui.launch("corpus_manifest", "documents", "passages")
        wait_until(lambda: ui.runs()[run] == "STARTED", 60, ui.runs)
        started = processes(ui)
        assert len(started) > 2
        assert ui.stop(sent) == (-9 if sent == signal.SIGKILL else 0)
        wait_until(lambda: not any(alive(one) for one in started), 40, lambda: [one for one in started if alive(one)])
    monkeypatch.setenv("DAGSTER_HOME", str(ui.home / "dagster"))
    with dg.DagsterInstance.get() as instance:
        assert instance.get_run_by_id(run).status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_process_that_ends_by_itself_is_told_with_its_last_lines(tmp_path):
    with serving(tmp_path, "--corpus", str(corpus_of(tmp_path))) as ui:
        (code,) = (one for one in processes(ui) if one.cmdline()[4] == "code")
        code.kill()
        assert ui.process.wait(60) == 1
        assert "the code server of the web UI ended by itself (exit code -9)" in ui.said()
        assert str(ui.home / "dagster" / "ui.log") in ui.said()


def test_a_damaged_database_is_named_with_what_to_delete(tmp_path):
    database = tmp_path / "home" / "dagster" / "history" / "runs.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(os.urandom(5000))
    ui = Ui(tmp_path, "--corpus", str(corpus_of(tmp_path)))
    assert ui.process.wait(60) == 2
    assert f"{database}: the database is damaged" in ui.said()
    assert "rm -f" in ui.said()
    assert "list of runs is lost" in ui.said()


def test_a_port_that_somebody_has_is_told_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ui = Ui(tmp_path, "--corpus", str(corpus_of(tmp_path)), "--port", str(port))
        assert ui.process.wait(60) == 2
    assert f"the web UI's port {port} on 127.0.0.1 cannot be used" in ui.said()
    assert "--port N" in ui.said()


def test_wrong_settings_are_an_error_before_anything_starts(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("corpus: {pat: x}")
    ui = Ui(tmp_path)
    assert ui.process.wait(60) == 2
    assert ui.said().startswith(f"error: {Path(tmp_path).resolve() / 'pipeline.yaml'}: unknown setting corpus.pat")
    assert sys.executable not in ui.said()
