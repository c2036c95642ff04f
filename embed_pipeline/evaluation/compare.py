"""Is the tuned model better than its base? Paired tests over the same queries, and one verdict."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from embed_pipeline.errors import StageError
from embed_pipeline.evaluation.metrics import DECIMALS, QueryScores, Values
from embed_pipeline.settings import EvalSettings

Verdict = Literal["ship", "no_gain", "regress"]

DECIDING_METRIC = "ndcg@10"
_CHUNK = 2_000_000  # random numbers held at once
_TIE = 1e-9  # sums of scores closer than this are equal


@dataclass(frozen=True)
class Comparison:
    """One metric, tuned against base.

    Attributes:
        base, tuned: means over the queries.
        delta: tuned - base.
        ci95: bounds of the paired bootstrap interval of delta, at ``eval.confidence`` (0.95 by default).
        p: two-sided p-value of the paired permutation test.
    """

    base: float
    tuned: float
    delta: float
    ci95: tuple[float, float]
    p: float

    def as_json(self) -> dict[str, Any]:
        """As in ``show metrics --json``."""
        return {
            "base": self.base,
            "tuned": self.tuned,
            "delta": self.delta,
            "ci95": list(self.ci95),
            "p": self.p,
        }


def compare(base: QueryScores, tuned: QueryScores, settings: EvalSettings) -> dict[str, Comparison]:
    """Compare every metric on the same queries.

    The interval is the percentile bootstrap of the mean difference over ``settings.resamples`` draws of
    queries with replacement (Efron and Tibshirani 1993, chapter 13). The p-value is Fisher's paired
    randomisation test: base and tuned are swapped at random per query (Smucker, Allan and Carterette 2007),
    p = (1 + swaps at least as extreme) / (1 + resamples). All metrics see the same draws.

    Raises:
        StageError: the two cover different queries or metrics, or none.
    """
    if base.query_ids != tuned.query_ids or base.metrics != tuned.metrics or not base.query_ids:
        raise StageError("base and tuned scores cover different queries or metrics; run again with --force eval.")
    differences = tuned.values - base.values
    low, high = _intervals(differences, settings)
    p_values = _p_values(differences, settings)
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


def verdict(comparisons: Mapping[str, Mapping[str, Comparison]], settings: EvalSettings) -> Verdict:
    """Decide by nDCG@10 on the gold set if there is one, else on the synthetic set.

    ``ship``: better with p below ``settings.alpha``; ``regress``: worse with p below it; else ``no_gain``.
    """
    decisive = comparisons[deciding_set(comparisons)][DECIDING_METRIC]
    if decisive.p >= settings.alpha or decisive.delta == 0:
        return "no_gain"
    return "ship" if decisive.delta > 0 else "regress"


def deciding_set(comparisons: Mapping[str, Any]) -> str:
    """Name of the test set that decides: gold if it is there, else synthetic."""
    return "gold" if "gold" in comparisons else "synthetic"


def _intervals(differences: Values, settings: EvalSettings) -> tuple[Values, Values]:
    """Percentile bootstrap bounds of the column means of ``differences`` [q, m]."""
    queries = len(differences)
    rng = np.random.default_rng((settings.seed, 0))
    means = []
    for size in _chunks(settings.resamples, queries):
        drawn = rng.integers(0, queries, (size, queries)) + queries * np.arange(size)[:, None]
        times_drawn = np.bincount(drawn.ravel(), minlength=size * queries).reshape(size, queries)
        means.append(times_drawn.astype(np.float64) @ differences / queries)
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return low, high


def _p_values(differences: Values, settings: EvalSettings) -> Values:
    """Two-sided paired permutation p-values of the column means of ``differences`` [q, m]."""
    queries = len(differences)
    rng = np.random.default_rng((settings.seed, 1))
    observed = np.abs(differences.sum(axis=0)) - _TIE
    extreme = np.zeros(differences.shape[1], np.int64)
    for size in _chunks(settings.resamples, queries):
        signs = rng.integers(0, 2, (size, queries), dtype=np.int8) * 2.0 - 1.0
        extreme += (np.abs(signs @ differences) >= observed).sum(axis=0)
    p_values: Values = (1 + extreme) / (1 + settings.resamples)
    return p_values


def _chunks(resamples: int, queries: int) -> Iterator[int]:
    size = max(1, _CHUNK // queries)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS) + 0.0  # no negative zero
