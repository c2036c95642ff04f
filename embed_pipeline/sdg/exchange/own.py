"""Questions of one's own: plain JSONL, or a BEIR folder with qrels/train.tsv.

One line of the JSONL, evidence in either form (``answer`` and ``question_id`` are optional)::

    {"question": "…", "answer": "…", "passage_ids": ["guide.md#3"]}
    {"question": "…", "evidence": [{"document": "guide.md", "text": "words that stand in it"}]}
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_file, sha256_json
from embed_pipeline.sdg.candidates import Candidate, Hop, candidates_frame
from embed_pipeline.text.quotations import find_spans

QUERIES = "queries.jsonl"
QRELS = "qrels/train.tsv"
_EVIDENCE_FORM = '"passage_ids": ["…"] or "evidence": [{"document": "…", "text": "…"}]'


def own_questions(path: Path, passages: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """Read questions of one's own as candidates; see :func:`embed_pipeline.sdg.exchange.read.read_questions`.

    Args:
        path: a .jsonl file, or a BEIR folder whose ids are passage ids; of its judgements those above 0 count.
        passages: :class:`embed_pipeline.tables.Passages`.
        documents: :class:`embed_pipeline.tables.Documents`.

    Returns:
        :class:`embed_pipeline.tables.QaCandidates` with generator and query type "imported". Reasoning type
        and complexity, which nobody told, are factual and 3.

    Raises:
        InputError: the file is not of a known form, names unknown passages or documents, quotes evidence that
            does not stand in its document, or holds no question.
    """
    place = _Place(path, passages, documents)
    read = _from_beir(path, place) if path.is_dir() else _from_jsonl(path, place)
    candidates = list(read)
    place.refuse_unknown()
    if not candidates:
        raise InputError(f"{path}: there is no question in it. Add some, or unset sdg.import_from.")
    return candidates_frame(candidates, place.doc_of)


def own_fingerprint(path: Path) -> str:
    """Hash of everything :func:`own_questions` reads at ``path``.

    Raises:
        InputError: a file of the BEIR folder is missing.
    """
    if path.is_dir():
        return sha256_json({name: sha256_file(_existing(path, name)) for name in (QUERIES, QRELS)})
    return sha256_file(path)


@dataclass
class _Place:
    """Where questions point to, and which of their pointers lead nowhere."""

    path: Path
    passages: pl.DataFrame
    documents: pl.DataFrame
    doc_of: dict[str, str] = field(init=False)
    unknown: dict[str, list[str]] = field(default_factory=lambda: {"passage": [], "document": []})

    def __post_init__(self) -> None:
        self.doc_of = dict(self.passages.select("passage_id", "doc_id").iter_rows())
        self.text_of: dict[str, str] = dict(self.documents.select("doc_id", "text").iter_rows())
        ordered = self.passages.sort("doc_id", "position", "passage_id")
        self.spans_of: dict[str, list[tuple[str, int, int]]] = {}
        for doc_id, *span in ordered.select("doc_id", "passage_id", "start", "end").iter_rows():
            self.spans_of.setdefault(doc_id, []).append((span[0], span[1], span[2]))

    def passage_hop(self, passage_id: str) -> list[Hop]:
        """One hop, or none for an unknown passage, which is noted."""
        if passage_id in self.doc_of:
            return [Hop(passage_id, "")]
        self.unknown["passage"].append(passage_id)
        return []

    def evidence_hops(self, doc_id: str, text: str, line: int) -> list[Hop]:
        """The passages in which the evidence stands whole, else those that share it, each with its part."""
        if doc_id not in self.text_of:
            self.unknown["document"].append(doc_id)
            return []
        whole: list[Hop] = []
        parts: list[Hop] = []
        for start, end in find_spans(self.text_of[doc_id], text):
            for passage_id, first, last in self.spans_of.get(doc_id, []):
                low, high = max(start, first), min(end, last)
                evidence = self.text_of[doc_id][low:high].strip()
                if evidence:
                    (whole if (low, high) == (start, end) else parts).append(Hop(passage_id, evidence))
        if not whole and not parts:
            refuse(
                self.path,
                line,
                f"the evidence {_short(text)} stands in no passage of document {doc_id}. Copy it from the document "
                "word for word (line breaks do not matter), or give passage_ids",
            )
        return whole or parts

    def refuse_unknown(self) -> None:
        """Raise an error if any question pointed to nothing."""
        for kind, ids in self.unknown.items():
            distinct = list(dict.fromkeys(ids))
            if distinct:
                shown = ", ".join(repr(name) for name in distinct[:3]) + (", …" if len(distinct) > 3 else "")
                raise InputError(
                    f"{self.path}: {len(distinct)} {kind} ids are not in the corpus: {shown}. "
                    f"Use ids of the {kind}s table (embed-pipeline show {kind}s), or correct corpus.path."
                )


def refuse(path: Path, line: int, problem: str) -> NoReturn:
    """Raise an error that names the file and the line."""
    raise InputError(f"{path}, line {line}: {problem}.")


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise InputError(
            f"{folder}: there is no {name}. A BEIR folder of training questions holds {QUERIES} and {QRELS}; "
            "point sdg.import_from at one, or at a file."
        )
    return folder / name


# -- JSONL -----------------------------------------------------------------------------------------------


def _from_jsonl(path: Path, place: _Place) -> Iterator[Candidate]:
    lines_of: dict[str, int] = {}
    for line, record in _records(path):
        question = _required_text(path, line, record, "question")
        own_id = _own_id(path, line, record, lines_of)
        hops = _hops(path, line, record, place)
        answer = record.get("answer")
        if answer is not None and not isinstance(answer, str):
            refuse(path, line, f'"answer" must be a text, not {_short(answer)}')
        if hops:
            yield own_candidate(question, (answer or "").strip(), hops, own_id)


def _own_id(path: Path, line: int, record: Mapping[str, Any], lines_of: dict[str, int]) -> str | None:
    value = record.get("question_id")
    if value is None:
        return None
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
        refuse(path, line, f'"question_id" must be a text, not {_short(value)}')
    own_id = str(value).strip()
    if own_id in lines_of:
        refuse(path, line, f"question_id {own_id} is already used in line {lines_of[own_id]}; ids must be unique")
    lines_of[own_id] = line
    return own_id


def _hops(path: Path, line: int, record: Mapping[str, Any], place: _Place) -> list[Hop]:
    passage_ids, evidence = record.get("passage_ids") or [], record.get("evidence") or []
    if not passage_ids and not evidence:
        refuse(path, line, f"there is no evidence; add {_EVIDENCE_FORM}")
    if not isinstance(passage_ids, list) or not all(isinstance(item, str) for item in passage_ids):
        refuse(path, line, f'"passage_ids" must be a list of texts, not {_short(passage_ids)}')
    if not isinstance(evidence, list):
        refuse(path, line, f'"evidence" must be a list, as in {_EVIDENCE_FORM}')
    hops: list[Hop] = []
    for item in evidence:
        doc_id, text = _quotation(path, line, item)
        hops += place.evidence_hops(doc_id, text, line)
    quoted = {hop.passage_id for hop in hops}
    for passage_id in passage_ids:
        if passage_id not in quoted:
            hops += place.passage_hop(passage_id)
    return list(dict.fromkeys(hops))


def _quotation(path: Path, line: int, item: Any) -> tuple[str, str]:
    fields = item if isinstance(item, dict) else {}
    doc_id, text = fields.get("doc_id", fields.get("document")), fields.get("text")
    if not isinstance(doc_id, str) or not isinstance(text, str) or not text.strip():
        refuse(path, line, f'an entry of "evidence" lacks document or text; write {_EVIDENCE_FORM}')
    return doc_id, text


def own_candidate(
    question: str, answer: str, hops: list[Hop], own_id: str | None, negative_ids: tuple[str, ...] = ()
) -> Candidate:
    """A candidate of which only the question and its positives are known, and perhaps answer and negatives."""
    return Candidate(
        question=question,
        answer=answer or "\n".join(hop.evidence for hop in hops if hop.evidence),
        query_type="imported",
        reasoning_type="factual",
        complexity=3,
        hops=tuple(hops),
        mask_evidence=False,
        generator="imported",
        own_id=own_id,
        negative_ids=negative_ids,
    )


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of every line that is not blank."""
    for line, text in _lines(path):
        try:
            record = json.loads(text)
            text.encode("utf-8")
            json.dumps(record, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            refuse(path, line, "it holds half of a surrogate pair (\\ud800 to \\udfff); correct the text")
        except (ValueError, RecursionError) as error:
            refuse(path, line, f"not valid JSON ({error}); every line must be one JSON object")
        if not isinstance(record, dict):
            refuse(path, line, f"must be one JSON object, not {_short(record)}")
        yield line, record


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            try:
                text = raw.decode("utf-8-sig" if line == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                refuse(path, line, f"not UTF-8 ({error.reason}); save the file as UTF-8")
            if text:
                yield line, text


def _required_text(path: Path, line: int, record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        refuse(path, line, f'"{name}" is missing or empty; it must be a text')
    return value.strip()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


# -- BEIR ------------------------------------------------------------------------------------------------


def _from_beir(folder: Path, place: _Place) -> Iterator[Candidate]:
    queries = _queries(_existing(folder, QUERIES))
    qrels = _existing(folder, QRELS)
    positives: dict[str, list[str]] = {}
    for line, (query_id, passage_id, score) in _judgements(qrels):
        if query_id not in queries:
            refuse(qrels, line, f"query {query_id} is not in {QUERIES}; add it there or remove the line")
        if score > 0:
            positives.setdefault(query_id, []).append(passage_id)
    for query_id, passage_ids in positives.items():
        hops = [hop for passage_id in dict.fromkeys(passage_ids) for hop in place.passage_hop(passage_id)]
        if hops:
            yield own_candidate(queries[query_id], "", hops, query_id)


def _queries(path: Path) -> dict[str, str]:
    queries: dict[str, str] = {}
    for line, record in _records(path):
        query_id = _required_text(path, line, record, "_id")
        if query_id in queries:
            refuse(path, line, f"query id {query_id} appears twice; ids must be unique")
        queries[query_id] = _required_text(path, line, record, "text")
    return queries


def _judgements(path: Path) -> Iterator[tuple[int, tuple[str, str, float]]]:
    for line, text in _lines(path):
        columns = [column.strip() for column in text.split("\t")]
        if columns[:2] == ["query-id", "corpus-id"]:
            continue
        try:
            query_id, passage_id, score = columns
            yield line, (query_id, passage_id, float(score))
        except ValueError:
            refuse(path, line, "must be query-id, corpus-id and a score (a number), separated by tabs")
