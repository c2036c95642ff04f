"""The same evaluation through the endpoint."""

from collections.abc import Sequence

import polars as pl

from embed_pipeline import tables
from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.evaluation.metrics import DECIMALS, from_frame, mean_scores, metric_names, score_run
from embed_pipeline.evaluation.retrieve import dense_run
from embed_pipeline.evaluation.systems import depth
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings


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
        served = mean_scores(
            score_run(test_set, dense_run(test_set, encoder, depth(settings), settings.keep_identical_ids), settings.ks)
        )
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
