"""Intervals, p-values and the verdict."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from embed_pipeline.errors import StageError
from embed_pipeline.evaluation.compare import Comparison, compare, verdict
from embed_pipeline.evaluation.metrics import QueryScores, metric_names
from embed_pipeline.settings import EvalSettings

SETTINGS = EvalSettings(resamples=2000)


def scored(values: np.ndarray, metrics: tuple[str, ...] = ("ndcg@10",)) -> QueryScores:
    values = np.asarray(values, np.float64).reshape(-1, len(metrics))
    return QueryScores(tuple(f"q{i:05}" for i in range(len(values))), metrics, np.round(values, 6))


def compared(differences: np.ndarray, settings: EvalSettings = SETTINGS) -> Comparison:
    return compare(scored(np.zeros(len(differences))), scored(differences), settings)["ndcg@10"]


def test_equal_scores_are_no_difference() -> None:
    same = scored(np.random.default_rng(0).random(40))
    assert compare(same, same, SETTINGS)["ndcg@10"].as_json() == {
        "base": pytest.approx(same.values.mean(), abs=1e-6),
        "tuned": pytest.approx(same.values.mean(), abs=1e-6),
        "delta": 0.0,
        "ci95": [0.0, 0.0],
        "p": 1.0,
    }


def test_a_constant_gain_is_certain() -> None:
    found = compared(np.full(30, 0.25))
    assert (found.delta, found.ci95) == (0.25, (0.25, 0.25))
    assert found.p == pytest.approx(1 / 2001, abs=1e-6)


def test_a_rounding_error_is_no_difference() -> None:
    found = compared(np.array([0.5, -0.5, 0.0, 0.0]))
    assert found.delta == 0.0
    assert str(found.delta) == "0.0"


@pytest.mark.parametrize(("seed", "shift"), [(1, 0.0), (2, 0.03), (3, 0.06), (4, -0.05)])
def test_p_values_and_intervals_agree_with_scipy(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    differences = np.round(np.where(rng.random(60) < 0.5, 0.0, rng.normal(shift, 0.2, 60)), 6)
    settings = EvalSettings(resamples=20_000)
    found = compared(differences, settings)
    permuted = stats.permutation_test(
        (differences, np.zeros(60)),
        lambda tuned, base, axis: np.mean(tuned - base, axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(7),
    )
    assert found.p == pytest.approx(permuted.pvalue, abs=0.015)
    bootstrapped = stats.bootstrap(
        (differences,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(7)
    ).confidence_interval
    assert found.ci95 == pytest.approx((bootstrapped.low, bootstrapped.high), abs=0.002)


def test_exact_p_value_of_a_small_set() -> None:
    # Of the 32 ways to flip five signs, only all-plus and all-minus are as extreme.
    assert compared(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), EvalSettings()).p == pytest.approx(2 / 32, abs=0.01)


def test_rounding_of_sums_does_not_break_ties() -> None:
    # All differences positive: of 64 sign patterns exactly two are as extreme, however their sums round.
    differences = np.random.default_rng(4).random((6, 300))
    columns = tuple(f"trial{i}" for i in range(300))
    found = compare(scored(np.zeros_like(differences), columns), scored(differences, columns), EvalSettings())
    assert {round(item.p, 6) for item in found.values()} == {found["trial0"].p}
    assert found["trial0"].p == pytest.approx(2 / 64, abs=0.01)


def test_intervals_cover_the_true_difference() -> None:
    rng = np.random.default_rng(5)
    settings = EvalSettings(resamples=400)
    trials, queries, shares = 300, 60, (0.2, 0.5)  # worse in a fifth of the queries, better in half
    true = (shares[1] - shares[0]) * 0.3
    columns = tuple(f"trial{i}" for i in range(trials))
    kinds = rng.choice([-1.0, 0.0, 1.0], size=(queries, trials), p=[0.2, 0.3, 0.5])
    differences = kinds * rng.uniform(0.1, 0.5, (queries, trials))
    found = compare(scored(np.zeros_like(differences), columns), scored(differences, columns), settings)
    covered = np.mean([low <= true <= high for low, high in (item.ci95 for item in found.values())])
    assert 0.90 <= covered <= 0.99


def test_p_values_are_uniform_when_nothing_differs() -> None:
    rng = np.random.default_rng(6)
    columns = tuple(f"trial{i}" for i in range(400))
    differences = rng.normal(0, 0.2, (50, 400))
    found = compare(scored(np.zeros_like(differences), columns), scored(differences, columns), SETTINGS)
    false_alarms = np.mean([item.p < 0.05 for item in found.values()])
    assert 0.02 <= false_alarms <= 0.09


unit = st.floats(0, 1).map(lambda value: round(value, 6))


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(unit, unit), min_size=1, max_size=20), st.integers(0, 3))
def test_swapping_base_and_tuned_mirrors_the_comparison(pairs: list[tuple[float, float]], seed: int) -> None:
    settings = EvalSettings(resamples=300, seed=seed)
    base, tuned = (scored(np.array(column)) for column in zip(*pairs, strict=True))
    one = compare(base, tuned, settings)["ndcg@10"]
    other = compare(tuned, base, settings)["ndcg@10"]
    assert one.p == other.p
    assert one.delta == -other.delta
    assert one.ci95 == pytest.approx((-other.ci95[1], -other.ci95[0]), abs=2e-6)
    assert 0 < one.p <= 1
    assert one.ci95[0] <= one.ci95[1]


def test_every_metric_sees_the_same_draws_and_repeats_exactly() -> None:
    rng = np.random.default_rng(8)
    base, tuned = rng.random((80, 1)), rng.random((80, 1))
    both = compare(scored(np.tile(base, 2), ("a", "b")), scored(np.tile(tuned, 2), ("a", "b")), SETTINGS)
    alone = compare(scored(base, ("a",)), scored(tuned, ("a",)), SETTINGS)
    assert both["a"] == both["b"] == alone["a"]
    assert compare(scored(base), scored(tuned), EvalSettings(resamples=2000, seed=1)) != {"ndcg@10": alone["a"]}


def test_twelve_hundred_queries_take_seconds() -> None:
    names = metric_names((1, 5, 10, 100))
    rng = np.random.default_rng(9)
    base, tuned = scored(rng.random((1200, 20)), names), scored(rng.random((1200, 20)), names)
    began = time.process_time()
    assert len(compare(base, tuned, EvalSettings())) == 20
    assert time.process_time() - began < 10


def test_different_queries_are_refused() -> None:
    with pytest.raises(StageError, match="different queries"):
        compare(scored(np.zeros(3)), scored(np.zeros(4)), SETTINGS)


def result(delta: float, p: float) -> dict[str, Comparison]:
    return {"ndcg@10": Comparison(0.5, 0.5 + delta, delta, (delta, delta), p)}


@pytest.mark.parametrize(
    ("comparisons", "expected"),
    [
        ({"synthetic": result(0.1, 0.01)}, "ship"),
        ({"synthetic": result(0.1, 0.05)}, "no_gain"),
        ({"synthetic": result(-0.1, 0.2)}, "no_gain"),
        ({"synthetic": result(-0.1, 0.01)}, "regress"),
        ({"synthetic": result(0.0, 1.0)}, "no_gain"),
        ({"synthetic": result(0.1, 0.01), "gold": result(-0.1, 0.01)}, "regress"),
        ({"gold": result(0.1, 0.01), "synthetic": result(-0.1, 0.01)}, "ship"),
        ({"gold": result(0.1, 0.3), "synthetic": result(0.1, 0.01)}, "no_gain"),
    ],
)
def test_verdict(comparisons: dict[str, dict[str, Comparison]], expected: str) -> None:
    assert verdict(comparisons, SETTINGS) == expected


def test_verdict_uses_alpha() -> None:
    assert verdict({"gold": result(0.1, 0.03)}, EvalSettings(alpha=0.01)) == "no_gain"
