"""Reading and writing a BEIR folder.

::

    corpus.jsonl        {"_id", "title", "text", "metadata"}     one passage a line; optional on reading
    queries.jsonl       {"_id", "text", "metadata"}
    qrels/<split>.tsv   query-id <tab> corpus-id <tab> score     header optional on reading

Format: github.com/beir-cellar/beir, ``beir.datasets.data_loader.GenericDataLoader``.
"""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from embed_pipeline.errors import InputError
from embed_pipeline.files import write_jsonl, write_text
from embed_pipeline.progress import say
from embed_pipeline.records import RetrievalSet, passage_text

CORPUS = "corpus.jsonl"
QUERIES = "queries.jsonl"
MAX_SLICE_VALUES = 12
_PASSAGE_OF_DOCUMENT = re.compile(r"(?P<document>.+)#\d{4,}", re.DOTALL)
_HEADERS = ("score", "relevance", "label")

Qrels = dict[str, dict[str, int]]


def qrels_path(folder: Path, split: str) -> Path:
    """Where the judgements of a split lie."""
    return folder / "qrels" / f"{split}.tsv"


def read_retrieval_set(folder: Path, split: str, name: str, passages: Mapping[str, str] | None = None) -> RetrievalSet:
    """Read the judged queries of one split.

    Args:
        folder: a BEIR folder.
        split: "train", "dev" or "test", the name of the qrels file.
        name: name of the resulting set.
        passages: id -> text as the encoder sees it, used when the folder has no corpus.jsonl. The qrels may
            then also name documents: ``report.md`` stands for every passage ``report.md#nnnn``, all relevant
            with 1.

    Returns:
        Queries with at least one relevance >= 1, each with the slices its metadata gives: fields holding
        text or whole numbers with at most 12 distinct values.

    Raises:
        InputError: a file is missing or malformed (names file and line), ids are unknown or given twice, no
            query is judged.
    """
    if (folder / CORPUS).is_file():
        texts: Mapping[str, str] = read_corpus(folder)
        documents: Mapping[str, Sequence[str]] = {}
    elif passages is not None:
        texts, documents = passages, _passages_of_documents(passages)
    else:
        raise InputError(f"{folder / CORPUS}: there is no such file, and a BEIR folder needs one here.")
    rows = {row["_id"]: row for row in _read_rows(folder / QUERIES)}
    path = qrels_path(folder, split)
    judged = read_qrels(path)
    _refuse_unknown(path, "query", (query for query in judged if query not in rows), QUERIES)
    qrels = _resolve(path, judged, texts, documents)
    if not qrels:
        raise InputError(f"{path}: no query has a passage with a score above 0; add at least one judgement.")
    if len(qrels) < len(rows):
        say(f"{folder}: {len(rows) - len(qrels)} of {len(rows)} queries are not judged in {path.name} and left out.")
    queries = {query: rows[query]["text"] for query in rows if query in qrels}
    blank = [query for query, text in queries.items() if not text.strip()]
    if blank:
        raise InputError(f"{folder / QUERIES}: {len(blank)} judged queries have no text: {_first_three(blank)}.")
    slices = _slices({query: rows[query].get("metadata") for query in queries})
    return RetrievalSet(name, texts, queries, {query: qrels[query] for query in queries}, slices)


def read_corpus(folder: Path) -> dict[str, str]:
    """``id -> title and text joined`` of corpus.jsonl.

    Raises:
        InputError: missing, malformed or without passages.
    """
    path = folder / CORPUS
    texts = {row["_id"]: passage_text(row.get("title") or "", row["text"]) for row in _read_rows(path)}
    if not texts:
        raise InputError(f"{path}: holds no passages.")
    return texts


def read_qrels(path: Path) -> Qrels:
    """``query id -> {id: score}`` of a qrels file; scores of 0 and below are left out.

    Raises:
        InputError: missing, or a line is not query, id and whole-number score separated by tabs, or one pair
            is judged twice with different scores.
    """
    judged: Qrels = {}
    seen: dict[tuple[str, str], int] = {}
    for line, row in _tsv_rows(path):
        if len(row) != 3:
            raise InputError(f"{path}, line {line}: {len(row)} columns; must be query-id, corpus-id, score with tabs.")
        try:
            score = int(row[2])
        except ValueError:
            if line == 1 and row[2].strip().lower() in _HEADERS:
                continue
            raise InputError(f"{path}, line {line}: the score {row[2]!r} is not a whole number.") from None
        pair = (row[0].strip(), row[1].strip())
        if seen.setdefault(pair, score) != score:
            raise InputError(f"{path}, line {line}: query {pair[0]!r} and {pair[1]!r} are judged twice, differently.")
        if score > 0:
            judged.setdefault(pair[0], {})[pair[1]] = score
    return judged


def write_retrieval_set(retrieval_set: RetrievalSet, folder: Path, split: str = "test") -> None:
    """Write corpus.jsonl, queries.jsonl and qrels/<split>.tsv; titles are already part of the texts."""
    corpus = ({"_id": key, "title": "", "text": text, "metadata": {}} for key, text in retrieval_set.passages.items())
    write_jsonl(folder / CORPUS, corpus)
    queries = (
        {"_id": key, "text": text, "metadata": dict(retrieval_set.query_slices.get(key, {}))}
        for key, text in retrieval_set.queries.items()
    )
    write_jsonl(folder / QUERIES, queries)
    table = io.StringIO()
    writer = csv.writer(table, delimiter="\t", lineterminator="\n")
    writer.writerow(("query-id", "corpus-id", "score"))
    for query, relevant in retrieval_set.qrels.items():
        writer.writerows((query, passage, score) for passage, score in relevant.items())
    write_text(qrels_path(folder, split), table.getvalue())


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a .jsonl file with ``_id`` and ``text`` checked; ``_id`` may be a number and becomes text."""
    seen: set[str] = set()
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _parse(line, where)
        if row["_id"] in seen:
            raise InputError(f"{where}: the _id {row['_id']!r} was given before; ids must be unique.")
        seen.add(row["_id"])
        yield row


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode("utf-8")  # refuses lone surrogates
    except UnicodeEncodeError:
        raise InputError(f"{where}: holds half a surrogate pair, which is not text.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON ({error}).") from None
    if not isinstance(row, dict):
        raise InputError(f"{where}: must be a JSON object, not {type(row).__name__}.")
    key = row.get("_id")
    if isinstance(key, bool) or not isinstance(key, str | int) or not str(key).strip():
        raise InputError(f"{where}: needs an _id that is text or a whole number.")
    for field, required in (("text", True), ("title", False)):
        value = row.get(field)
        if not isinstance(value, str) and (required or value is not None):
            raise InputError(f"{where}: needs a {field} that is text.")
    return {**row, "_id": str(key).strip()}


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from file
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}).") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from None


def _tsv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_lines(path), delimiter="\t", strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not tab-separated text ({error}).") from None


def _passages_of_documents(passages: Iterable[str]) -> dict[str, list[str]]:
    documents = defaultdict(list)
    for passage in passages:
        found = _PASSAGE_OF_DOCUMENT.fullmatch(passage)
        if found:
            documents[found["document"]].append(passage)
    return documents


def _resolve(path: Path, judged: Qrels, texts: Mapping[str, str], documents: Mapping[str, Sequence[str]]) -> Qrels:
    """Judgements of passages: a document id becomes its passages, all with relevance 1."""
    unknown = (key for row in judged.values() for key in row if key not in texts and key not in documents)
    _refuse_unknown(path, "passage", unknown, "the corpus")
    qrels: Qrels = {}
    for query, row in judged.items():
        of_documents = {passage: 1 for key in row if key not in texts for passage in documents[key]}
        qrels[query] = {**of_documents, **{key: score for key, score in row.items() if key in texts}}
    return qrels


def _refuse_unknown(path: Path, kind: str, unknown: Iterable[str], where: str) -> None:
    found = list(dict.fromkeys(unknown))
    if found:
        plural = "" if len(found) == 1 else "s"
        raise InputError(f"{path}: {len(found)} {kind} id{plural} not in {where}: {_first_three(found)}.")


def _first_three(ids: Sequence[str]) -> str:
    return ", ".join(repr(key) for key in ids[:3]) + (", …" if len(ids) > 3 else "")


def _slices(metadata: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    values: dict[str, dict[str, str]] = defaultdict(dict)
    for query, fields in metadata.items():
        for field, value in (fields if isinstance(fields, dict) else {}).items():
            if isinstance(value, str | int) and not isinstance(value, bool):
                values[field][query] = str(value)
    few = {field: by_query for field, by_query in values.items() if len(set(by_query.values())) <= MAX_SLICE_VALUES}
    return {query: {field: few[field][query] for field in sorted(few) if query in few[field]} for query in metadata}
