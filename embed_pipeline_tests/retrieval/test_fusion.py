"""One ranking from two: by ranks and by scores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.retrieval.fusion import convex, ranked, rrf


def test_ties_are_ordered_as_trec_eval_does() -> None:
    assert ranked({"a": 0.5 + 1e-12, "b": 0.5, "c": 0.9, "d": -1.0}) == ["c", "b", "a", "d"]


def test_reciprocal_rank_fusion_by_hand() -> None:
    dense = {"q": {"a": 0.9, "b": 0.8, "c": 0.1}, "only_dense": {"a": 1.0}}
    sparse = {"q": {"b": 12.0, "d": 3.0}, "only_sparse": {"d": 1.0}}
    fused = rrf([dense, sparse], k=3)
    assert fused["q"] == pytest.approx({"b": 1 / 62 + 1 / 61, "a": 1 / 61, "d": 1 / 62})
    assert list(fused["q"]) == ["b", "a", "d"]
    assert fused["only_dense"] == {"a": 1 / 61}
    assert fused["only_sparse"] == {"d": 1 / 61}
    assert rrf([dense, sparse], k=3, c=0)["q"]["a"] == 1.0


found = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1, 1), min_size=1)


@given(found)
def test_fusing_a_run_with_itself_keeps_its_order(run: dict[str, float]) -> None:
    once = rrf([{"q": run}], k=100)["q"]
    twice = rrf([{"q": run}, {"q": run}], k=100)["q"]
    assert list(once) == list(twice)
    assert set(once) == set(run)


@given(found, found)
def test_fusion_does_not_depend_on_the_order_of_runs(one: dict[str, float], two: dict[str, float]) -> None:
    assert rrf([{"q": one}, {"q": two}], k=5) == rrf([{"q": two}, {"q": one}], k=5)


def test_convex_combination_by_hand() -> None:
    sparse = {"q": {"b": 12.0, "d": 3.0}, "only_sparse": {"d": 1.0}}
    dense = {"q": {"a": 0.9, "b": 0.7, "c": 0.1}, "only_dense": {"a": 0.4}}
    fused = convex(sparse, dense, 10, 0.25)
    assert fused["q"] == pytest.approx({"b": 0.75 + 0.25 * 0.75, "a": 0.25, "d": 0.75 / 4, "c": 0.0})
    assert list(fused["q"]) == ["b", "a", "d", "c"]
    assert fused["only_dense"] == {"a": 0.25}
    assert fused["only_sparse"] == {"d": 0.75}
    assert list(convex(sparse, dense, 2)["q"]) == ["b", "a"]


@given(found, st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.1, 40), min_size=1), st.floats(0, 1))
def test_fused_scores_lie_between_0_and_1(dense: dict[str, float], sparse: dict[str, float], weight: float) -> None:
    fused = convex({"q": sparse}, {"q": dense}, 100, weight)["q"]
    assert set(fused) == set(dense) | set(sparse)
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in fused.values())
    assert list(fused) == ranked(fused)


@given(found, st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.1, 40), min_size=1))
def test_the_ends_of_the_weight_are_the_two_sides(dense: dict[str, float], sparse: dict[str, float]) -> None:
    only_sparse = convex({"q": sparse}, {"q": dense}, 100, 0.0)["q"]
    assert {name: score for name, score in only_sparse.items() if name in sparse} == pytest.approx(
        {name: score / max(sparse.values()) for name, score in sparse.items()}
    )
    only_dense = convex({"q": sparse}, {"q": dense}, 100, 1.0)["q"]
    assert max(only_dense.values()) == pytest.approx(1.0)
    assert all(only_dense[name] == 0 for name in set(sparse) - set(dense))
