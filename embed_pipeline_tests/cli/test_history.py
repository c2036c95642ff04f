"""``history``: the runs of a home as rows and as a table."""

import json
import os

import pytest
from typer.testing import CliRunner

from embed_pipeline.cli.app import app
from embed_pipeline.cli.history import history_rows
from embed_pipeline.store.history import History

RECORD = {
    "run_id": "aaaa1111-2222",
    "started": "2026-01-02T03:04:05+00:00",
    "status": "succeeded",
    "started_by": "ui",
    "pid": 0,
    "overrides": ["finetune.epochs=7"],
    "assets": {"names": {"outcome": "reused"}, "model": {"outcome": "computed"}},
    "verdict": "ship",
    "ndcg_at_10": {"synthetic": {"base": 0.5, "tuned": 0.61234}},
    "errors": [],
}


@pytest.fixture
def home(tmp_path):
    History(tmp_path).write(RECORD)
    return tmp_path


def test_the_table_tells_what_came_of_each_run(home):
    done = CliRunner().invoke(app, ["history", "--home", str(home)])
    assert done.exit_code == 0
    for word in ("aaaa1111", "ui", "ship", "synthetic 0.5000 -> 0.6123", "experiment: finetune.epochs=7"):
        assert word in done.stdout


def test_as_json_it_is_the_records(home):
    done = CliRunner().invoke(app, ["history", "--json", "--home", str(home)])
    assert json.loads(done.stdout) == {"runs": [RECORD]}


def test_a_run_whose_process_is_gone_was_killed(home):
    History(home).write(RECORD | {"run_id": "b", "status": "started", "pid": 2**22 + 1})
    History(home).write(RECORD | {"run_id": "c", "status": "started", "pid": os.getpid()})
    assert {row["run_id"]: row["status"] for row in history_rows(home)} == {
        "aaaa1111-2222": "succeeded",
        "b": "killed",
        "c": "started",
    }


def test_a_home_without_runs_has_an_empty_table(tmp_path):
    assert CliRunner().invoke(app, ["history", "--home", str(tmp_path)]).exit_code == 0
