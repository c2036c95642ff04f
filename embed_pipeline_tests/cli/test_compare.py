"""``compare``: what it prints and how it refuses."""

import json

import pytest
from typer.testing import CliRunner

from embed_pipeline.cli.app import app
from embed_pipeline.errors import InputError
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.history import History
from embed_pipeline_tests.store.test_run_comparison import SUMMARY, commit, record


@pytest.fixture
def home(tmp_path):
    store = Store(tmp_path)
    History(tmp_path).write(record("aaaa1111-1", commit(store, SUMMARY), settings={"corpus.path": "/[a]"}))
    History(tmp_path).write(
        record(
            "bbbb2222-2", commit(store, SUMMARY | {"test_set_versions": {"synthetic": "b"}}), git="0" * 40 + "-dirty"
        )
    )
    return tmp_path


def test_everything_that_differs_is_told(home):
    done = CliRunner().invoke(app, ["compare", "aaaa", "bbbb", "--home", str(home)])
    assert done.exit_code == 0, done.output
    words = (
        "aaaa1111",
        "bbbb2222",
        "ship (provisional)",
        "60 s",
        "0.5 usd",
        "corpus.path",
        "/[a]",
        "000000000000-dirty",
    )
    for word in (*words, "synthetic questions: not compared. The questions, judgements or passages"):
        assert word in done.stdout, done.stdout


def test_figures_of_other_questions_do_not_stand_side_by_side(home):
    figures = ("the tuned model", "ndcg@10", "0.6000")
    done = CliRunner().invoke(app, ["compare", "aaaa", "bbbb", "--home", str(home)])
    assert not any(word in done.stdout for word in figures), done.stdout
    same = CliRunner().invoke(app, ["compare", "aaaa", "aaaa", "--home", str(home)])
    assert all(word in same.stdout for word in figures), same.stdout


def test_as_json_it_is_one_object(home):
    done = CliRunner().invoke(app, ["compare", "aaaa", "aaaa", "--json", "--home", str(home)])
    found = json.loads(done.stdout)
    assert found["settings"] == {}
    assert found["test_sets"]["synthetic"]["systems"]["tuned"]["ndcg@10"]["delta"] == 0


def test_an_unknown_run_is_refused(home):
    done = CliRunner().invoke(app, ["compare", "aaaa", "nothing", "--home", str(home)])
    assert isinstance(done.exception, InputError)
