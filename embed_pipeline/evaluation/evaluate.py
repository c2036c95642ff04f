"""Every system on every test set: before training, after it, and through the endpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from embed_pipeline import tables
from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.errors import InputError
from embed_pipeline.evaluation.compare import Comparison, compare, verdict
from embed_pipeline.evaluation.fusion_weight import FusionWeight, choose_weight
from embed_pipeline.evaluation.metrics import (
    DECIMALS,
    QueryScores,
    from_frame,
    mean_scores,
    metric_names,
    score_run,
    to_frame,
)
from embed_pipeline.evaluation.retrieve import bm25_run, dense_run
from embed_pipeline.evaluation.runs import run_frame, run_of
from embed_pipeline.evaluation.systems import BASE_SYSTEMS, STORED, base_runs, depth, tuned_runs
from embed_pipeline.progress import task
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings

SLICE_METRICS = ("ndcg@10", "recall@10")
MIN_SLICE_QUERIES = 5
_RECIPE_NAMES = {"NDCG": "ndcg", "MAP": "map", "Recall": "recall", "P": "precision"}


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
    k = depth(settings)
    fusion = FusionWeight()
    if development is not None:
        fusion = choose_weight(development, bm25_run(development, k), dense_run(development, encoder, k), k, settings)
    scores, runs = [], []
    for test_set in sets:
        found = base_runs(test_set, encoder, k, fusion.weight)
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
) -> TunedEvaluation:
    """Score the tuned model alone and fused, compare it with the base query by query, and decide.

    Args:
        sets: the sets given to :func:`evaluate_base`.
        encoder: the tuned model.
        before: what :func:`evaluate_base` returned.
        settings: the same cut-offs.
        development: the questions given to :func:`evaluate_base`.

    Raises:
        InputError: there is no test set.
        ArtifactError, StageError: ``before`` was made from other queries or cut-offs.
    """
    _refuse_none(sets)
    k = depth(settings)
    fusion = FusionWeight()
    if development is not None:
        fusion = choose_weight(development, bm25_run(development, k), dense_run(development, encoder, k), k, settings)
    scores, runs = [], []
    systems: dict[str, dict[str, QueryScores]] = {}
    for test_set in sets:
        name = test_set.name
        stored = {one: from_frame(before.query_metrics, name, one, settings.ks) for one in BASE_SYSTEMS}
        found = tuned_runs(test_set, encoder, run_of(before.runs, name, "bm25"), k, fusion.weight)
        scored = {one: score_run(test_set, run, settings.ks) for one, run in found.items()}
        scores += [to_frame(of_system, name, one) for one, of_system in scored.items()]
        runs += [run_frame(found["tuned"], name, "tuned")]
        systems[name] = {**stored, **scored}
    metrics, summary = _compared(sets, systems, settings)
    return TunedEvaluation(
        tables.validate(tables.QueryMetrics, pl.concat(scores)),
        tables.validate(tables.Runs, pl.concat(runs)),
        metrics,
        summary | {"fusion": {"base": before.fusion.as_json(), "tuned": fusion.as_json()}},
    )


def _compared(
    sets: Sequence[RetrievalSet], systems: Mapping[str, Mapping[str, QueryScores]], settings: EvalSettings
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Rows of :class:`embed_pipeline.tables.Metrics`, and the summary."""
    rows: list[dict[str, Any]] = []
    comparisons: dict[str, dict[str, Comparison]] = {}
    for test_set in sets:
        base, tuned = systems[test_set.name]["base"], systems[test_set.name]["tuned"]
        comparisons[test_set.name] = compare(base, tuned, settings)
        rows += _metric_rows(test_set, base, tuned, comparisons[test_set.name], settings)
    summary = {
        "test_sets": {
            name: {system: mean_scores(scores) for system, scores in of_set.items()} for name, of_set in systems.items()
        },
        "queries": {one.name: len(one.queries) for one in sets},
        "clusters": {one.name: len({one.clusters.get(query, query) for query in one.queries}) for one in sets},
        "comparison": {
            name: {metric: found.as_json() for metric, found in by_metric.items()}
            for name, by_metric in comparisons.items()
        },
        "verdict": verdict(comparisons, settings),
    }
    return tables.validate(tables.Metrics, pl.DataFrame(rows)), summary


def evaluate_endpoint(
    sets: Sequence[RetrievalSet],
    encoder: Encoder,
    tuned_scores: pl.DataFrame,
    settings: EvalSettings,
    tolerance_at_1: float = 0.03,
    tolerance: float = 0.01,
) -> pl.DataFrame:
    """Score the endpoint and hold its means against the checkpoint's.

    Args:
        sets: the sets given to :func:`evaluate_tuned`.
        encoder: the endpoint.
        tuned_scores: ``query_metrics`` of :func:`evaluate_tuned`.
        settings: the same cut-offs.
        tolerance_at_1: largest absolute difference of a mean at k < 5.
        tolerance: the same at k >= 5.

    Returns:
        :class:`embed_pipeline.tables.EndpointMetrics`.

    Raises:
        ArtifactError: ``tuned_scores`` were made from other sets or cut-offs.
    """
    rows = []
    for test_set in sets:
        served = mean_scores(score_run(test_set, dense_run(test_set, encoder, max(settings.ks)), settings.ks))
        checkpoint = mean_scores(from_frame(tuned_scores, test_set.name, "tuned", settings.ks))
        for metric in metric_names(settings.ks):
            delta = round(served[metric] - checkpoint[metric], DECIMALS) + 0.0
            allowed = tolerance_at_1 if int(metric.rpartition("@")[2]) < 5 else tolerance
            rows.append(
                {
                    "test_set": test_set.name,
                    "metric": metric,
                    "checkpoint": checkpoint[metric],
                    "endpoint": served[metric],
                    "delta": delta,
                    "tolerance": allowed,
                    "within_tolerance": abs(delta) <= allowed,
                }
            )
    return tables.validate(tables.EndpointMetrics, pl.DataFrame(rows))


def recipe_results(summary: Mapping[str, Any], test_set: str = "synthetic") -> dict[str, dict[str, dict[str, float]]]:
    """eval_results.json of the reference recipe: ``{"base", "finetuned"} -> NDCG, MAP, Recall, Precision``.

    Values are rounded to 5 decimals, as BEIR does. The recipe evaluates its held-out split, hence the default.
    """
    systems = summary["test_sets"].get(test_set) or next(iter(summary["test_sets"].values()))
    return {
        recipe_system: {
            "Precision" if recipe_name == "P" else recipe_name: {
                f"{recipe_name}@{metric.rpartition('@')[2]}": round(value, 5)
                for metric, value in systems[system].items()
                if metric.startswith(f"{name}@")
            }
            for recipe_name, name in _RECIPE_NAMES.items()
        }
        for recipe_system, system in (("base", "base"), ("finetuned", "tuned"))
    }


def _metric_rows(
    test_set: RetrievalSet,
    base: QueryScores,
    tuned: QueryScores,
    overall: Mapping[str, Comparison],
    settings: EvalSettings,
) -> list[dict[str, Any]]:
    """Rows of :class:`embed_pipeline.tables.Metrics`: all queries, then every slice that is large enough."""
    rows = _rows(test_set.name, "all", len(base.query_ids), overall)
    slices = [(label, ids) for label, ids in _slices(test_set) if len(ids) >= MIN_SLICE_QUERIES]
    with task(f"compare slices of the {test_set.name} set", len(slices)) as running:
        for label, ids in slices:
            of_slice = compare(base.subset(ids, SLICE_METRICS), tuned.subset(ids, SLICE_METRICS), settings)
            rows += _rows(test_set.name, label, len(ids), of_slice)
            running.advance()
    return rows


def _slices(test_set: RetrievalSet) -> list[tuple[str, set[str]]]:
    """``name=value`` and the queries that have it, in the order of the labels."""
    queries: dict[str, set[str]] = {}
    for query in test_set.queries:
        for name, value in test_set.query_slices.get(query, {}).items():
            queries.setdefault(f"{name}={value}", set()).add(query)
    return sorted(queries.items())


def _rows(test_set: str, label: str, queries: int, comparisons: Mapping[str, Comparison]) -> list[dict[str, Any]]:
    return [
        {
            "test_set": test_set,
            "slice": label,
            "metric": metric,
            "queries": queries,
            "base": found.base,
            "tuned": found.tuned,
            "delta": found.delta,
            "ci_low": found.ci95[0],
            "ci_high": found.ci95[1],
            "p": found.p,
        }
        for metric, found in comparisons.items()
    ]


def _refuse_none(sets: Sequence[RetrievalSet]) -> None:
    if not sets:
        raise InputError(
            "there is nothing to evaluate on: the test split holds no question and eval.gold is not set; "
            "raise prep.test_ratio, give more documents, or set eval.gold."
        )


def _concat(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return tables.validate(tables.QueryMetrics, pl.concat([tables.empty(tables.QueryMetrics), *frames]))
