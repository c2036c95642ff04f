"""From candidates to pairs: small filters, each giving the reason of its refusal, then a spread over the passages.

The filters run in the order of :data:`REASONS`; a question is counted under the first that refuses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from embed_pipeline import tables
from embed_pipeline.encoders.spec import Encoder, Vectors
from embed_pipeline.progress import track
from embed_pipeline.records import TableRow, passage_text
from embed_pipeline.sdg.filters.all_questions import exact_duplicates, failed_round_trip, near_duplicates, over_limit
from embed_pipeline.sdg.filters.one_question import Refusal, imported, refused_by_form, refused_by_model
from embed_pipeline.settings import SdgSettings

REASONS: Mapping[str, str] = {
    "too_short": "shorter than sdg.min_question_chars",
    "too_long": "longer than sdg.max_question_chars",
    "unknown_passage": "cites a passage that does not exist",
    "refers_to_text": 'points at its text ("according to the passage")',
    "copies_passage": "more than sdg.max_overlap of its words stand in order in its passage",
    "round_trip": "neither base model nor BM25 finds its passage within sdg.round_trip_k",
    "duplicate": "the same text as another question, case, spacing and sentence punctuation aside",
    "near_duplicate": "cosine with another question above sdg.dedup_threshold",
    "not_judged": "an LLM wrote it and the judge gave no score",
    "low_score": "the judge's mean is below sdg.judge_threshold",
    "answerable_without": "the LLM answers it without the documents (sdg.closed_book_check)",
    "over_limit": "beyond sdg.max_questions; the passages take turns",
}
"""Reason -> what it means, in the order of the filters."""


@dataclass(frozen=True)
class Selection:
    """What the filters made of the candidates; pairs and rejected together are the candidates.

    Attributes:
        pairs: :class:`embed_pipeline.tables.QaPairs`, sorted by question id.
        rejected: :class:`embed_pipeline.tables.RejectedCandidates`, sorted by question id.
        funnel: candidates, then one count per reason, then pairs.
    """

    pairs: pl.DataFrame
    rejected: pl.DataFrame
    funnel: dict[str, int]


def select_pairs(
    candidates: pl.DataFrame, passages: pl.DataFrame, encoder: Encoder, settings: SdgSettings
) -> Selection:
    """Apply every filter; the result does not depend on the order of the rows.

    Where two questions are one, imported ones win, then the better judge score, then the lower id. Imported
    questions may be short, may quote their passage and need not find it (they are what users really ask). A
    multi-hop question passes the round trip with one of its passages.

    Args:
        candidates: :class:`embed_pipeline.tables.QaCandidates`.
        passages: :class:`embed_pipeline.tables.Passages`; all of them, since a question must find its own
            among them.
        encoder: the base model.
    """
    left, refusals = _free_filters(candidates, passages, encoder, settings)
    judged = [refused_by_model(row, settings) for row in left]
    refusals |= {row["question_id"]: refusal for row, refusal in zip(left, judged, strict=True) if refusal is not None}
    left = [row for row, refusal in zip(left, judged, strict=True) if refusal is None]
    _drop(left, over_limit(left, settings), "over_limit", refusals)
    return _selection(candidates, refusals)


def refused_before_judging(
    candidates: pl.DataFrame, passages: pl.DataFrame, encoder: Encoder, settings: SdgSettings
) -> dict[str, Refusal]:
    """Question id -> refusal by the filters that cost nothing; :func:`select_pairs` refuses all of them, too.

    It may refuse one of them as the duplicate of another question than is named here, once there are scores.
    """
    return _free_filters(candidates, passages, encoder, settings)[1]


def _free_filters(
    candidates: pl.DataFrame, passages: pl.DataFrame, encoder: Encoder, settings: SdgSettings
) -> tuple[list[TableRow], dict[str, Refusal]]:
    """The rows that pass everything but judge and limit, in the order of preference; why the others do not."""
    texts = passages.sort("passage_id").select("passage_id", "title", "text")
    text_of = {passage_id: passage_text(title, text) for passage_id, title, text in texts.iter_rows()}
    refusals: dict[str, Refusal] = {}
    left: list[TableRow] = []
    for row in track(sorted(candidates.to_dicts(), key=_rank), "filter questions"):
        refusal = refused_by_form(row, text_of, settings)
        if refusal is None:
            left.append(row)
        else:
            refusals[row["question_id"]] = refusal
    vectors = encoder.encode([row["question"] for row in left], "query")
    dropped = failed_round_trip(left, vectors, text_of, encoder, settings.round_trip_k)
    vectors, left = _without(vectors, dropped), _drop(left, dropped, "round_trip", refusals)
    dropped = exact_duplicates(left)
    vectors, left = _without(vectors, dropped), _drop(left, dropped, "duplicate", refusals)
    left = _drop(left, near_duplicates(left, vectors, settings.dedup_threshold), "near_duplicate", refusals)
    return left, refusals


def _rank(row: TableRow) -> tuple[bool, float, str]:
    return (not imported(row), -(row["score"] or 0.0), row["question_id"])


def _without(vectors: Vectors, dropped: Mapping[int, str]) -> Vectors:
    return vectors[[position for position in range(len(vectors)) if position not in dropped]]


def _drop(
    rows: list[TableRow], dropped: Mapping[int, str], reason: str, refusals: dict[str, Refusal]
) -> list[TableRow]:
    refusals.update((rows[position]["question_id"], Refusal(reason, detail)) for position, detail in dropped.items())
    return [row for position, row in enumerate(rows) if position not in dropped]


def _selection(candidates: pl.DataFrame, refusals: Mapping[str, Refusal]) -> Selection:
    ordered = candidates.sort("question_id")
    refused = [refusals.get(key) for key in ordered["question_id"]]
    marked = ordered.with_columns(
        reason=pl.Series([one and one.reason for one in refused], dtype=pl.String),
        detail=pl.Series([one and one.detail for one in refused], dtype=pl.String),
    )
    pairs = tables.validate(tables.QaPairs, marked.filter(pl.col("reason").is_null()))
    rejected = tables.validate(tables.RejectedCandidates, marked.filter(pl.col("reason").is_not_null()))
    counts = dict(rejected["reason"].value_counts().iter_rows())
    funnel = {"candidates": candidates.height, **{name: counts.get(name, 0) for name in REASONS}}
    return Selection(pairs, rejected, {**funnel, "pairs": pairs.height})
