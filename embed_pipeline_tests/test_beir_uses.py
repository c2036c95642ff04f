"""What a BEIR folder may look like: whatever one of its three uses takes (corpus, gold set, import), all take.

The folder is read as the corpus, its ``test`` judgements as the gold set, the same judgements as imported questions.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.errors import InputError
from embed_pipeline.evaluation.gold import load_gold
from embed_pipeline.records import RetrievalSet
from embed_pipeline.sdg.exchange.read import import_questions
from embed_pipeline.settings import CorpusSettings

PASSAGES = {"7": "Copper is soldered.", "8": "Steel is welded.", "9": "Plastic is glued."}
QUERIES = {"1": "how is copper joined", "2": "how is steel joined"}
QRELS = {"1": {"7": 2, "9": 1}, "2": {"8": 1}}
SETTINGS = CorpusSettings()
Change = Callable[[Path], Any]


def jsonl(path: Path, rows: Sequence[Any], end: str = "\n", start: str = "") -> None:
    text = start + "".join(json.dumps(row, ensure_ascii=False) + end for row in rows)
    path.write_bytes(text.encode("utf-8"))


def judgements(folder: Path, text: str | bytes) -> None:
    (folder / "qrels").mkdir(exist_ok=True)
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    for split in ("train", "test"):
        (folder / "qrels" / f"{split}.tsv").write_bytes(data)


def lines(header: str | None = "query-id\tcorpus-id\tscore", row: str = "{0}\t{1}\t{2}", end: str = "\n") -> str:
    rows = [row.format(query, passage, score) for query, found in QRELS.items() for passage, score in found.items()]
    return "".join(line + end for line in (rows if header is None else [header, *rows]))


def folder_of(folder: Path, passages: Mapping[str, str] = PASSAGES, queries: Mapping[str, str] = QUERIES) -> Path:
    folder.mkdir(exist_ok=True)
    jsonl(folder / "corpus.jsonl", [{"_id": key, "title": "", "text": text} for key, text in passages.items()])
    jsonl(folder / "queries.jsonl", [{"_id": key, "text": text} for key, text in queries.items()])
    judgements(folder, lines())
    return folder


def as_corpus(folder: Path) -> Any:
    """``(id -> text, passages, documents)``."""
    documents = read_documents(folder, scan_corpus(folder, SETTINGS), SETTINGS).documents
    passages = chunk_documents(documents, lambda texts: [len(text.split()) for text in texts], SETTINGS, uncut=True)
    return dict(documents.select("doc_id", "text").iter_rows()), passages, documents


def as_gold(folder: Path) -> RetrievalSet:
    return load_gold(folder, {})


def as_import(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """``question id -> question, passage ids``; the corpus is a good one with the same ids."""
    with tempfile.TemporaryDirectory() as name:
        _, passages, documents = as_corpus(folder_of(Path(name)))
    frame = import_questions(folder, passages, documents)
    rows = frame.select("question_id", "question", "passage_ids").iter_rows()
    return {name: (question, passage_ids) for name, question, passage_ids in rows}


def rewrite(name: str, change: Callable[[dict[str, Any]], Any], **form: str) -> Change:
    def apply(folder: Path) -> None:
        rows = [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]
        jsonl(folder / name, [change(row) for row in rows], **form)

    return apply


def both(change: Callable[[dict[str, Any]], Any], **form: str) -> Change:
    """The same change of corpus and queries."""

    def apply(folder: Path) -> None:
        for name in ("corpus.jsonl", "queries.jsonl"):
            rewrite(name, change, **form)(folder)

    return apply


def renamed(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {name: row["_id"], **{key: value for key, value in row.items() if key != "_id"}}


def qrels(*arguments: Any, **named: Any) -> Change:
    return lambda folder: judgements(folder, lines(*arguments, **named))


def text(content: str | bytes) -> Change:
    return lambda folder: judgements(folder, content)


TAKEN: dict[str, Change] = {
    "as BEIR writes it": lambda folder: None,
    "ids are numbers": both(lambda row: {**row, "_id": int(row["_id"])}),
    "id": both(lambda row: renamed(row, "id")),
    "numbers in id": both(lambda row: renamed({**row, "_id": int(row["_id"])}, "id")),
    "doc_id": rewrite("corpus.jsonl", lambda row: renamed(row, "doc_id")),
    "docid": rewrite("corpus.jsonl", lambda row: renamed(row, "docid")),
    "query_id": rewrite("queries.jsonl", lambda row: renamed(row, "query_id")),
    "more fields": both(lambda row: {"metadata": {"url": "x"}, **row, "extra": [1, None]}),
    "title is null": rewrite("corpus.jsonl", lambda row: {**row, "title": None}),
    "no title": rewrite("corpus.jsonl", lambda row: {"_id": row["_id"], "text": row["text"]}),
    "Windows line ends": both(lambda row: row, end="\r\n"),
    "byte order mark": both(lambda row: row, start="\ufeff"),
    "blank lines": both(lambda row: row, end="\n\n \t\n", start="\n"),
    "qid": qrels("qid\tpid\tlabel"),
    "query doc score": qrels("query\tdoc\tscore"),
    "query_id corpus_id relevance": qrels("query_id\tcorpus_id\trelevance"),
    "Query ID, Document": qrels("Query ID\tDocument\tRelevance"),
    "quoted header": qrels('"query-id"\t"corpus-id"\t"score"'),
    "header of two words": qrels("query-id\tcorpus-id"),
    "header with unknown words": qrels("a\tb\tscore"),
    "another order": qrels("corpus-id\tscore\tquery-id", "{1}\t{2}\t{0}"),
    "more columns": qrels("\tquery-id\titeration\tcorpus-id\tscore\tnote", "5\t{0}\t0\t{1}\t{2}\tx"),
    "no header": qrels(None),
    "header twice": text(lines() + lines()),
    "1.0": qrels(row="{0}\t{1}\t{2}.0"),
    "1e0": qrels(row="{0}\t{1}\t{2}e0"),
    "Windows line ends in qrels": qrels(end="\r\n"),
    "old Macintosh line ends in qrels": qrels(end="\r"),
    "byte order mark in qrels": text("\ufeff" + lines()),
    "byte order mark without header": text("\ufeff" + lines(None)),
    "blank lines in qrels": qrels(end="\n\n\t\t\n"),
    "tabs at the end": qrels("query-id\tcorpus-id\tscore\t", "{0}\t{1}\t{2}\t\t"),
    "tabs at the beginning": qrels(None, "\t{0}\t{1}\t{2}"),
    "white space in cells": qrels(row="{0} \t {1}\t {2} "),
    "quoted cells": qrels(row='"{0}"\t"{1}"\t"{2}"'),
    "a line twice": text(lines() + lines(None)),
    "scores of 0 and below": text(lines() + "2\t7\t0\n2\t9\t-1\n1\tunknown\t0\nunknown\t7\t0\n"),
    "TREC with tabs": qrels(None, "{0}\t0\t{1}\t{2}"),
    "TREC with Q0": qrels(None, "{0}\tQ0\t{1}\t{2}"),
    "TREC with spaces": qrels(None, "{0} 0  {1} {2}"),
    "queries nobody judged": lambda folder: jsonl(
        folder / "queries.jsonl",
        [*({"_id": key, "text": value} for key, value in QUERIES.items()), {"_id": "3", "text": " "}],
    ),
}


@pytest.mark.parametrize("variant", TAKEN)
def test_what_one_use_takes_all_take(variant: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "beir")
    TAKEN[variant](folder)
    assert as_corpus(folder)[0] == PASSAGES
    gold = as_gold(folder)
    assert (gold.passages, gold.queries, gold.qrels) == (PASSAGES, QUERIES, QRELS)
    assert as_import(folder) == {name: (question, list(QRELS[name])) for name, question in QUERIES.items()}


ROW = '{"_id": "7", "text": "x"}\n'
BAD_ROWS = {
    "a binary file": (b"\x89PNG\r\n\x1a\n\x00\xff", "line 1: not UTF-8"),
    "zeros": (b"\0" * 100, "line 1: not valid JSON"),
    "UTF-16": (ROW.encode("utf-16"), "line 1: not UTF-8"),
    "another encoding": (ROW.encode() + '{"_id": "8", "text": "Größe"}'.encode("latin-1"), "line 2: not UTF-8"),
    "half a line": (ROW.encode() + b'{"_id": "8", "te', "line 2: not valid JSON"),
    "a list": (b"[" + ROW.encode().strip() + b"]", r"line 1: must be a JSON object with _id and text, not \[\{"),
    "a list over lines": (b"[\n" + ROW.encode() + b"]", "line 1: not valid JSON"),
    "a number": (b"7\n", "line 1: must be a JSON object"),
    "depth": (b"[" * 100_000 + b"\n", "line 1: not valid JSON"),
    "a number without end": (b'{"_id": ' + b"7" * 5000 + b', "text": "x"}', "line 1: not valid JSON"),
    "no id": (b'{"text": "x"}\n', "line 1: needs an _id that is text or a whole number, not None"),
    "a blank id": (b'{"_id": " ", "text": "x"}\n', "line 1: needs an _id"),
    "a broken id": (b'{"_id": 7.5, "text": "x"}\n', "line 1: needs an _id .* not 7.5"),
    "true as id": (b'{"_id": true, "text": "x"}\n', "line 1: needs an _id"),
    "no text": (b'{"_id": "7"}\n', "line 1: needs a text that is text, not None"),
    "null as text": (b'{"_id": "7", "text": null}\n', "line 1: needs a text that is text, not None"),
    "a number as text": (b'{"_id": "7", "text": 5}\n', "line 1: needs a text that is text, not 5"),
    "an id twice": (ROW.encode() * 2, "line 2: the id '7' stands already in line 1"),
    "an id twice, as number": (ROW.encode() + b'{"id": 7, "text": "y"}', "line 2: the id '7' stands already in line 1"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_bad_rows_are_refused_by_file_and_line_in_every_use(kind: str, tmp_path: Path) -> None:
    data, said = BAD_ROWS[kind]
    folder = folder_of(tmp_path / "beir")
    (folder / "corpus.jsonl").write_bytes(data)
    for use in (as_corpus, as_gold):
        with pytest.raises(InputError, match=rf"beir/corpus\.jsonl, {said}"):
            use(folder)
    folder_of(folder)
    (folder / "queries.jsonl").write_bytes(data)
    for use in (as_gold, as_import):
        with pytest.raises(InputError, match=rf"beir/queries\.jsonl, {said}"):
            use(folder)


BAD_JUDGEMENTS = {
    "0.5": (qrels(row="{0}\t{1}\t0.5"), "line 2: the score '0.5' is not a whole number"),
    "a word": (text("1\t7\tyes\n"), "line 1: the score 'yes' is not a whole number"),
    "a number of Python alone": (qrels(row="{0}\t{1}\t1_0"), "line 2: the score '1_0' is not a whole number"),
    "digits of full width": (qrels(row="{0}\t{1}\t\uff11"), "line 2: the score '\uff11' is not a whole number"),
    "nothing": (text("query-id\tcorpus-id\tscore\n1\t7\t\n"), "line 2: the score '' is not a whole number"),
    "not a number": (text("1\t7\tnan\n"), "line 1: the score 'nan'"),
    "without end": (text("1\t7\tinf\n"), "line 1: the score 'inf'"),
    "beyond any scale": (text("1\t7\t1e300\n"), "line 1: the score '1e300'"),
    "two columns": (text(lines() + "1\t7\n"), "line 5: 2 columns; must be query-id, corpus-id, score with tabs"),
    "four columns": (text("1\t7\t1\t5\n"), "line 1: 4 columns; must be .*; leave the others out"),
    "spaces": (text("1 7 1\n"), "line 1: 1 columns; must be .* between them"),
    "commas": (text("query-id,corpus-id,score\n1,7,1\n"), "line 1: 1 columns"),
    "a run": (text("1 Q0 7 1 12.5 bm25\n".replace(" ", "\t")), "line 1: 6 columns; .*TREC run"),
    "no id": (text("\t7\t1\n"), "line 1: an id is missing"),
    "no passage id": (text("1\t \t1\n"), "line 1: an id is missing"),
    "a contradiction": (text(lines() + "2\t8\t0\n"), "line 5: query '2' and '8' are judged twice, .*line 4"),
    "an unknown query": (text(lines() + "3\t8\t1\n"), r"line 5: 1 query id not in queries\.jsonl: '3'\. Add"),
    "unknown passages": (
        text(lines() + "".join(f"2\tx{i}\t1\n" for i in range(4))),
        r"line 5: 4 passage ids not in the corpus: 'x0', 'x1', 'x2', …\. \w+ ",
    ),
    "a binary file": (text(b"\x89PNG\r\n\x1a\n\x00\xff"), "line 1: not UTF-8"),
    "another encoding": (text(b"1\t7\t1\n1\t\xe9\t1\n"), "line 2: not UTF-8"),
    "an open quotation mark": (text('1\t"7\t1\n2\t8\t1\n'), "line 1: 1 passage id not in the corpus: '\"7'"),
    "a long line": (text("1\t7\t" + "x" * 300_000 + "\n"), "line 1: the score 'xxx.*… is not a whole number"),
}


@pytest.mark.parametrize("kind", BAD_JUDGEMENTS)
def test_bad_judgements_are_refused_by_file_and_line_in_every_use(kind: str, tmp_path: Path) -> None:
    change, said = BAD_JUDGEMENTS[kind]
    folder = folder_of(tmp_path / "beir")
    change(folder)
    for use, split in ((as_gold, "test"), (as_import, "train")):
        with pytest.raises(InputError, match=rf"qrels/{split}\.tsv, {said}") as caught:
            use(folder)
        assert len(str(caught.value)) < 400 + len(str(folder))
    assert as_corpus(folder)[0] == PASSAGES


@pytest.mark.parametrize("name", ["queries.jsonl", "qrels/test.tsv"])
def test_a_packed_file_is_named_with_the_command_that_unpacks_it(name: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "beir")
    (folder / name).rename(folder / f"{name}.gz")
    packed = Path(name).name.replace(".", r"\.") + r"\.gz"
    with pytest.raises(InputError, match=rf"there is no such file; unpack {packed} first \(gunzip -k {packed}\)"):
        as_gold(folder)


@pytest.mark.parametrize(
    ("use", "name", "said"),
    [
        (as_gold, "queries.jsonl", r"queries\.jsonl: cannot be read: Is a directory"),
        (as_gold, "qrels/test.tsv", r"test\.tsv: cannot be read: Is a directory"),
        (as_import, "queries.jsonl", r"there is no queries\.jsonl"),
        (as_import, "qrels/train.tsv", r"there is no qrels/train\.tsv"),
    ],
)
def test_a_folder_in_the_place_of_a_file(use: Callable[[Path], Any], name: str, said: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "beir")
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(InputError, match=said):
        use(folder)


def test_half_of_a_surrogate_pair_is_left_out_in_every_use(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "beir")
    for name in ("corpus.jsonl", "queries.jsonl"):
        written = (folder / name).read_text("utf-8").replace("joined", "join\\ud83ded").replace("Steel", "\\udc00Steel")
        (folder / name).write_text(written.replace("Copper", "\\ud83d\\ude00 Copper"), "utf-8")
    passages = {**PASSAGES, "7": "\U0001f600 Copper is soldered."}
    assert as_corpus(folder)[0] == as_gold(folder).passages == passages
    assert as_gold(folder).queries == QUERIES
    assert {question for question, _ in as_import(folder).values()} == set(QUERIES.values())


def test_ids_are_kept_as_they_stand_and_found_without_white_space_around_them(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "beir", {"7 ": "seven", " 8": "eight", "9\u00a0": "nine"})
    assert set(as_corpus(folder)[0]) == set(as_gold(folder).passages) == {"7 ", " 8", "9\u00a0"}
    assert as_gold(folder).qrels == {"1": {"7 ": 2, "9\u00a0": 1}, "2": {" 8": 1}}
    _, passages, documents = as_corpus(folder)
    found = import_questions(folder, passages, documents).select("question_id", "passage_ids")
    assert dict(found.iter_rows()) == {"1": ["7 ", "9\u00a0"], "2": [" 8"]}


def test_judgements_may_name_documents_in_both_uses(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "guide.md").write_text("# Guide\n\n" + "\n\n".join(f"Step {i} takes {i} minutes." for i in range(40)))
    settings = CorpusSettings(passage_tokens=40, min_passage_tokens=5)
    documents = read_documents(corpus, scan_corpus(corpus, settings), settings).documents
    passages = chunk_documents(documents, lambda texts: [len(text.split()) for text in texts], settings)
    ids = passages.sort("position")["passage_id"].to_list()
    assert len(ids) > 2
    folder = tmp_path / "beir"
    folder.mkdir()
    jsonl(folder / "queries.jsonl", [{"_id": "q", "text": "how long"}])
    judgements(folder, f"q\tguide.md\t3\nq\t{ids[1]}\t2\n")
    gold = load_gold(folder, dict(passages.select("passage_id", "text").iter_rows()))
    assert gold.qrels == {"q": {**dict.fromkeys(ids, 1), ids[1]: 2}}
    assert import_questions(folder, passages, documents)["passage_ids"].to_list() == [ids]
