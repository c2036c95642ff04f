"""Models that one could start from, or use as they are, on every test set: untrained, alone and fused with BM25."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from embed_pipeline import tables
from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.evaluation.compare import DECIDING_METRIC, Comparison, compare, holm
from embed_pipeline.evaluation.metrics import QueryScores, from_frame, score_run
from embed_pipeline.evaluation.retrieve import dense_run
from embed_pipeline.evaluation.systems import depth
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import EQUAL_WEIGHT, Run, convex
from embed_pipeline.settings import EvalSettings

RECALL = "recall@10"
TIMED = 64
"""Passages encoded anew to measure the speed."""
WARM_UP = 8


@dataclass(frozen=True)
class CandidateScores:
    """What one candidate reached.

    Attributes:
        name: as in the settings.
        dense: test set -> its scores alone.
        fused: test set -> fused with BM25 by scores.
        facts: parameters, bytes, dimensions, max_tokens, passages_per_second; what is not known is missing.
        problem: why it could not be measured; then nothing else is there.
        encoder: version of how it encodes.
        weight: of the model in the fusion.
    """

    name: str
    dense: Mapping[str, QueryScores] = field(default_factory=dict)
    fused: Mapping[str, QueryScores] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    problem: str | None = None
    encoder: str | None = None
    weight: float | None = None


def evaluate_candidate(
    sets: Sequence[RetrievalSet],
    encoder: Encoder,
    sparse: Callable[[str], Run],
    settings: EvalSettings,
    weight: float = EQUAL_WEIGHT,
) -> tuple[dict[str, QueryScores], dict[str, QueryScores]]:
    """Score one model on every test set, alone and fused.

    Args:
        sparse: test set -> what BM25 finds there.
        weight: of the model in the fusion, chosen before.

    Raises:
        StageError: a vector is not finite.
    """
    k, keep = depth(settings), settings.keep_identical_ids
    dense, fused = {}, {}
    for test_set in sets:
        run = dense_run(test_set, encoder, k, keep)
        dense[test_set.name] = score_run(test_set, run, settings.ks)
        fused[test_set.name] = score_run(test_set, convex(sparse(test_set.name), run, k, weight), settings.ks)
    return dense, fused


def passages_per_second(encoder: Encoder, passages: Sequence[str]) -> float:
    """Speed over up to 64 of the passages, spread over all; the encoder must not remember them."""
    sample = passages[:: max(1, len(passages) // TIMED)][:TIMED]
    encoder.encode(sample[:WARM_UP], "passage")
    began = time.perf_counter()
    encoder.encode(sample, "passage")
    return round(len(sample) / max(time.perf_counter() - began, 1e-9), 1)


def candidate_table(
    sets: Sequence[RetrievalSet], found: Sequence[CandidateScores], base: pl.DataFrame, settings: EvalSettings
) -> pl.DataFrame:
    """Every candidate on every test set, against the base model.

    Args:
        base: :class:`embed_pipeline.tables.QueryMetrics` of the base model.

    Returns:
        :class:`embed_pipeline.tables.CandidateMetrics`, best first on the first set; those with a problem last.
    """
    rows = [row for test_set in sets for row in _rows_of_set(test_set, found, base, settings)]
    compared = [row for row in rows if row["p"] is not None]
    for row, corrected in zip(compared, holm([row["p"] for row in compared]), strict=True):
        row["p_corrected"] = round(corrected, 6)
    for row in rows:
        del row["p"]
    return tables.validate(tables.CandidateMetrics, pl.DataFrame(rows, infer_schema_length=None))


def _rows_of_set(
    test_set: RetrievalSet, found: Sequence[CandidateScores], base: pl.DataFrame, settings: EvalSettings
) -> list[dict[str, Any]]:
    before = from_frame(base, test_set.name, "base", settings.ks)
    rows = [
        {"candidate": one.name, "test_set": test_set.name, "problem": one.problem, "p_corrected": None}
        | _figures(one, test_set, before, settings)
        for one in found
    ]
    return sorted(rows, key=lambda row: -1.0 if row["ndcg_at_10"] is None else row["ndcg_at_10"], reverse=True)


def _figures(
    one: CandidateScores, test_set: RetrievalSet, before: QueryScores, settings: EvalSettings
) -> dict[str, Any]:
    names = ("ndcg_at_10", "recall_at_10", "fused_ndcg_at_10", "fused_recall_at_10", "delta", "ci_low", "ci_high", "p")
    facts = {name: one.facts.get(name) for name in FACTS}
    if one.problem is not None:
        return dict.fromkeys((*names, "weight")) | facts
    dense, fused = one.dense[test_set.name], one.fused[test_set.name]
    against: Comparison = compare(before, dense, settings, test_set.clusters)[DECIDING_METRIC]
    values = [*_means(dense), *_means(fused), against.delta, *against.ci95, against.p]
    return dict(zip(names, values, strict=True)) | {"weight": one.weight} | facts


FACTS = ("dimensions", "parameters", "bytes", "max_tokens", "passages_per_second")


def _means(scores: QueryScores) -> Iterator[float]:
    yield from (round(float(scores.column(metric).mean()), 6) for metric in (DECIDING_METRIC, RECALL))
