"""A gold set that cannot be read is told by the plan and before a run, in one line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from embed_pipeline.cli.app import app
from embed_pipeline.errors import InputError
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import stages, with_upstream
from embed_pipeline.stages.plan import make_plan
from embed_pipeline.stages.questions_read import check_questions
from embed_pipeline.store.artifacts import Store

DOCUMENT = "# Valve OA-7\n\nThe valve releases lift gas when the lung is too full. Turn it left to open it. " * 4


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "valve.md").write_text(DOCUMENT, "utf-8")
    return folder


def gold(folder: Path, qrels: str = "q1\tvalve.md\t1\n", queries: str = '{"_id": "q1", "text": "Who?"}\n') -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "qrels/test.tsv").write_text(qrels, "utf-8")
    (folder / "queries.jsonl").write_text(queries, "utf-8")
    return folder


def checked(tmp_path: Path, corpus: Path, *overrides: str, to: str | None = None) -> None:
    settings = load_settings(None, None, [f"corpus.path={corpus}", *overrides])
    graph = stages(settings)
    names = with_upstream([to], graph) if to else list(graph)
    check_questions(make_plan([graph[name] for name in names], settings, Store(tmp_path / "home")), settings)


@pytest.mark.parametrize("setting", ["eval.gold", "eval.gold_sets.people", "eval.general"])
def test_a_malformed_line_is_told_with_setting_file_and_line(tmp_path: Path, corpus: Path, setting: str) -> None:
    folder = gold(tmp_path / "set", "q1\tvalve.md\t1\nq1\tother.md\tyes\n")
    with pytest.raises(InputError) as told:
        checked(tmp_path, corpus, f"{setting}={folder}")
    assert str(told.value).startswith(f"{setting}: {folder}/qrels/test.tsv, line 2: the score 'yes' is not")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("queries", "qrels", "words"),
    [
        ('{"_id": "q1"}\n', "q1\tvalve.md\t1\n", "queries.jsonl, line 1: needs a text"),
        ('{"_id": "q1", "text": "Who?"}\n', "q2\tvalve.md\t1\n", "test.tsv, line 1: 1 query id not in queries.jsonl"),
        ('{"_id": "q1", "text": "Who?"}\n', "", "no query has a passage"),
        ('{"_id": "q1", "text": " "}\n', "q1\tvalve.md\t1\n", "queries.jsonl, line 1: 1 judged query has no text"),
    ],
)
def test_what_can_be_told_without_passages(tmp_path: Path, corpus: Path, queries: str, qrels: str, words: str) -> None:
    with pytest.raises(InputError) as told:
        checked(tmp_path, corpus, f"eval.gold={gold(tmp_path / 'set', qrels, queries)}")
    assert words in str(told.value)


def test_judgements_are_matched_with_a_corpus_of_its_own_alone(tmp_path: Path, corpus: Path) -> None:
    folder = gold(tmp_path / "set", "q1\tnot made yet#0000\t1\n")
    checked(tmp_path, corpus, f"eval.gold={folder}")
    (folder / "corpus.jsonl").write_text('{"_id": "p1", "text": "x"}\n', "utf-8")
    with pytest.raises(InputError, match=r"eval\.gold: .*test\.tsv, line 1: 1 passage id not in the corpus"):
        checked(tmp_path, corpus, f"eval.gold={folder}")


def test_the_validation_part_is_read_too(tmp_path: Path, corpus: Path) -> None:
    folder = gold(tmp_path / "set")
    (folder / "qrels/dev.tsv").write_text("q1\tvalve.md\t1\n", "utf-8")
    with pytest.raises(InputError, match=r"eval\.gold: .*dev\.tsv: 1 of its questions stand in test\.tsv"):
        checked(tmp_path, corpus, f"eval.gold={folder}")


def test_the_query_log_is_read_too(tmp_path: Path, corpus: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("\n", "utf-8")
    with pytest.raises(InputError, match=r"eval\.query_log .*holds no query"):
        checked(tmp_path, corpus, f"eval.query_log={log}")


def test_a_set_that_no_step_reads_is_left_alone(tmp_path: Path, corpus: Path) -> None:
    folder = gold(tmp_path / "set", "broken")
    checked(tmp_path, corpus, f"eval.gold={folder}", to="documents")


@pytest.mark.parametrize("plan", [["--plan"], []])
@pytest.mark.parametrize("broken", ["missing", "malformed"])
def test_plan_and_run_refuse_it_and_compute_nothing(
    tmp_path: Path, corpus: Path, plan: list[str], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "set"
    if broken == "malformed":
        gold(folder, queries="{\n")
    arguments = ["run", "--corpus", str(corpus), "--home", "home", "--set", f"eval.gold={folder}", *plan]
    found = CliRunner().invoke(app, arguments)
    assert isinstance(found.exception, InputError)
    place = "queries.jsonl, line 1" if broken == "malformed" else "queries.jsonl cannot be read"
    assert "eval.gold" in str(found.exception) and place in str(found.exception)
    assert not list(Path("home").glob("artifacts/*/*/manifest.json"))
