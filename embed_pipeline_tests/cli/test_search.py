"""``embed-pipeline search QUERY`` as somebody types it."""

import json
import subprocess
import sys

import pytest

from embed_pipeline_tests.searchable import Searchable, searchable


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Searchable:
    return searchable(tmp_path_factory.mktemp("typed"))


def typed(home: Searchable, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "embed_pipeline.cli", "search", *words, *home.options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=home.folder)


def test_a_comparison_to_read_without_control_codes_of_the_passages(home):
    done = typed(home, "bold lion river", "--k", "3")
    assert done.returncode == 0, done.stderr
    hybrid = "BM25 and the tuned model fused by scores: BM25 weighs"
    for line in ("The base model: ", "The tuned model: checkpoint ", "BM25 alone: ", hybrid):
        assert line in done.stdout
    assert "<script>" in done.stdout  # it is text here
    assert "\x1b" not in done.stdout
    assert "only here" in done.stdout


def test_as_json(home):
    found = json.loads(typed(home, "lion", "--k", "2", "--json").stdout)
    assert [len(system["hits"]) for system in found["systems"]] == [2, 2, 2, 2]
    shown = {hit["passage_id"] for system in found["systems"] for hit in system["hits"]}
    assert shown == set(found["passages"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["  "], "the query is empty"),
        (["lion", "--k", "0"], "--k"),
        (["lion", "--home", "elsewhere"], "no passages yet"),
    ],
)
def test_what_cannot_be_done_is_one_line(home, words, said):
    done = typed(home, *words) if "--home" not in words else without_passages(home, words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def without_passages(home: Searchable, words: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "embed_pipeline.cli", "search", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=home.folder)
    assert not (home.folder / "elsewhere").exists()
    return done
