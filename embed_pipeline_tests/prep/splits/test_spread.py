"""The test split holds as many groups as a fair part and its share of the questions allow, and nothing pays for it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.evaluation.verdict import MIN_CLUSTERS
from embed_pipeline.prep.splits.balance import TOTAL_SLACK, Component, assign
from embed_pipeline.prep.splits.spread import LEAST_GROUPS, Room, choose_groups, wanted_groups
from embed_pipeline_tests.prep.splits.test_balance import heavy_tailed, held

RATIOS = {"test": 0.1, "validation": 0.1}


def groups(components: list[Component], split_of: dict[str, str], split: str) -> int:
    return sum(split_of[one.name] == split for one in components if one.counts[0])


def fit(sizes: list[int], questions: float) -> int:
    """How many fit, the smallest first; counted one by one."""
    taken = 0
    for size in sorted(sizes):
        questions -= size
        if questions < -1e-9:
            break
        taken += 1
    return taken


def possible(components: list[Component], ratio: float) -> int:
    """Groups that the test split must have, by the documentation."""
    total = sum(one.counts[0] for one in components)
    bound = [one.counts[0] for one in components if one.before == "test"]
    free = [one.counts[0] for one in components if one.before is None]
    fair = int(len(components) * max(1 / 3, ratio))
    room = ratio * total - sum(bound)
    tolerated = max(1.0, TOTAL_SLACK * ratio * total)
    return max(min(30, fair, len(bound) + fit(free, room)), min(10, fair, len(bound) + fit(free, room + tolerated)))


def small(seed: int, count: int, ratio: float) -> list[Component]:
    """Components none of which is larger than a fifth of the test split's target."""
    most = 10**6
    while True:
        found = heavy_tailed(seed, count, most)
        allowed = max(2, int(2 * TOTAL_SLACK * ratio * sum(one.counts[0] for one in found)))
        if max(one.counts[0] for one in found) <= allowed:
            return found
        most = allowed


def test_a_verdict_needs_no_more_than_the_splits_aim_for():
    assert LEAST_GROUPS == MIN_CLUSTERS


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(20, 300),
    st.sampled_from([RATIOS, {"test": 0.2}, {"test": 0.05, "validation": 0.15}, {"test": 0.4, "validation": 0.1}]),
)
def test_the_groups_wanted_are_there_and_shares_are_within_tolerance(seed, count, ratios):
    components = small(seed, count, min(ratios.values()))
    split_of = assign(components, ratios)
    assert groups(components, split_of, "test") >= possible(components, ratios["test"])
    total = sum(one.counts[0] for one in components)
    for split, ratio in ratios.items():
        assert abs(held(components, split_of, split)[0] - ratio * total) <= max(1, TOTAL_SLACK * ratio * total) + 1e-6
    assert split_of == assign(components[::-1], ratios)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(10, 80), st.integers(6, 400))
def test_with_components_of_any_size_shares_are_no_worse_and_groups_no_fewer(seed, count, largest):
    components = heavy_tailed(seed, count, largest)
    total = sum(one.counts[0] for one in components)

    def beyond(split_of: dict[str, str]) -> float:
        off = [abs(held(components, split_of, split)[0] - 0.1 * total) for split in RATIOS]
        return round(sum(max(0.0, each - max(1.0, TOTAL_SLACK * 0.1 * total)) for each in off), 6)

    by_chance, spread = assign(components, RATIOS, test_groups=0), assign(components, RATIOS)
    assert beyond(spread) <= beyond(by_chance)
    if beyond(spread) == beyond(by_chance):
        wanted = possible(components, 0.1)
        assert min(wanted, groups(components, spread, "test")) >= min(wanted, groups(components, by_chance, "test"))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(12, 100), st.integers(1, 100))
def test_new_groups_are_added_to_what_was_placed_before(seed, count, added):
    components = small(seed, count + added, 0.1)
    split_of = assign(components[:count], RATIOS)
    old = [replace(one, before=split_of[one.name]) for one in components[:count]]
    grown = [*old, *components[count:]]
    after = assign(grown, RATIOS)
    assert {one.name: after[one.name] for one in old} == split_of
    assert groups(grown, after, "test") >= possible(grown, 0.1)
    again = [replace(one, before=after[one.name]) for one in grown]
    assert assign(again, RATIOS) == after


def documents(*sizes: int) -> list[Component]:
    rng = np.random.default_rng(5)
    return [Component(f"c{number:03d}", float(rng.random()), (size,)) for number, size in enumerate(sizes)]


def test_many_small_groups_instead_of_few_large_ones():
    components = documents(*[100] * 15, *[20] * 45)
    by_chance, spread = assign(components, RATIOS, test_groups=0), assign(components, RATIOS)
    assert groups(components, by_chance, "test") < 10
    assert groups(components, spread, "test") == 12  # 240 of 2,400 questions
    assert held(components, spread, "test")[0] == 240


def test_the_tolerance_is_used_up_for_ten_groups_only():
    just_ten = documents(*[25] * 10, *[60, 70, 80] * 10)  # ten groups are 250 of 2,350
    assert groups(just_ten, assign(just_ten, RATIOS), "test") == 10
    assert wanted_groups(np.array([25] * 20), Room(0, 0, 235.0, 23.5), most=30) == 10
    assert wanted_groups(np.array([20] * 20), Room(0, 0, 235.0, 23.5), most=30) == 11  # twelve are 240


def test_shares_come_before_groups():
    components = documents(*[24] * 10, *[65] * 30)  # without a small one validation has 195 or 260 of 219 questions
    split_of = assign(components, RATIOS)
    assert groups(components, split_of, "test") == 9
    for split in RATIOS:
        assert abs(held(components, split_of, split)[0] - 219) <= 21.9


def test_groups_are_not_all_the_smallest_where_larger_ones_fit():
    components = documents(*range(1, 201))  # 2,010 test questions: thirty groups of 67
    split_of = assign(components, RATIOS)
    sizes = [one.counts[0] for one in components if split_of[one.name] == "test"]
    assert len(sizes) >= 30
    assert max(sizes) > 90


def test_a_third_of_the_groups_stays_the_most():
    components = documents(*[1] * 24, *[200] * 3)
    assert groups(components, assign(components, RATIOS), "test") >= 9
    assert wanted_groups(np.array([1] * 24 + [200] * 3), Room(0, 0, 62.4, 6.24), most=9) == 9


def test_validation_keeps_its_groups_where_training_has_enough_of_them():
    components = documents(*[60] * 12, *[30] * 8, *[4] * 150)
    by_chance, spread = assign(components, RATIOS, test_groups=0), assign(components, RATIOS)
    assert groups(components, by_chance, "test") < 30 <= groups(components, spread, "test")
    assert groups(components, spread, "validation") >= groups(components, by_chance, "validation") - 1


@pytest.mark.parametrize("most", [0, 1])
def test_nothing_is_wanted_that_does_not_fit(most):
    assert wanted_groups(np.array([50, 60]), Room(0, 0, 10.0, 1.0), most) == 0
    assert wanted_groups(np.array([50, 60]), Room(3, 40, 10.0, 1.0), most) == most  # they are there already
    assert wanted_groups(np.array([], np.int64), Room(0, 0, 10.0, 1.0), most) == 0


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.floats(1, 300), st.data())
def test_what_is_chosen_fits(sizes, target, data):
    room = Room(0, 0, target, max(1.0, 0.1 * target))
    count = wanted_groups(np.array(sizes), room, 30)
    if count:
        order = np.array(data.draw(st.permutations(range(len(sizes)))), np.float64)
        chosen = choose_groups(np.array(sizes), order, count, room)
        assert len(set(chosen.tolist())) == count
        assert sum(sizes[one] for one in chosen) <= room.left(tolerant=True) + 1e-6
