"""What was exported and what is served, beside the systems that were compared before."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from embed_pipeline import tables
from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.evaluation.compare import compare
from embed_pipeline.evaluation.comparisons import SLICE_METRICS, against, interval
from embed_pipeline.evaluation.metrics import from_frame, mean_scores, score_run, to_frame
from embed_pipeline.evaluation.retrieve import dense_run
from embed_pipeline.evaluation.systems import depth
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings

ENDPOINT = "endpoint"


def with_model(
    summary: Mapping[str, Any],
    scores: pl.DataFrame,
    sets: Sequence[RetrievalSet],
    name: str,
    encoder: Encoder,
    settings: EvalSettings,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Summary and scores with one model more, compared with the tuned one.

    Its p-values are not corrected: it is expected to be the same, and a small one is a warning.

    Args:
        summary: of :class:`embed_pipeline.evaluation.evaluate.TunedEvaluation`.
        scores: :class:`embed_pipeline.tables.QueryMetrics`, with those of ``tuned``.
        sets: those on which it is measured; the others stay as they are.
        name: of the system.
    """
    found, frames = _copied(summary), [scores]
    for test_set in sets:
        run = dense_run(test_set, encoder, depth(settings), settings.keep_identical_ids)
        own = score_run(test_set, run, settings.ks)
        tuned = from_frame(scores, test_set.name, "tuned", settings.ks)
        everybody = set(test_set.queries)
        pair = (tuned.subset(everybody, SLICE_METRICS), own.subset(everybody, SLICE_METRICS))
        compared = compare(*pair, settings, clusters=test_set.clusters)
        found["test_sets"][test_set.name][name] = mean_scores(own)
        found["versus"][test_set.name][name] = {metric: against(row) for metric, row in compared.items()}
        found["intervals"][test_set.name][name] = interval(own, test_set, settings)
        frames.append(to_frame(own, test_set.name, name))
    return found, pl.concat(frames)


def with_endpoint(summary: Mapping[str, Any], endpoint_metrics: pl.DataFrame) -> dict[str, Any]:
    """The summary with the means that were measured through the endpoint.

    Args:
        endpoint_metrics: :class:`embed_pipeline.tables.EndpointMetrics`.
    """
    found = _copied(summary)
    for test_set, metric, value in endpoint_metrics.select("test_set", "metric", "endpoint").iter_rows():
        found["test_sets"][test_set].setdefault(ENDPOINT, {})[metric] = value
    return found


def system_frame(summary: Mapping[str, Any]) -> pl.DataFrame:
    """Rows of :class:`embed_pipeline.tables.SystemMetrics`."""
    rows = [
        {"test_set": test_set, "system": system, "metric": metric, "value": value}
        for test_set, systems in summary["test_sets"].items()
        for system, values in systems.items()
        for metric, value in values.items()
    ]
    return tables.validate(tables.SystemMetrics, pl.DataFrame(rows))


def _copied(summary: Mapping[str, Any]) -> dict[str, Any]:
    parts = {
        part: {name: dict(rows) for name, rows in summary[part].items()}
        for part in ("test_sets", "versus", "intervals")
    }
    return {**summary, **parts}
