"""nDCG, recall, precision, MAP and MRR of a run, query by query, by pytrec_eval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from embed_pipeline import tables
from embed_pipeline.errors import ArtifactError
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import Run

Values = NDArray[np.float64]

METRICS = ("ndcg", "recall", "precision", "map", "mrr")
DECIMALS = 6
_MEASURES = {"ndcg": "ndcg_cut", "recall": "recall", "precision": "P", "map": "map_cut"}


@dataclass(frozen=True, eq=False)
class QueryScores:
    """Scores of one system on one test set.

    Attributes:
        query_ids: q of them.
        metrics: m names, ``ndcg@10`` and so on.
        values: [q, m], rounded to 6 decimals.
    """

    query_ids: tuple[str, ...]
    metrics: tuple[str, ...]
    values: Values

    def column(self, metric: str) -> Values:
        """The scores of one metric, [q]."""
        column: Values = self.values[:, self.metrics.index(metric)]
        return column

    def subset(self, query_ids: set[str], metrics: Sequence[str]) -> "QueryScores":
        """Only these queries and metrics; the order of the queries stays."""
        rows = [index for index, query in enumerate(self.query_ids) if query in query_ids]
        columns = [self.metrics.index(metric) for metric in metrics]
        kept = tuple(self.query_ids[row] for row in rows)
        return QueryScores(kept, tuple(metrics), self.values[np.ix_(rows, columns)])


def metric_names(ks: Sequence[int]) -> tuple[str, ...]:
    """``ndcg@1, ndcg@5, … mrr@100`` in the order in which they are shown."""
    return tuple(f"{metric}@{k}" for metric in METRICS for k in sorted(set(ks)))


def score_run(retrieval_set: RetrievalSet, run: Run, ks: Sequence[int]) -> QueryScores:
    """Score every query of the set; one that is missing from the run, or found nothing, gets 0 everywhere.

    nDCG, recall, precision and MAP are trec_eval's ``ndcg_cut``, ``recall``, ``P`` and ``map_cut``, as in
    BEIR. ``mrr@k`` is the reciprocal rank of the first relevant passage if it is among the first k, else 0.
    Everywhere the order is trec_eval's: scores as float32, ties by descending passage id.
    """
    import pytrec_eval

    cuts = sorted(set(ks))
    joined = ",".join(str(k) for k in cuts)
    qrels = {query: {key: int(score) for key, score in row.items()} for query, row in retrieval_set.qrels.items()}
    results = {query: {key: float(score) for key, score in run[query].items()} for query in qrels if run.get(query)}
    measures = {f"{measure}.{joined}" for measure in _MEASURES.values()} | {"recip_rank"}
    found = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(results)
    names = metric_names(cuts)
    query_ids = tuple(sorted(retrieval_set.queries))
    values = [_row(found[query], cuts) if query in found else [0.0] * len(names) for query in query_ids]
    return QueryScores(query_ids, names, np.round(np.array(values).reshape(len(query_ids), len(names)), DECIMALS))


def _row(found: dict[str, float], cuts: Sequence[int]) -> list[float]:
    row = [found[f"{measure}_{k}"] for measure in _MEASURES.values() for k in cuts]
    reciprocal = found["recip_rank"]
    return row + [reciprocal if reciprocal * k > 1 - 1e-9 else 0.0 for k in cuts]


def mean_ndcg(retrieval_set: RetrievalSet, run: Run, k: int = 10) -> float:
    """nDCG@k, mean over the queries."""
    return float(score_run(retrieval_set, run, (k,)).column(f"ndcg@{k}").mean())


def mean_scores(scores: QueryScores) -> dict[str, float]:
    """Metric -> mean over all queries, rounded to 6 decimals."""
    means = scores.values.mean(axis=0)
    return {metric: round(float(mean), DECIMALS) for metric, mean in zip(scores.metrics, means, strict=True)}


def to_frame(scores: QueryScores, test_set: str, system: str) -> pl.DataFrame:
    """As rows of :class:`embed_pipeline.tables.QueryMetrics`, ordered by query and metric."""
    frame = pl.DataFrame(
        {
            "test_set": test_set,
            "system": system,
            "query_id": np.repeat(np.array(scores.query_ids, dtype=object), len(scores.metrics)).tolist(),
            "metric": list(scores.metrics) * len(scores.query_ids),
            "value": scores.values.ravel(),
        }
    )
    return tables.validate(tables.QueryMetrics, frame)


def from_frame(frame: pl.DataFrame, test_set: str, system: str, ks: Sequence[int]) -> QueryScores:
    """Read back what :func:`to_frame` wrote.

    Raises:
        ArtifactError: the system was not scored on this test set, or not at these cut-offs.
    """
    names = metric_names(ks)
    rows = frame.filter((pl.col("test_set") == test_set) & (pl.col("system") == system))
    wide = rows.pivot("metric", index="query_id", values="value").sort("query_id")
    missing = [name for name in names if name not in wide.columns]
    if missing or wide.is_empty():
        raise ArtifactError(
            f"the stored scores of {system} on the {test_set} set lack {', '.join(missing) or 'every query'}; "
            "run again with --force eval."
        )
    return QueryScores(tuple(wide["query_id"]), names, wide.select(names).to_numpy().astype(np.float64))
