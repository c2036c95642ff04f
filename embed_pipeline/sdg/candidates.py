"""One generated question, before the filters, and the table of many."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from embed_pipeline import tables
from embed_pipeline.batched import batched
from embed_pipeline.errors import StageError
from embed_pipeline.files import sha256_json
from embed_pipeline.records import CRITERIA

ROWS_AT_ONCE = 2000


@dataclass(frozen=True)
class Hop:
    """One passage a question needs.

    Attributes:
        evidence: stands verbatim in the passage; empty when unknown.
        summary: what this hop contributes, in the generator's words.
    """

    passage_id: str
    evidence: str
    summary: str = ""


@dataclass(frozen=True)
class Candidate:
    """One question with its answer and evidence.

    Attributes:
        mask_evidence: training cuts the evidence out of the positive (inverse cloze).
        generator: offline/<recipe>, llm/<model> or imported.
        own_id: id of an imported question; None: :func:`question_id`.
        negative_ids: passages given as its negatives; empty: they are mined.
    """

    question: str
    answer: str
    query_type: str
    reasoning_type: str
    complexity: int
    hops: tuple[Hop, ...]
    mask_evidence: bool
    generator: str
    relevance: float | None = None
    accuracy: float | None = None
    context_support: float | None = None
    clarity: float | None = None
    score: float | None = None
    judgement: str | None = None
    closed_book: bool | None = None
    own_id: str | None = None
    negative_ids: tuple[str, ...] = ()


def question_id(question: str, passage_ids: Sequence[str]) -> str:
    """``q`` and 16 hex digits: the hash of a question and its positive passages."""
    return "q" + sha256_json([question, list(passage_ids)])[:16]


def type_name(value: Any) -> Any:
    """``Multi-Hop`` is multi_hop; what is no text stays as it is."""
    return value.strip().lower().replace("-", "_").replace(" ", "_") if isinstance(value, str) else value


def candidates_frame(candidates: Iterable[Candidate], doc_of: Mapping[str, str]) -> pl.DataFrame:
    """The :class:`embed_pipeline.tables.QaCandidates` table, sorted by question id.

    Of several candidates with one question id the first is kept. They are taken in as they come, so that memory
    holds a few of them and the table.

    Args:
        doc_of: passage id -> document id of every passage a candidate may cite.

    Raises:
        StageError: a candidate has no hop, or cites a passage that ``doc_of`` lacks.
    """
    parts = [tables.empty(tables.QaCandidates)]
    for batch in batched(candidates, ROWS_AT_ONCE):
        parts.append(pl.DataFrame([_row(candidate, doc_of) for candidate in batch], schema=parts[0].schema))
    distinct = pl.concat(parts).unique("question_id", keep="first", maintain_order=True).sort("question_id")
    return tables.validate(tables.QaCandidates, distinct)


def joined(imported: pl.DataFrame, generated: pl.DataFrame) -> pl.DataFrame:
    """Two :class:`embed_pipeline.tables.QaCandidates` as one; of equal ids the imported question is kept."""
    if imported.is_empty():
        return generated
    distinct = pl.concat([imported, generated]).unique("question_id", keep="first", maintain_order=True)
    return distinct.sort("question_id")


def set_aside_frame(rows: Iterable[tuple[str, str, str]]) -> pl.DataFrame:
    """The :class:`embed_pipeline.tables.SetAside` table of (step, record, reason), each once."""
    return pl.DataFrame(list(dict.fromkeys(rows)), schema=tables.empty(tables.SetAside).schema, orient="row")


def _row(candidate: Candidate, doc_of: Mapping[str, str]) -> dict[str, Any]:
    passage_ids = list(dict.fromkeys(hop.passage_id for hop in candidate.hops))
    if not passage_ids:
        raise StageError(f"question {candidate.question[:80]!r} cites no passage; every question needs a hop.")
    unknown = [passage_id for passage_id in passage_ids if passage_id not in doc_of]
    if unknown:
        raise StageError(f"question {candidate.question[:80]!r} cites passage {unknown[0]}, which does not exist.")
    return {
        "question_id": candidate.own_id or question_id(candidate.question, passage_ids),
        "question": candidate.question,
        "answer": candidate.answer,
        "query_type": candidate.query_type,
        "reasoning_type": candidate.reasoning_type,
        "complexity": candidate.complexity,
        "hop_count": len(candidate.hops),
        "hops": [_hop(number, hop) for number, hop in enumerate(candidate.hops, 1)],
        "passage_ids": passage_ids,
        "doc_ids": list(dict.fromkeys(doc_of[passage_id] for passage_id in passage_ids)),
        "negative_ids": list(candidate.negative_ids),
        "mask_evidence": candidate.mask_evidence,
        "generator": candidate.generator,
        **{name: _rounded(getattr(candidate, name)) for name in (*CRITERIA, "score")},
        "judgement": candidate.judgement,
        "closed_book": candidate.closed_book,
    }


def _hop(number: int, hop: Hop) -> dict[str, Any]:
    return {"hop_number": number, "passage_id": hop.passage_id, "evidence": hop.evidence, "summary": hop.summary}


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(float(score), 6)
