"""Sets to measure on know the titles of their passages, wherever those come from."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from embed_pipeline.errors import InputError
from embed_pipeline.evaluation.gold import set_version
from embed_pipeline.files import write_jsonl, write_text
from embed_pipeline.formats.beir import write_judged, write_retrieval_set
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.records import RetrievalSet, passage_text
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages import inputs
from embed_pipeline.stages.inputs import development_set, passages_alone, retrieval_sets, tell_unseen
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline_tests.stages.test_candidates import made

TITLES = {"a.md#0000": "Mooring", "a.md#0001": "", "b.md#0000": "Refunds"}
TEXTS = {"a.md#0000": "Check every line.", "a.md#0001": "Reel it in.", "b.md#0000": "Within a week."}
SEEN = {name: passage_text(TITLES[name], text) for name, text in TEXTS.items()}


@pytest.fixture
def passages(tmp_path: Path) -> Artifact:
    frame = pl.DataFrame({"passage_id": list(TEXTS), "title": list(TITLES.values()), "text": list(TEXTS.values())})
    return made(Store(tmp_path / "home"), "passages", lambda run: run.write_table(frame), "table")


@pytest.fixture
def benchmark(tmp_path: Path) -> Artifact:
    asked = RetrievalSet("synthetic", SEEN, {"q": "lines?"}, {"q": {"a.md#0000": 1}})
    checked = replace(asked, name="validation", queries={"v": "mooring?"}, qrels={"v": {"b.md#0000": 1}})

    def write(run):
        write_retrieval_set(asked, run.folder)
        write_judged(checked, run.folder / "validation", "validation")

    return made(Store(tmp_path / "home"), "beir_benchmark", write)


def gold(folder: Path, passage: str, corpus: list[dict[str, str]] | None = None, development: int = 30) -> Path:
    asked = [{"_id": str(query), "text": "what?"} for query in range(1, development + 2)]
    write_jsonl(folder / "queries.jsonl", asked)
    for split, queries in (("test", range(1, 2)), ("dev", range(2, development + 2))):
        judged = "".join(f"{query}\t{passage}\t1\n" for query in queries)
        write_text(folder / "qrels" / f"{split}.tsv", f"query-id\tcorpus-id\tscore\n{judged}")
    if corpus is not None:
        write_jsonl(folder / "corpus.jsonl", corpus)
    return folder


def test_titles_are_those_of_the_passages(tmp_path, passages, benchmark):
    settings = load_settings(None, None, [f"eval.gold={gold(tmp_path / 'gold', 'b.md#0000')}"], {})
    for found in (*retrieval_sets(settings, benchmark, passages), development_set(settings, benchmark, passages)):
        assert found.titles == {name: title for name, title in TITLES.items() if title}
    assert passages_alone(passages).passages == SEEN
    assert passages_alone(passages).titles == {name: title for name, title in TITLES.items() if title}


def test_enough_questions_of_people_choose_how_the_fusion_weighs_else_reworded_ones(tmp_path, passages, benchmark):
    lines: list[str] = []

    def asked(*changed: str) -> RetrievalSet | None:
        return development_set(load_settings(None, None, list(changed), {}), benchmark, passages)

    people = asked(f"eval.gold={gold(tmp_path / 'gold', 'b.md#0000')}")
    assert (people.name, len(people.queries)) == ("gold", 30)
    with reporting(LogReporter(lines.append)):
        few = asked(f"eval.gold={gold(tmp_path / 'few', 'b.md#0000', development=29)}")
    assert (few.name, few.queries) == ("validation", {"v": "mooring?"})
    assert any("eval.gold: its validation part has 29 questions" in line for line in lines)
    none = asked()
    assert (none.queries, none.passages, none.titles) == (few.queries, SEEN, few.titles)


def test_texts_of_passages_are_read_only_where_something_needs_them(tmp_path, passages, benchmark, monkeypatch):
    read: list[str] = []
    plain = inputs.passage_texts

    def noted(one: Artifact) -> dict[str, str]:
        read.append("texts")
        return plain(one)

    monkeypatch.setattr(inputs, "passage_texts", noted)
    own = [{"_id": "x", "title": "Other", "text": "thing"}]
    with_corpus = f"eval.gold={gold(tmp_path / 'own', 'x', own)}"
    assert len(development_set(load_settings(None, None, [with_corpus], {}), benchmark, passages).queries) == 30
    bare = made(Store(tmp_path / "home"), "beir_benchmark", lambda run: write_text(run.folder / "x", ""))
    assert development_set(load_settings(None, None, (), {}), bare, passages) is None
    assert read == []
    few = f"eval.gold={gold(tmp_path / 'few', 'b.md#0000', development=2)}"
    assert development_set(load_settings(None, None, [few], {}), benchmark, passages).name == "validation"
    assert read == ["texts"], "once for both parts"


def test_a_question_in_both_parts_of_a_gold_set_is_refused(tmp_path, passages, benchmark):
    folder = gold(tmp_path / "gold", "x", [{"_id": "x", "title": "", "text": "thing"}])
    write_text(folder / "qrels" / "dev.tsv", "query-id\tcorpus-id\tscore\n1\tx\t1\n")
    with pytest.raises(InputError, match=r"1 of its questions stand in test\.tsv as well"):
        development_set(load_settings(None, None, [f"eval.gold={folder}"], {}), benchmark, passages)


def test_a_gold_set_with_a_corpus_has_its_own(tmp_path, passages, benchmark):
    own = [{"_id": "a.md#0000", "title": "Other", "text": "thing"}, {"_id": "x", "title": "", "text": "Mooring"}]
    settings = load_settings(None, None, [f"eval.gold={gold(tmp_path / 'gold', 'x', own)}"], {})
    assert retrieval_sets(settings, benchmark, passages)[0].titles == {"a.md#0000": "Other", "x": ""}


def test_a_title_with_which_the_text_does_not_begin_is_none(tmp_path, passages, benchmark):
    own = [{"_id": "a.md#0000", "title": "", "text": "another passage of the same id"}]
    settings = load_settings(None, None, [f"eval.gold={gold(tmp_path / 'gold', 'a.md#0000', own)}"], {})
    assert retrieval_sets(settings, benchmark, passages)[0].titles == {}


def test_long_rows_of_a_gold_set_are_read_in_pieces_where_that_is_asked_for(
    tmp_path: Path, passages: Artifact, benchmark: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = " ".join(f"Sentence number {number} tells of the harbour." for number in range(90))
    rows = [
        {"_id": "long", "title": "Harbour", "text": long},
        {"_id": "short", "title": "Note", "text": "Open at nine."},
    ]
    folder = gold(tmp_path / "gold", "long", rows)
    plain, cut = (
        load_settings(None, None, [f"eval.gold={folder}", *more], {}) for more in ([], ["corpus.split_long_rows=true"])
    )
    first = retrieval_sets(plain, benchmark, passages)[0]
    assert first.pieces == {}
    told: list[str] = []
    monkeypatch.setattr(inputs, "say", told.append)
    tell_unseen(plain, [first])
    assert len(told) == 1
    assert told[0].startswith("warning: 1 of 2 passages of gold are longer than the encoder takes")
    assert "corpus.split_long_rows" in told[0]
    found = retrieval_sets(cut, benchmark, passages)[0]
    assert list(found.pieces) == ["long"]
    assert (found.passages, found.qrels) == (first.passages, first.qrels), "judgements stay those of the rows"
    assert " ".join(piece.removeprefix("Harbour ") for piece in found.pieces["long"]) == long
    assert set_version(found) != set_version(first)
    assert development_set(cut, benchmark, passages).pieces.keys() == {"long"}
