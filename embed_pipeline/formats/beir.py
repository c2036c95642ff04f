"""Reading and writing a BEIR folder; the one place that knows its form.

::

    corpus.jsonl        {"_id", "title", "text", "metadata"}     one passage a line; optional for judged questions
    queries.jsonl       {"_id", "text", "metadata"}
    qrels/<split>.tsv   query-id <tab> corpus-id <tab> score     header optional on reading

Also read: ``id`` for ``_id``, and ids that are whole numbers. Half of a surrogate pair, which is no text, is left
out. Ids are matched as they stand, else without the white space around them. The forms that judgements come in are
those of :mod:`embed_pipeline.formats.qrels`.

Format: github.com/beir-cellar/beir, ``beir.datasets.data_loader.GenericDataLoader``.
"""

import io
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from embed_pipeline.errors import InputError
from embed_pipeline.files import write_jsonl, write_text
from embed_pipeline.formats.qrels import (
    PASSAGE_IDS,
    QUERY_IDS,
    AnyId,
    Ids,
    MatchedJudgements,
    plain_name,
    qrels_text,
    read_judgements,
)
from embed_pipeline.formats.rows import Form, Row, first_three, identifier, read_rows, refuse, rows_of_lines, short
from embed_pipeline.progress import say
from embed_pipeline.records import RetrievalSet, SetKind, passage_text

CORPUS = "corpus.jsonl"
QUERIES = "queries.jsonl"
CLUSTER = "cluster"
"""The field of a query's metadata that says which others it depends on."""
DOCUMENT = "document"
"""The same, where that is the document it was asked about."""
MAX_SLICE_VALUES = 12
_TO_OWN_CORPUS = f"Add them to {CORPUS}, or take the lines out"
_FORM = Form("_id and text", drop_half_pairs=True)
_PASSAGE_OF_DOCUMENT = re.compile(r"(?P<document>.+)#\d{4,}", re.DOTALL)


def qrels_path(folder: Path, split: str) -> Path:
    """Where the judgements of a split lie."""
    return folder / "qrels" / f"{split}.tsv"


# -- passages and queries --------------------------------------------------------------------------------


class Passage(NamedTuple):
    """A row of corpus.jsonl; ``place`` is its line, ``metadata`` whatever stands there under this name."""

    passage_id: str
    title: str
    text: str
    place: str
    metadata: Any = None


class Query(NamedTuple):
    """A row of queries.jsonl; ``place`` is its line."""

    text: str
    metadata: Any
    place: str


def read_passages(path: Path, data: bytes | None = None) -> Iterator[Passage]:
    """The rows of a corpus.jsonl, ids as they stand.

    Args:
        data: the file's content where it has been read already.

    Raises:
        InputError: a line is no JSON object with id and text, or repeats an id; names file and line.
    """
    rows = read_rows(path, _FORM) if data is None else rows_of_lines(io.BytesIO(data), path, _FORM)
    for passage_id, row in _identified(rows, PASSAGE_IDS):
        title = _text(row, "title", row.get("title") or "")
        yield Passage(passage_id, title, _text(row, "text", row.get("text")), row.place, row.get("metadata"))


def read_corpus(folder: Path) -> dict[str, str]:
    """``id -> title and text joined`` of corpus.jsonl.

    Raises:
        InputError: missing, malformed or without passages.
    """
    return {row.passage_id: passage_text(row.title, row.text) for row in _some_passages(folder / CORPUS)}


def _some_passages(path: Path) -> list[Passage]:
    rows = list(read_passages(path))
    if not rows:
        raise InputError(f"{path}: holds no passages; add some, one JSON object with {_FORM.fields} a line.")
    return rows


def read_queries(folder: Path) -> dict[str, Query]:
    """``id -> query`` of queries.jsonl, ids without the white space around them; a text may be blank.

    Raises:
        InputError: missing or malformed; names file and line.
    """
    rows = _identified(read_rows(folder / QUERIES, _FORM), QUERY_IDS, str.strip)
    return {
        query_id: Query(_text(row, "text", row.get("text")), row.get("metadata"), row.place) for query_id, row in rows
    }


def _identified(
    rows: Iterable[Row], names: Sequence[str], clean: Callable[[str], str] = str
) -> Iterator[tuple[str, Row]]:
    places: dict[str, str] = {}
    for row in rows:
        name = clean(_row_id(row, names))
        if name in places:
            refuse(row.where, f"the id {short(name)} stands already in {places[name]}; give every row its own")
        places[name] = row.place
        yield name, row


def _row_id(row: Row, names: Sequence[str]) -> str:
    value = row.get("_id")
    if value is None:
        value = row.get("id")
    if value is None:
        value = next((row[key] for key in row if plain_name(key) in names), None)
    name = identifier(value)
    if name is None:
        refuse(row.where, f"needs an _id that is text or a whole number, not {short(value)}")
    return name


def _text(row: Row, field: str, value: Any) -> str:
    if not isinstance(value, str):
        refuse(row.where, f"needs a {field} that is text, not {short(value)}")
    return value


# -- judged queries --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JudgedQueries:
    """Queries with at least one score of 1 or above.

    Attributes:
        queries: id -> query, in the order of queries.jsonl; every text has words.
        qrels: the same ids -> {passage id: score}.
        left_out: how many queries are not judged.
        of_documents: how many judgements name a document instead of a passage.
    """

    queries: Mapping[str, Query]
    qrels: Mapping[str, Mapping[str, int]]
    left_out: int
    of_documents: int


def read_judged(
    folder: Path, split: str, passages: Collection[str] | None, documents: Mapping[str, Sequence[str]], advice: str
) -> JudgedQueries:
    """Read the judged queries of one split.

    Args:
        folder: a BEIR folder.
        split: the name of the qrels file.
        passages: ids that judgements may name; None for any.
        documents: id -> ids of its passages, which a judgement of the document calls relevant with 1.
        advice: what to do about ids that are in neither.

    Raises:
        InputError: a file is missing or malformed, ids are unknown, a pair is judged twice with different
            scores, no query is judged, or a judged one is blank. Names file and line.
    """
    path = qrels_path(folder, split)
    queries = read_queries(folder)
    found = MatchedJudgements(path, Ids(queries), AnyId() if passages is None else Ids(passages), Ids(documents))
    for judgement in read_judgements(path):
        found.add(judgement)
    found.refuse_unknown("query", QUERIES, "Add them there, or take the lines out")
    found.refuse_unknown("passage", "the corpus", advice)
    qrels = found.qrels(documents)
    if not qrels:
        raise InputError(f"{path}: no query has a passage with a score above 0; add at least one judgement.")
    judged = {query_id: query for query_id, query in queries.items() if query_id in qrels}
    _refuse_blank(folder / QUERIES, judged)
    ordered = {query_id: qrels[query_id] for query_id in judged}
    return JudgedQueries(judged, ordered, len(queries) - len(judged), len(found.documents))


def _refuse_blank(path: Path, queries: Mapping[str, Query]) -> None:
    blank = {query_id: query.place for query_id, query in queries.items() if not query.text.strip()}
    if blank:
        count = "1 judged query has" if len(blank) == 1 else f"{len(blank)} judged queries have"
        refuse(f"{path}, {next(iter(blank.values()))}", f"{count} no text: {first_three(list(blank))}. Add it")


def judged_queries(folder: Path, split: str) -> Mapping[str, Query]:
    """Those of a set that is read before the pipeline has passages; without a corpus.jsonl, any id may be judged.

    Raises:
        InputError: as :func:`read_retrieval_set`.
    """
    path = folder / CORPUS
    passages = {row.passage_id for row in _some_passages(path)} if path.is_file() else None
    return read_judged(folder, split, passages, {}, _TO_OWN_CORPUS).queries


# -- retrieval sets --------------------------------------------------------------------------------------


def read_retrieval_set(
    folder: Path, split: str, name: str, passages: Mapping[str, str] | None = None, kind: SetKind = "gold"
) -> RetrievalSet:
    """Read the judged queries of one split.

    Args:
        folder: a BEIR folder.
        split: "train", "dev" or "test", the name of the qrels file.
        name: name of the resulting set.
        passages: id -> text as the encoder sees it, used when the folder has no corpus.jsonl. The qrels may
            then also name documents: ``report.md`` stands for every passage ``report.md#nnnn``, all relevant
            with 1.
        kind: where the judgements come from.

    Returns:
        Queries with at least one relevance >= 1, each with the slices its metadata gives: fields holding
        text or whole numbers with at most 12 distinct values. Its cluster is the ``cluster`` or ``document`` of its
        metadata, else the document of its best passage: what stands before ``#nnnn`` in its id, else its title.

    Raises:
        InputError: corpus.jsonl is missing or malformed, or see :func:`read_judged`.
    """
    if (folder / CORPUS).is_file() or passages is None:
        rows = _some_passages(folder / CORPUS)
        texts: Mapping[str, str] = {row.passage_id: passage_text(row.title, row.text) for row in rows}
        titles = {row.passage_id: row.title.strip() for row in rows}
        documents: Mapping[str, Sequence[str]] = {}
        advice = _TO_OWN_CORPUS
    else:
        texts, titles, documents = passages, {}, _passages_of_documents(passages)
        advice = "Use ids of the passages table (embed-pipeline show passages), or add a corpus.jsonl"
    judged = read_judged(folder, split, texts, documents, advice)
    if judged.left_out:
        count = f"{judged.left_out} of {judged.left_out + len(judged.queries)} queries"
        say(f"{folder}: {count} are not judged in {split}.tsv and left out.")
    queries = {query_id: query.text for query_id, query in judged.queries.items()}
    metadata = {query_id: query.metadata for query_id, query in judged.queries.items()}
    clusters = {query_id: _cluster(fields, judged.qrels[query_id], titles) for query_id, fields in metadata.items()}
    return RetrievalSet(name, texts, queries, judged.qrels, _slices(metadata), clusters, kind, titles)


def write_retrieval_set(
    retrieval_set: RetrievalSet,
    folder: Path,
    split: str = "test",
    told: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> None:
    """Write corpus.jsonl, queries.jsonl and qrels/<split>.tsv; titles are already part of the texts.

    Args:
        told: passage id -> name -> values, which become the passage's metadata; a single value stands alone.
    """
    corpus = (
        {"_id": key, "title": "", "text": text, "metadata": _plain_values((told or {}).get(key, {}))}
        for key, text in retrieval_set.passages.items()
    )
    write_jsonl(folder / CORPUS, corpus)
    write_judged(retrieval_set, folder, split)


def write_judged(retrieval_set: RetrievalSet, folder: Path, split: str) -> None:
    """Write queries.jsonl and qrels/<split>.tsv alone, of passages that lie elsewhere."""
    queries = (
        {"_id": key, "text": text, "metadata": _metadata_of(retrieval_set, key)}
        for key, text in retrieval_set.queries.items()
    )
    write_jsonl(folder / QUERIES, queries)
    write_text(qrels_path(folder, split), qrels_text(retrieval_set.qrels))


def _plain_values(told: Mapping[str, Sequence[str]]) -> dict[str, str | list[str]]:
    return {name: values[0] if len(values) == 1 else list(values) for name, values in told.items()}


def _metadata_of(retrieval_set: RetrievalSet, query: str) -> dict[str, str]:
    cluster = {CLUSTER: retrieval_set.clusters[query]} if query in retrieval_set.clusters else {}
    return {**retrieval_set.query_slices.get(query, {}), **cluster}


def _cluster(metadata: Any, relevant: Mapping[str, int], titles: Mapping[str, str]) -> str:
    """What the query's metadata says, else the document of its best passage."""
    fields = metadata if isinstance(metadata, dict) else {}
    for given in (fields.get(CLUSTER), fields.get(DOCUMENT)):
        if isinstance(given, str | int) and not isinstance(given, bool):
            return str(given)
    best = min(relevant, key=lambda passage: (-relevant[passage], passage))
    found = _PASSAGE_OF_DOCUMENT.fullmatch(best)
    return found["document"] if found else titles.get(best) or best


def _passages_of_documents(passages: Iterable[str]) -> dict[str, list[str]]:
    documents = defaultdict(list)
    for passage in passages:
        found = _PASSAGE_OF_DOCUMENT.fullmatch(passage)
        if found:
            documents[found["document"]].append(passage)
    return documents


def _slices(metadata: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    values: dict[str, dict[str, str]] = defaultdict(dict)
    for query, fields in metadata.items():
        for field, value in (fields if isinstance(fields, dict) else {}).items():
            if field != CLUSTER and isinstance(value, str | int) and not isinstance(value, bool):
                values[field][query] = str(value)
    few = {field: by_query for field, by_query in values.items() if len(set(by_query.values())) <= MAX_SLICE_VALUES}
    return {query: {field: few[field][query] for field in sorted(few) if query in few[field]} for query in metadata}
