"""From candidates to pairs: small filters, each giving the reason of its refusal, then a spread over the passages.

The filters run in the order of :data:`REASONS`; a question is counted under the first that refuses it.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from embed_pipeline import tables
from embed_pipeline.encoder import Encoder, Vectors
from embed_pipeline.progress import track
from embed_pipeline.records import passage_text
from embed_pipeline.sdg.wording import longest_run, refers_to_text, same_form, words
from embed_pipeline.search import top_k
from embed_pipeline.settings import SdgSettings

REASONS = (
    "too_short",
    "too_long",
    "unknown_passage",
    "refers_to_text",
    "not_judged",
    "low_score",
    "copies_passage",
    "duplicate",
    "near_duplicate",
    "round_trip",
    "over_limit",
)
BLOCK = 1024
Row = Mapping[str, Any]


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
    questions may be short, may quote their passage and need not find it (they are what users really ask).

    Args:
        candidates: :class:`embed_pipeline.tables.QaCandidates`.
        passages: :class:`embed_pipeline.tables.Passages`; all of them, since a question must find its own
            among them.
        encoder: the base model.
    """
    passages = passages.sort("passage_id")
    rows = sorted(candidates.to_dicts(), key=_rank)
    text_of = {row["passage_id"]: passage_text(row["title"], row["text"]) for row in passages.iter_rows(named=True)}
    reasons: dict[str, str] = {}
    left: list[Row] = []
    for row in track(rows, "filter questions"):
        reason = _refused_alone(row, text_of, settings)
        if reason is None:
            left.append(row)
        else:
            reasons[row["question_id"]] = reason
    left = _drop(left, _exact_duplicates(left), "duplicate", reasons)
    vectors = encoder.encode([row["question"] for row in left], "query")
    near = _near_duplicates(vectors, settings.dedup_threshold)
    vectors = vectors[[position for position in range(len(left)) if position not in near]]
    left = _drop(left, near, "near_duplicate", reasons)
    left = _drop(left, _lost(left, vectors, text_of, encoder, settings.round_trip_k), "round_trip", reasons)
    left = _drop(left, _over_limit(left, settings), "over_limit", reasons)
    return _selection(candidates, reasons)


def _rank(row: Row) -> tuple[bool, float, str]:
    return (not _imported(row), -(row["score"] or 0.0), row["question_id"])


def _imported(row: Row) -> bool:
    return bool(row["generator"] == "imported")


def _drop(rows: list[Row], dropped: set[int], reason: str, reasons: dict[str, str]) -> list[Row]:
    reasons.update((rows[position]["question_id"], reason) for position in dropped)
    return [row for position, row in enumerate(rows) if position not in dropped]


def _selection(candidates: pl.DataFrame, reasons: Mapping[str, str]) -> Selection:
    ordered = candidates.sort("question_id")
    reason = pl.Series("reason", [reasons.get(key) for key in ordered["question_id"]], dtype=pl.String)
    marked = ordered.with_columns(reason)
    pairs = tables.validate(tables.QaPairs, marked.filter(pl.col("reason").is_null()))
    rejected = tables.validate(
        tables.RejectedCandidates,
        marked.filter(pl.col("reason").is_not_null()).with_columns(detail=pl.lit(None, pl.String)),
    )
    counts = dict(rejected["reason"].value_counts().iter_rows())
    funnel = {"candidates": candidates.height, **{name: counts.get(name, 0) for name in REASONS}}
    return Selection(pairs, rejected, {**funnel, "pairs": pairs.height})


# -- one question at a time ----------------------------------------------------------------------------


def _refused_alone(row: Row, text_of: Mapping[str, str], settings: SdgSettings) -> str | None:
    return (
        length_reason(row, settings)
        or passage_reason(row, text_of)
        or wording_reason(row)
        or judge_reason(row, settings)
        or copy_reason(row, text_of, settings)
    )


def length_reason(row: Row, settings: SdgSettings) -> str | None:
    """Characters of the question; imported ones may be short."""
    length = len(row["question"].strip())
    if length > settings.max_question_chars:
        return "too_long"
    return "too_short" if length < settings.min_question_chars and not _imported(row) else None


def passage_reason(row: Row, text_of: Mapping[str, str]) -> str | None:
    """Every positive must exist."""
    return None if all(passage_id in text_of for passage_id in row["passage_ids"]) else "unknown_passage"


def wording_reason(row: Row) -> str | None:
    """A question that points at its text makes no sense to a search engine."""
    return "refers_to_text" if refers_to_text(row["question"]) else None


def judge_reason(row: Row, settings: SdgSettings) -> str | None:
    """The judge's score; a language model's question that nobody judged is not trusted."""
    if row["score"] is None:
        return "not_judged" if row["generator"].startswith("llm/") else None
    return "low_score" if row["score"] < settings.judge_threshold else None


def copy_reason(row: Row, text_of: Mapping[str, str], settings: SdgSettings) -> str | None:
    """The longest run of question words that stands in a positive, as share of the question's words.

    Questions whose evidence training cuts out of the passage may copy it; so may imported ones.
    """
    if row["mask_evidence"] or _imported(row):
        return None
    asked = words(row["question"])
    longest = max(longest_run(asked, words(text_of[passage_id])) for passage_id in row["passage_ids"])
    return "copies_passage" if longest > settings.max_overlap * len(asked) else None


# -- all questions together: positions of ``rows`` that go, rows being in the order of preference ----------


def _exact_duplicates(rows: Sequence[Row]) -> set[int]:
    seen: set[str] = set()
    dropped = set()
    for position, row in enumerate(rows):
        form = same_form(row["question"])
        if form in seen:
            dropped.add(position)
        seen.add(form)
    return dropped


def _near_duplicates(vectors: Vectors, threshold: float) -> set[int]:
    """Greedy, first come first kept: a question goes if its cosine with a kept earlier one is above ``threshold``."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    kept = np.empty_like(unit)
    count = 0
    dropped: set[int] = set()
    for start in track(range(0, len(unit), BLOCK), "compare questions"):
        block = unit[start : start + BLOCK]
        scores, _ = top_k(block, kept[:count], 1)
        alive = np.ones(len(block), bool) if count == 0 else scores[:, 0] <= threshold
        close = block @ block.T > threshold
        for position in range(len(block)):
            if alive[position]:
                alive[position + 1 :] &= ~close[position, position + 1 :]
        dropped.update(int(position) for position in start + np.flatnonzero(~alive))
        new = block[alive]
        kept[count : count + len(new)] = new
        count += len(new)
    return dropped


def _lost(rows: Sequence[Row], vectors: Vectors, text_of: Mapping[str, str], encoder: Encoder, k: int) -> set[int]:
    """Questions none of whose positives is among the first ``k`` passages; imported ones are trusted."""
    asked = [position for position, row in enumerate(rows) if not _imported(row)]
    if k >= len(text_of) or not asked:
        return set()
    number = {passage_id: index for index, passage_id in enumerate(text_of)}
    passages = encoder.encode(list(text_of.values()), "passage")
    dropped = set()
    for start in track(range(0, len(asked), BLOCK), "round trip"):
        block = asked[start : start + BLOCK]
        _, found = top_k(vectors[block], passages, k)
        for position, first in zip(block, found, strict=True):
            if not {number[passage_id] for passage_id in rows[position]["passage_ids"]} & set(first.tolist()):
                dropped.add(position)
    return dropped


def _over_limit(rows: Sequence[Row], settings: SdgSettings) -> set[int]:
    """All beyond ``max_questions``, taking imported ones first and then one per passage in turn.

    The passages take their turns in an order drawn from ``seed``.
    """
    order = sorted({row["passage_ids"][0] for row in rows})
    random.Random(settings.seed).shuffle(order)  # noqa: S311 - reproducible, not secret
    place = {passage_id: index for index, passage_id in enumerate(order)}
    taken: dict[str, int] = {}
    turns = []
    for position, row in enumerate(rows):
        passage_id = row["passage_ids"][0]
        taken[passage_id] = taken.get(passage_id, 0) + 1
        turns.append((not _imported(row), taken[passage_id], place[passage_id], position))
    return {position for *_, position in sorted(turns)[settings.max_questions :]}
