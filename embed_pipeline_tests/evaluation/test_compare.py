"""Intervals, p-values and the verdict."""

import time
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from embed_pipeline.errors import StageError
from embed_pipeline.evaluation.compare import Comparison, cluster_numbers, compare, holm, smallest_visible
from embed_pipeline.evaluation.metrics import QueryScores, metric_names
from embed_pipeline.settings import EvalSettings
from embed_pipeline_tests.evaluation.simulation import (
    CORRELATIONS,
    LEVELS,
    SHAPES,
    clustered,
    liked,
    simulated,
)

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
        "p_corrected": 1.0,
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
def test_p_values_agree_with_scipy(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    differences = np.round(np.where(rng.random(60) < 0.5, 0.0, rng.normal(shift, 0.2, 60)), 6)
    permuted = stats.permutation_test(
        (differences, np.zeros(60)),
        lambda tuned, base, axis: np.mean(tuned - base, axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(7),
    )
    assert compared(differences, EvalSettings(resamples=20_000)).p == pytest.approx(permuted.pvalue, abs=0.015)


@pytest.mark.parametrize(("seed", "clusters"), [(1, 60), (2, 12), (3, 10)])
def test_the_interval_holds_what_the_test_does_not_refuse(seed: int, clusters: int) -> None:
    rng = np.random.default_rng(seed)
    differences = np.round(rng.normal(0.05, 0.2, 60), 6)
    of_query = {f"q{i:05}": str(rng.integers(clusters)) for i in range(60)}
    zeros, settings = scored(np.zeros(60)), EvalSettings(resamples=2000)
    low, high = compare(zeros, scored(differences), settings, of_query)["ndcg@10"].ci95
    for inside, bound in ((1, low), (-1, high)):
        refused, kept = (
            compare(zeros, scored(differences - bound - inside * step), settings, of_query)["ndcg@10"].p
            for step in (-1e-3, 1e-3)
        )
        assert refused <= 0.0501 < 0.0599 + kept
        assert kept >= 0.0499


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


@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("design", [(10, 30), (12, 60), (30, 90), (30, 300)])
def test_intervals_cover_and_p_values_are_uniform(design: tuple[int, int], uneven: bool, correlation: float) -> None:
    # Of 4,000 evaluations: a share of 0.05 is known to 0.0035. Ten clusters of three questions, many of them with no
    # difference, have ties, which make p larger: a fifth at most.
    nothing = simulated(design, uneven, correlation, "no effect")
    assert 0.93 <= nothing.covered <= 0.97
    for level in LEVELS:
        assert 0.8 * level - 0.005 <= nothing.at_most(level) <= 1.06 * level + 0.005
    assert 0.93 <= simulated(design, uneven, correlation, "gain").covered <= 0.97


@pytest.mark.parametrize("shape", ["normal", "human", "generated"])
def test_intervals_cover_for_other_differences_at_the_minimum(shape: str) -> None:
    for uneven in (False, True):
        assert 0.925 <= simulated((10, 30), uneven, 0.4, shape, 2000).covered <= 0.97
        assert 0.93 <= simulated((10, 100), uneven, 0.2, shape, 2000).covered <= 0.97


def test_taken_for_independent_the_same_questions_give_false_alarms() -> None:
    rng = np.random.default_rng(12)
    of_query, names = clustered(10, 100, False, rng), tuple(f"trial{i}" for i in range(500))
    differences = SHAPES["no effect"](liked(of_query, 0.4, 500, rng), rng)
    zeros = scored(np.zeros_like(differences), names)
    clusters = {f"q{i:05}": str(cluster) for i, cluster in enumerate(of_query)}
    alarms = [
        np.mean([one.p < 0.05 for one in compare(zeros, scored(differences, names), SETTINGS, given).values()])
        for given in (None, clusters)
    ]
    assert alarms[0] > 0.2
    assert alarms[1] < 0.08


def test_five_clusters_show_nothing() -> None:
    clusters = {f"q{i:05}": str(i % 5) for i in range(50)}
    found = compare(scored(np.zeros(50)), scored(np.full(50, 0.3)), SETTINGS, clusters)["ndcg@10"]
    assert found.p > 0.05
    assert found.ci95 == (-1.0, 1.0)


def test_queries_without_a_cluster_stand_alone() -> None:
    assert cluster_numbers(["a", "b", "c", "d"], {"a": "x", "c": "x", "b": "d"}) == [0, 1, 0, 2]
    rng = np.random.default_rng(3)
    base, tuned = scored(rng.random(40)), scored(rng.random(40))
    alone = {query: query for query in base.query_ids}
    assert compare(base, tuned, SETTINGS) == compare(base, tuned, SETTINGS, alone)


def test_the_smallest_visible_difference_is_seen_in_four_of_five_cases() -> None:
    rng = np.random.default_rng(4)
    of_query = clustered(20, 100, False, rng)
    clusters = {f"q{i:05}": str(cluster) for i, cluster in enumerate(of_query)}
    names = tuple(f"trial{i}" for i in range(1000))
    noise = 0.2 * (rng.normal(0, 0.5, (20, 1000))[of_query] + rng.normal(0, 1, (100, 1000)))
    zeros = scored(np.zeros(100))
    visible = np.mean([smallest_visible(zeros, scored(noise[:, i]), SETTINGS, clusters) for i in range(200)])
    found = compare(scored(np.zeros_like(noise), names), scored(noise + visible, names), SETTINGS, clusters)
    assert np.mean([one.p < 0.05 for one in found.values()]) == pytest.approx(0.8, abs=0.06)
    assert smallest_visible(zeros, scored(noise[:, 0]), SETTINGS, dict.fromkeys(clusters, "one")) is None


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.randoms())
def test_holm_never_lowers_keeps_the_order_and_does_not_care_about_places(values: list[float], random: Random) -> None:
    corrected = holm(values)
    pairs = sorted(zip(values, corrected, strict=True))
    assert all(p <= more <= min(1.0, p * len(values) + 1e-12) for p, more in pairs)
    assert [more for _, more in pairs] == sorted(corrected)
    shuffled = random.sample(range(len(values)), len(values))
    assert holm([values[place] for place in shuffled]) == pytest.approx([corrected[place] for place in shuffled])


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 11)), min_size=12, max_size=60), st.integers(0, 5))
def test_the_interval_holds_the_difference_and_agrees_with_p(rows: list[tuple[float, int]], seed: int) -> None:
    differences = np.round([value for value, _ in rows], 6)
    clusters = {f"q{i:05}": str(cluster) for i, (_, cluster) in enumerate(rows)}
    settings = EvalSettings(resamples=500, seed=seed)
    found = compare(scored(np.zeros(len(rows))), scored(differences), settings, clusters)["ndcg@10"]
    low, high = found.ci95
    assert low - 1e-6 <= found.delta <= high + 1e-6
    if found.p < 0.04:
        assert low >= -1e-6 or high <= 1e-6
    if low > 1e-6 or high < -1e-6:
        assert found.p < 0.06


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


def test_two_thousand_queries_take_seconds() -> None:
    names = metric_names((1, 5, 10, 100))
    rng = np.random.default_rng(9)
    base, tuned = scored(rng.random((2000, 20)), names), scored(rng.random((2000, 20)), names)
    began = time.process_time()
    assert len(compare(base, tuned, EvalSettings())) == 20
    assert time.process_time() - began < 10


def test_different_queries_are_refused() -> None:
    with pytest.raises(StageError, match="different queries"):
        compare(scored(np.zeros(3)), scored(np.zeros(4)), SETTINGS)
