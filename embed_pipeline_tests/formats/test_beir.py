"""BEIR folders: round trip, agreement with BEIR's own loader, and what is refused."""

import json
import tempfile
from pathlib import Path

import pytest
from beir.datasets.data_loader import GenericDataLoader
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.errors import InputError
from embed_pipeline.formats.beir import read_retrieval_set, write_retrieval_set
from embed_pipeline.records import RetrievalSet

ids = st.text(st.characters(exclude_categories=["Cs"])).filter(str.strip) | st.sampled_from(
    [" a", "a", "a ", "a\rb", 'a"b', '"a"', '"a', "a\nb", "a\tb", "query-id", "0", "Q0", "\ufeffa"]
)
texts = st.text(st.characters(exclude_categories=["Cs"])).map(str.strip)


@st.composite
def retrieval_sets(draw: st.DrawFn) -> RetrievalSet:
    passages = draw(st.dictionaries(ids, texts, min_size=1, max_size=5))
    queries = draw(st.dictionaries(ids.map(str.strip), texts.filter(bool), min_size=1, max_size=4))
    relevant = st.dictionaries(st.sampled_from(sorted(passages)), st.integers(1, 3), min_size=1)
    return RetrievalSet("set", passages, queries, {query: draw(relevant) for query in queries})


def write(folder: Path, queries: str, qrels: str, corpus: str | None = None) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text(queries, "utf-8")
    (folder / "qrels/test.tsv").write_text(qrels, "utf-8")
    if corpus is not None:
        (folder / "corpus.jsonl").write_text(corpus, "utf-8")
    return folder


def rows(**texts: str) -> str:
    return "".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in texts.items())


@settings(max_examples=100, deadline=None)
@given(retrieval_sets())
def test_written_folders_read_back_equal_whatever_the_ids(retrieval_set: RetrievalSet) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_retrieval_set(retrieval_set, Path(name))
        found = read_retrieval_set(Path(name), "test", "set")
    assert found.passages == retrieval_set.passages
    assert found.queries == retrieval_set.queries
    assert found.qrels == retrieval_set.qrels


def test_beir_reads_what_is_written(tmp_path: Path) -> None:
    written = RetrievalSet("set", {"a b.md#0000": "one", "two": "zwei 二"}, {"q": "which?"}, {"q": {"two": 2}})
    write_retrieval_set(written, tmp_path)
    corpus, queries, qrels = GenericDataLoader(str(tmp_path)).load(split="test")
    assert corpus == {key: {"text": text, "title": ""} for key, text in written.passages.items()}
    assert (queries, qrels) == (written.queries, written.qrels)


def test_title_joins_text_and_unjudged_queries_are_left_out(tmp_path: Path) -> None:
    corpus = '{"_id": 7, "title": "Skein", "text": "wear limits"}\n\n{"_id": "8", "text": "other"}\n'
    folder = write(tmp_path / "beir", rows(q="a?", zero="b?", none="c?"), "q\t7\t2\nzero\t8\t0\n", corpus)
    found = read_retrieval_set(folder, "test", "gold")
    assert found.passages == {"7": "Skein wear limits", "8": "other"}
    assert found.queries == {"q": "a?"}
    assert found.qrels == {"q": {"7": 2}}


def test_line_separators_inside_text_do_not_end_a_row(tmp_path: Path) -> None:
    folder = write(tmp_path / "b", '{"_id": "q", "text": "a\u2028b\u0085c"}\n', "q\tp\t1\n", rows(p="x"))
    assert read_retrieval_set(folder, "test", "gold").queries == {"q": "a\u2028b\u0085c"}


@pytest.mark.parametrize(
    ("queries", "qrels", "corpus", "message"),
    [
        ('{"_id": "q", "text": "a"}\n{"_id": \n', "q\tp\t1\n", rows(p="x"), "queries.jsonl, line 2: not valid JSON"),
        ('["q"]\n', "q\tp\t1\n", rows(p="x"), "line 1: must be a JSON object with _id and text, not ['q']"),
        ('{"text": "a"}\n', "q\tp\t1\n", rows(p="x"), "line 1: needs an _id"),
        ('{"_id": "q", "text": null}\n', "q\tp\t1\n", rows(p="x"), "line 1: needs a text"),
        ('{"_id": "q", "text": "\\ud800"}\n', "q\tp\t1\n", rows(p="x"), "line 1: 1 judged query has no text"),
        (rows(q="a") * 2, "q\tp\t1\n", rows(p="x"), "line 2: the id 'q' stands already in line 1"),
        (rows(q=" "), "q\tp\t1\n", rows(p="x"), "line 1: 1 judged query has no text: 'q'"),
        (rows(q="a"), "q\tp\t1\n", rows(p="x") * 2, "corpus.jsonl, line 2: the id 'p' stands already in line 1"),
        (rows(q="a"), "q\tp\t1\n", "", "corpus.jsonl: holds no passages"),
        (rows(q="a"), "q\tp\t1\n", '{"_id": "p", "title": 3, "text": ""}', "line 1: needs a title that is text"),
        (rows(q="a"), "q p 1\n", rows(p="x"), "test.tsv, line 1: 1 columns"),
        (rows(q="a"), "q\tp\tyes\n", rows(p="x"), "line 1: the score 'yes'"),
        (rows(q="a"), "q\tp\t1\nq\tp\tscore\n", rows(p="x"), "line 2: the score 'score'"),
        (rows(q="a"), "q\tp\t1\nq\tp\t2\n", rows(p="x"), "line 2: query 'q' and 'p' are judged twice"),
        (rows(q="a"), 'q\t"p" x\t1\n', rows(p="x"), "line 1: 1 passage id not in the corpus: '\"p\" x'"),
        (rows(q="a"), "q\tp\t0\n", rows(p="x"), "no query has a passage with a score above 0"),
        (rows(q="a"), "", rows(p="x"), "no query has a passage with a score above 0"),
        (
            rows(q="a"),
            "q\ta\t1\nq\tb\t1\nq\tc\t1\nq\td\t1\n",
            rows(p="x"),
            "4 passage ids not in the corpus: 'a', 'b', 'c', …",
        ),
        (rows(q="a"), "r\tp\t1\n", rows(p="x"), "test.tsv, line 1: 1 query id not in queries.jsonl: 'r'"),
        (rows(q="a"), "q\tp\t1\n", None, "corpus.jsonl: there is no such file"),
    ],
)
def test_bad_folders_are_refused(tmp_path: Path, queries: str, qrels: str, corpus: str | None, message: str) -> None:
    folder = write(tmp_path / "beir", queries, qrels, corpus)
    with pytest.raises(InputError) as refused:
        read_retrieval_set(folder, "test", "gold")
    assert message in str(refused.value)
    assert str(folder) in str(refused.value)


@pytest.mark.parametrize("missing", ["queries.jsonl", "qrels/test.tsv"])
def test_missing_and_undecodable_files_are_named(tmp_path: Path, missing: str) -> None:
    folder = write(tmp_path / "beir", rows(q="a"), "q\tp\t1\n", rows(p="x"))
    (folder / missing).write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=f"{missing}, line 1: not UTF-8"):
        read_retrieval_set(folder, "test", "gold")
    (folder / missing).unlink()
    with pytest.raises(InputError, match=f"{missing}: there is no such file"):
        read_retrieval_set(folder, "test", "gold")
