"""The process that searches: started when needed, gone when nobody searches, told about when it dies."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from embed_pipeline.errors import UserError, WebUIError
from embed_pipeline.settings.snapshot import write_snapshot
from embed_pipeline.webui.workers import Worker
from embed_pipeline_tests.processes import wait_until
from embed_pipeline_tests.searchable import Searchable, searchable

ASK = {"do": "search", "query": "lion", "k": 3}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Searchable:
    return searchable(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def engine(home) -> Iterator[Worker]:
    snapshot = write_snapshot(home.settings(), home.folder)
    running = Worker(home.home, lambda: snapshot)
    yield running
    running.close()


def test_it_starts_with_the_first_question_and_stays_for_the_next(engine):
    assert engine.pid is None
    assert len(engine.ask(ASK)["systems"]) == 4
    first = engine.pid
    assert engine.doing == ""
    assert len(engine.ask(ASK)["systems"]) == 4
    assert engine.pid == first
    engine.close()
    assert not psutil.pid_exists(first)
    with pytest.raises(UserError, match="the query is empty"):  # and it starts again
        engine.ask({**ASK, "query": " "})


def test_it_ends_when_nobody_searches(home):
    snapshot = write_snapshot(home.settings(), home.folder)
    engine = Worker(home.home, lambda: snapshot, idle=1.0)
    engine.ask({"do": "suggestions"})
    pid = engine.pid
    wait_until(lambda: engine.pid is None, 30)
    wait_until(lambda: not psutil.pid_exists(pid), 30)
    engine.close()


def test_one_that_is_killed_at_work_is_told_and_the_next_is_another(engine):
    engine.ask({"do": "suggestions"})
    child = psutil.Process(engine.pid)
    child.suspend()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(engine.ask, ASK)
        wait_until(engine._lock.locked, 10)
        child.kill()
        with pytest.raises(WebUIError, match="search again"):
            asked.result(30)
    assert engine.ask({"do": "suggestions"})["log"] is False


def test_other_settings_begin_another(home):
    chosen = [write_snapshot(home.settings(), home.folder)]
    engine = Worker(home.home, lambda: chosen[0])
    assert engine.ask({"do": "suggestions"})["log"] is False
    log = home.folder / "log.txt"
    log.write_text("lion\n")
    chosen[0] = write_snapshot(home.settings(f"eval.query_log={log}"), home.folder)
    assert engine.ask({"do": "suggestions"})["log"] is True
    engine.close()


def test_it_ends_with_the_process_that_started_it(home):
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom embed_pipeline.webui.workers import Worker\n"
        "engine = Worker(Path(sys.argv[1]), lambda: Path(sys.argv[2]))\n"
        "engine.ask({'do': 'suggestions'})\nprint(engine.pid, flush=True)\ntime.sleep(600)\n"
    )
    snapshot = write_snapshot(home.settings(), home.folder)
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(home.home), str(snapshot)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait(10)
    wait_until(lambda: not psutil.pid_exists(pid), 30)
    parent.stdout.close()


def test_the_process_of_the_page_loads_no_model_and_no_table():
    script = "import sys\nimport embed_pipeline.webui.page_server\nprint(*sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded & {"torch", "polars", "dagster", "faiss", "bm25s", "transformers", "pyarrow"} == set()
