"""Every system on every test set: before training and after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from embed_pipeline import tables
from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.errors import InputError
from embed_pipeline.evaluation.comparisons import compared
from embed_pipeline.evaluation.fusion_weight import FusionWeight, fusion_with
from embed_pipeline.evaluation.metrics import QueryScores, from_frame, score_run, to_frame
from embed_pipeline.evaluation.runs import run_frame, run_of
from embed_pipeline.evaluation.systems import BASE_SYSTEMS, STORED, base_runs, tuned_runs
from embed_pipeline.evaluation.trust import Trust
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings


@dataclass(frozen=True, eq=False)
class BaseEvaluation:
    """What was there before training.

    Attributes:
        query_metrics: :class:`embed_pipeline.tables.QueryMetrics` of base, bm25, hybrid and convex.
        runs: :class:`embed_pipeline.tables.Runs` of base and bm25.
        fusion: weight of the dense side in the convex combination, and what chose it.
    """

    query_metrics: pl.DataFrame
    runs: pl.DataFrame
    fusion: FusionWeight


@dataclass(frozen=True, eq=False)
class TunedEvaluation:
    """The tuned model against what could be used instead.

    Attributes:
        query_metrics: :class:`embed_pipeline.tables.QueryMetrics` of tuned, hybrid_tuned, convex_tuned, and of the
            model cut to smaller dimensions.
        runs: :class:`embed_pipeline.tables.Runs` of tuned.
        metrics: :class:`embed_pipeline.tables.Metrics`, tuned against base: every metric and slice.
        summary: what ``show metrics --json`` prints.
    """

    query_metrics: pl.DataFrame
    runs: pl.DataFrame
    metrics: pl.DataFrame
    summary: dict[str, Any]


def evaluate_base(
    sets: Sequence[RetrievalSet],
    encoder: Encoder,
    settings: EvalSettings,
    development: RetrievalSet | None = None,
) -> BaseEvaluation:
    """Score base, bm25, and the two fused by ranks (hybrid) and by scores (convex) on every test set.

    Args:
        development: questions judged by people, of no test set, that may choose the weight of the fusion.

    Raises:
        InputError: there is no test set.
    """
    _refuse_none(sets)
    fusion = fusion_with(development, encoder, settings)
    scores, runs = [], []
    for test_set in sets:
        found = base_runs(test_set, encoder, settings, fusion.weight)
        scores += [to_frame(score_run(test_set, found[one], settings.ks), test_set.name, one) for one in found]
        runs += [run_frame(found[one], test_set.name, one) for one in found if one in STORED]
    return BaseEvaluation(
        tables.validate(tables.QueryMetrics, pl.concat(scores)), tables.validate(tables.Runs, pl.concat(runs)), fusion
    )


def evaluate_tuned(
    sets: Sequence[RetrievalSet],
    encoder: Encoder,
    before: BaseEvaluation,
    settings: EvalSettings,
    development: RetrievalSet | None = None,
    trust: Trust | None = None,
) -> TunedEvaluation:
    """Score the tuned model alone and fused, compare it with the base query by query, and decide.

    Args:
        sets: the sets given to :func:`evaluate_base`.
        encoder: the tuned model.
        before: what :func:`evaluate_base` returned.
        settings: the same cut-offs.
        development: the questions given to :func:`evaluate_base`.
        trust: whether the generated test may say ship.

    Raises:
        InputError: there is no test set.
        ArtifactError, StageError: ``before`` was made from other queries or cut-offs.
    """
    _refuse_none(sets)
    found = score_tuned(sets, encoder, before, settings, development)
    metrics, summary = compared(sets, found.systems, settings, trust)
    fusion = {"base": before.fusion.as_json(), "tuned": found.fusion.as_json()}
    return TunedEvaluation(found.query_metrics, found.runs, metrics, summary | {"fusion": fusion})


@dataclass(frozen=True, eq=False)
class TunedScores:
    """What the tuned model finds, alone and fused.

    Attributes:
        query_metrics, runs: as of :class:`TunedEvaluation`.
        fusion: as of :class:`BaseEvaluation`, with the tuned model.
        systems: test set -> system -> its scores, those known before among them.
    """

    query_metrics: pl.DataFrame
    runs: pl.DataFrame
    fusion: FusionWeight
    systems: dict[str, dict[str, QueryScores]]


def score_tuned(
    sets: Sequence[RetrievalSet],
    encoder: Encoder,
    before: BaseEvaluation,
    settings: EvalSettings,
    development: RetrievalSet | None = None,
) -> TunedScores:
    """Score the tuned model alone and fused on every test set; parameters and errors as of :func:`evaluate_tuned`."""
    fusion = fusion_with(development, encoder, settings)
    scores, runs = [], []
    systems: dict[str, dict[str, QueryScores]] = {}
    for test_set in sets:
        name = test_set.name
        stored = {one: from_frame(before.query_metrics, name, one, settings.ks) for one in BASE_SYSTEMS}
        found = tuned_runs(test_set, encoder, run_of(before.runs, name, "bm25"), settings, fusion.weight)
        scored = {one: score_run(test_set, run, settings.ks) for one, run in found.items()}
        scores += [to_frame(of_system, name, one) for one, of_system in scored.items()]
        runs += [run_frame(found["tuned"], name, "tuned")]
        systems[name] = {**stored, **scored}
    return TunedScores(
        tables.validate(tables.QueryMetrics, pl.concat(scores)),
        tables.validate(tables.Runs, pl.concat(runs)),
        fusion,
        systems,
    )


def _refuse_none(sets: Sequence[RetrievalSet]) -> None:
    if all(one.kind == "general" for one in sets):
        raise InputError(
            "there is nothing to evaluate on: the test split holds no question and eval.gold is not set; "
            "raise prep.test_ratio, give more documents, or set eval.gold."
        )
