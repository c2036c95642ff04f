"""Evaluations of which the truth is known: do intervals cover it, and are p-values uniform where there is no effect?

``make coverage-simulation`` prints the table of docs/verdict.md in some minutes;
``test_compare.py`` asserts parts of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from embed_pipeline.evaluation.compare import compare
from embed_pipeline.evaluation.metrics import QueryScores
from embed_pipeline.settings import EvalSettings

Values = NDArray[np.float64]
Shape = Callable[[Values, np.random.Generator], Values]
"""Differences from how much each question likes the tuned model [questions, trials], which is standard normal."""

CORRELATIONS = (0.0, 0.2, 0.4)
DESIGNS = ((10, 30), (10, 100), (12, 60), (30, 90), (30, 300), (100, 300))
"""Clusters and questions."""
LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75)
_ALIKE = 200  # evaluations that share the clusters
_GAINS = np.array([0.0, 0.3, 0.35, 0.43, 0.5, 0.63, 1.0])
"""nDCG@10 of one relevant passage at ranks below 10, 9, 6, 4, 3, 2, 1, roughly."""
_EDGES = stats.norm.ppf(np.cumsum([0.25, 0.08, 0.07, 0.1, 0.1, 0.15]))
_HUMAN = (-0.43, -0.29, -0.07, *[0.0] * 9, 0.04, 0.12, 0.20, 0.30, 0.37, 0.39, 0.50, 0.67)
"""Twentieths of the differences of nDCG@10 that training made on the sample's gold set; skewness 0.4."""
_GENERATED = (-0.37, *[0.0] * 12, 0.29, 0.37, 0.50, 0.50, 0.61, 0.70, 1.00)
"""The same of its generated questions; skewness 0.9."""
_RARE = (*[0.0] * 14, 0.04, 0.07, 0.07, 0.20, 0.32, 0.34)
"""The same of a small corpus whose questions were won rarely and never lost; skewness 2."""


def both_ranked(effect: float) -> Shape:
    """Differences of nDCG@10 of two rankings, exchangeable where there is no effect."""

    def shape(liking: Values, rng: np.random.Generator) -> Values:
        ability = rng.normal(size=liking.shape)
        before, after = (np.digitize(0.8 * ability + sign * 0.6 * (liking + effect), _EDGES) for sign in (-1.0, 1.0))
        return _GAINS[after] - _GAINS[before]

    return shape


def measured(twentieths: tuple[float, ...]) -> Shape:
    """Differences distributed as measured ones."""
    quantiles = np.array(twentieths)
    return lambda liking, _: quantiles[np.minimum((stats.norm.cdf(liking) * len(quantiles)).astype(int), 19)]


SHAPES: dict[str, Shape] = {
    "no effect": both_ranked(0.0),
    "gain": both_ranked(0.4),
    "normal": lambda liking, _: 0.2 * liking,
    "human": measured(_HUMAN),
    "generated": measured(_GENERATED),
    "rare": measured(_RARE),
}


@dataclass(frozen=True)
class Simulated:
    """Many evaluations of one design.

    Attributes:
        covered: share of the intervals that hold the true difference.
        p_values: of every evaluation.
    """

    covered: float
    p_values: Values

    def at_most(self, level: float) -> float:
        """Share of the p-values that are no larger."""
        return float(np.mean(self.p_values <= level))


def clustered(clusters: int, questions: int, uneven: bool, rng: np.random.Generator) -> NDArray[np.int64]:
    """The cluster of each question; every cluster has one, uneven ones fall off as 1 / rank."""
    weights = 1 / np.arange(1, clusters + 1)
    rest = questions - clusters
    more = rng.choice(clusters, rest, p=weights / weights.sum()) if uneven else np.arange(rest) % clusters
    return np.concatenate([np.arange(clusters), more])


def liked(of_question: NDArray[np.int64], correlation: float, trials: int, rng: np.random.Generator) -> Values:
    """Standard normal [questions, trials], correlated within clusters as asked."""
    shared = rng.normal(0, np.sqrt(correlation), (int(of_question.max()) + 1, trials))[of_question]
    return np.asarray(shared + rng.normal(0, np.sqrt(1 - correlation), shared.shape))


def scored(values: Values, metrics: tuple[str, ...]) -> QueryScores:
    """Scores of questions [q, m]."""
    return QueryScores(tuple(f"q{i:05}" for i in range(len(values))), metrics, np.round(values, 6))


def simulated(
    design: tuple[int, int], uneven: bool, correlation: float, shape: str, evaluations: int = 4000
) -> Simulated:
    """The product's own comparison of as many evaluations."""
    rng = np.random.default_rng(11)
    truth = true_difference(shape)
    names = tuple(f"trial{i}" for i in range(_ALIKE))
    covered, p_values = [], []
    for seed in range(evaluations // _ALIKE):
        of_question = clustered(*design, uneven, rng)
        differences = SHAPES[shape](liked(of_question, correlation, _ALIKE, rng), rng)
        clusters = {f"q{i:05}": str(cluster) for i, cluster in enumerate(of_question)}
        nothing = scored(np.zeros_like(differences), names)
        settings = EvalSettings(resamples=1000, seed=seed)
        found = compare(nothing, scored(differences, names), settings, clusters).values()
        covered += [one.ci95[0] <= truth <= one.ci95[1] for one in found]
        p_values += [one.p for one in found]
    return Simulated(float(np.mean(covered)), np.array(p_values))


@cache
def true_difference(shape: str) -> float:
    """Mean over four million questions, 0 where it is known to be."""
    if shape in ("no effect", "normal"):
        return 0.0
    rng = np.random.default_rng(12)
    return float(np.mean([SHAPES[shape](rng.normal(size=(4000, 100)), rng).mean() for _ in range(10)]))


def row(design: tuple[int, int]) -> Iterator[str]:
    """Cells of the table of docs/verdict.md: shares from the least to the most of all correlations, even and uneven."""
    yield f"{design[0]} / {design[1]}"
    for shape in SHAPES:
        found = [simulated(design, uneven, one, shape) for uneven in (False, True) for one in CORRELATIONS]
        if shape == "no effect":
            yield _range([one.at_most(0.05) for one in found])
        yield _range([one.covered for one in found])


def _range(shares: list[float]) -> str:
    return f"{min(shares):.1%} to {max(shares):.1%}".replace("%", "")


def main() -> None:
    """Print the table as Markdown."""
    print(f"| clusters / questions | p below 0.05 | {' | '.join(SHAPES)} |")  # noqa: T201 - its output
    print(f"| ---: {'| ---: ' * (len(SHAPES) + 1)}|")  # noqa: T201 - its output
    for design in DESIGNS:
        print(f"| {' | '.join(row(design))} |", flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    main()
