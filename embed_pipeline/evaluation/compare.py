"""Is one system better than another? Paired tests over the same queries, by clusters of them.

Questions about one document depend on one another: they are won and lost together. Taken for independent, they give
p-values that are far too small. So what is resampled is the cluster.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from embed_pipeline.errors import StageError
from embed_pipeline.evaluation.metrics import DECIMALS, QueryScores, Values
from embed_pipeline.settings import EvalSettings

DECIDING_METRIC = "ndcg@10"
POWER = 0.8
_CHUNK = 2_000_000  # random numbers held at once
_TIE = 1e-9  # sums of scores closer than this are equal


@dataclass(frozen=True)
class Comparison:
    """One metric, tuned against base.

    Attributes:
        base, tuned: means over the queries.
        delta: tuned - base.
        ci95: bounds of the interval of delta, at ``eval.confidence`` (0.95 by default).
        p: two-sided p-value.
        p_corrected: the same, corrected for everything that was looked at besides (Holm); ``p`` until it is.
    """

    base: float
    tuned: float
    delta: float
    ci95: tuple[float, float]
    p: float
    p_corrected: float | None = None

    def corrected(self, p: float) -> "Comparison":
        """With the corrected p-value."""
        return replace(self, p_corrected=_rounded(p))

    def as_json(self) -> dict[str, Any]:
        """As in ``show metrics --json``."""
        return {
            "base": self.base,
            "tuned": self.tuned,
            "delta": self.delta,
            "ci95": list(self.ci95),
            "p": self.p,
            "p_corrected": self.p if self.p_corrected is None else self.p_corrected,
        }


def compare(
    base: QueryScores, tuned: QueryScores, settings: EvalSettings, clusters: Mapping[str, str] | None = None
) -> dict[str, Comparison]:
    """Compare every metric on the same queries.

    The p-value is Fisher's paired randomisation test (Smucker, Allan and Carterette 2007) by clusters: base and tuned
    are swapped at random in all queries of a cluster at once, over ``settings.resamples`` draws;
    p = (1 + swaps at least as extreme) / (1 + resamples). The interval holds every difference that this test would
    not refuse at 1 - ``settings.confidence``. Both are exact where the clusters err to both sides alike, for any
    number and sizes of clusters. With five clusters or fewer no swap is extreme enough, and the interval is everything
    possible. All metrics see the same draws.

    Chosen by simulation (docs/verdict.md has the table). The percentile bootstrap covers 88 to 90 % of ten clusters,
    Student's t with the CR2 error (Pustejovsky and Tipton 2018) 93 % of uneven ones. The symmetric bootstrap-t covers
    up to seven points more where few questions change, all to one side; but it sees fewer gains (of 30 uneven clusters
    49 % where this sees 65 %), and where few of 30 questions change, a fifth of its intervals has no end.

    Args:
        clusters: query id -> cluster; a query that is missing stands alone, as all do when not given.

    Raises:
        StageError: the two cover different queries or metrics, or none.
    """
    if base.query_ids != tuned.query_ids or base.metrics != tuned.metrics or not base.query_ids:
        raise StageError("base and tuned scores cover different queries or metrics; run again with --force eval.")
    differences = tuned.values - base.values
    sums, sizes = _by_cluster(differences, cluster_numbers(base.query_ids, clusters))
    low, high, p_values = _swapped(sums, sizes, settings)
    means = zip(base.values.mean(axis=0), tuned.values.mean(axis=0), differences.mean(axis=0), strict=True)
    return {
        metric: Comparison(
            base=_rounded(of_base),
            tuned=_rounded(of_tuned),
            delta=_rounded(delta),
            ci95=(_rounded(low[column]), _rounded(high[column])),
            p=_rounded(p_values[column]),
        )
        for column, (metric, (of_base, of_tuned, delta)) in enumerate(zip(base.metrics, means, strict=True))
    }


def cluster_numbers(query_ids: Sequence[str], clusters: Mapping[str, str] | None) -> list[int]:
    """The cluster of each query as a number from 0; queries without one stand alone."""
    numbers: dict[tuple[bool, str], int] = {}
    keys = ((True, clusters[query]) if clusters and query in clusters else (False, query) for query in query_ids)
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def smallest_visible(
    base: QueryScores, tuned: QueryScores, settings: EvalSettings, clusters: Mapping[str, str] | None = None
) -> float | None:
    """The difference of nDCG@10 that these questions would have shown in four of five cases.

    ``(t(1 - alpha / 2) + t(0.8)) * standard error``, of Student's t with clusters - 1 degrees of freedom and the
    cluster-robust standard error (CR1; Cameron and Miller 2015, "A Practitioner's Guide to Cluster-Robust
    Inference"). None with fewer than two clusters.
    """
    from scipy.stats import t

    differences = tuned.column(DECIDING_METRIC) - base.column(DECIDING_METRIC)
    sums, sizes = _by_cluster(differences[:, None], cluster_numbers(base.query_ids, clusters))
    count = len(sizes)
    if count < 2:
        return None
    residuals = sums[:, 0] - sizes * differences.mean()
    error = np.sqrt(count / (count - 1) * np.sum(residuals**2)) / len(differences)
    return _rounded((t.ppf(1 - settings.alpha / 2, count - 1) + t.ppf(POWER, count - 1)) * error)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p-values, in the order given (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure")."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    left = len(p_values) - np.arange(len(p_values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values, np.float64)[order] * left))
    return [float(value) for value in corrected]


def _by_cluster(differences: Values, numbers: Sequence[int]) -> tuple[Values, Values]:
    """Sums of the differences [c, m] and numbers of queries [c] of each cluster."""
    sizes = np.bincount(numbers).astype(np.float64)
    sums = np.zeros((len(sizes), differences.shape[1]))
    np.add.at(sums, numbers, differences)
    return sums, sizes


def _swapped(sums: Values, sizes: Values, settings: EvalSettings) -> tuple[Values, Values, Values]:
    """Bounds of the intervals and p-values of each column [m].

    A swap by signs s refuses a true difference d where |S - n d|, S the sum of all and n their number, is larger than
    |s·sums - s·sizes d|. It lets stand what lies between (S - s·sums) / (n - s·sizes) and (S + s·sums) /
    (n + s·sizes), so that the bounds of all swaps give the interval at once.
    """
    rng = np.random.default_rng((settings.seed, 1))
    total, queries = sums.sum(axis=0), sizes.sum()
    lows, highs = [], []
    extreme = np.zeros(sums.shape[1], np.int64)
    for draws in _chunks(settings.resamples, len(sizes)):
        signs = rng.integers(0, 2, (draws, len(sizes)), dtype=np.int8) * 2.0 - 1.0
        swapped, counted = signs @ sums, (signs @ sizes)[:, None]
        extreme += (np.abs(swapped) >= np.abs(total) - _TIE).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = (total - swapped) / (queries - counted), (total + swapped) / (queries + counted)
        everything = np.broadcast_to(np.abs(counted) >= queries - _TIE, one.shape)  # all kept, or all swapped
        lows.append(np.where(everything, -1.0, np.minimum(one, other)))
        highs.append(np.where(everything, 1.0, np.maximum(one, other)))
    needed = int((1 - settings.confidence) * (settings.resamples + 1) + _TIE)
    p_values: Values = (1 + extreme) / (1 + settings.resamples)
    return _nth(np.concatenate(lows), needed), -_nth(-np.concatenate(highs), needed), p_values


def _nth(bounds: Values, needed: int) -> Values:
    """The ``needed``-th smallest of each column, within what a difference can be."""
    if needed < 1:
        return np.full(bounds.shape[1], -1.0)
    found: Values = np.clip(np.partition(bounds, needed - 1, axis=0)[needed - 1], -1.0, 1.0)
    return found


def _chunks(resamples: int, clusters: int) -> Iterator[int]:
    size = max(1, _CHUNK // clusters)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS) + 0.0  # no negative zero
