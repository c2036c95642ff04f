"""Exact top-k against numpy."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embed_pipeline.retrieval import gpu, search
from embed_pipeline.retrieval.search import top_k


def reference(queries: np.ndarray, passages: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = queries.astype(np.float64) @ passages.astype(np.float64).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, 1), order


@st.composite
def problems(draw):
    """Small whole numbers: products are exact, and ties are many."""
    d, q, p = draw(st.integers(1, 4)), draw(st.integers(0, 5)), draw(st.integers(0, 30))
    numbers = st.integers(-2, 2).map(float)
    return (
        draw(arrays(np.float32, (q, d), elements=numbers)),
        draw(arrays(np.float32, (p, d), elements=numbers)),
        draw(st.integers(0, 35)),
    )


@given(problems())
def test_the_best_k_in_order_with_ties_by_index(problem):
    queries, passages, k = problem
    scores, indices = top_k(queries, passages, k)
    expected_scores, expected = reference(queries, passages, min(k, len(passages)))
    assert scores.dtype == np.float32
    assert indices.dtype == np.int64
    assert np.array_equal(scores, expected_scores)
    assert np.array_equal(indices, expected)


@pytest.mark.parametrize(("q", "p", "k"), [(3, 2000, 10), (50, 3000, 100), (1, 5000, 1500)])
def test_real_valued_vectors_at_the_sizes_where_the_library_changes_its_algorithm(q, p, k):
    generator = np.random.default_rng(0)
    queries = generator.normal(size=(q, 32)).astype(np.float32)
    passages = generator.normal(size=(p, 32)).astype(np.float32)
    scores, indices = top_k(queries, passages, k)
    expected_scores, _ = reference(queries, passages, k)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
    np.testing.assert_allclose(scores, np.einsum("qd,qkd->qk", queries, passages[indices]), atol=1e-4)
    assert all(len(set(row)) == k for row in indices.tolist())


@pytest.mark.parametrize(("p", "k"), [(400, 5), (400, 150), (3000, 120)])
def test_ties_at_the_edge_go_to_the_lowest_indices(p, k):
    passages = np.ones((p, 8), np.float32)
    _, indices = top_k(np.ones((30, 8), np.float32), passages, k)
    assert np.array_equal(indices, np.tile(np.arange(k), (30, 1)))


@given(problems(), st.sampled_from([1, 3, 1000]))
def test_torch_gives_the_same(problem, block):
    queries, passages, k = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "TORCH_CPU_BLOCK", block)
        patch.setattr(
            search, "_search", lambda queries, passages, k, *_: search._torch_search(queries, passages, k, "cpu")
        )
        scores, indices = top_k(queries, passages, k)
    expected_scores, expected = reference(queries, passages, min(k, len(passages)))
    assert np.array_equal(scores, expected_scores)
    assert np.array_equal(indices, expected)


@given(problems(), st.sampled_from([1, 2]))
def test_blocks_of_queries_change_nothing(problem, block):
    queries, passages, k = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "QUERY_BLOCK", block)
        scores, indices = top_k(queries, passages, k)
    expected_scores, expected = reference(queries, passages, min(k, len(passages)))
    assert np.array_equal(scores, expected_scores)
    assert np.array_equal(indices, expected)


def test_memory_mapped_passages(tmp_path):
    passages = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    passages.tofile(tmp_path / "p.f32")
    mapped = np.memmap(tmp_path / "p.f32", np.float32, "r").reshape(-1, 8)
    np.testing.assert_array_equal(top_k(passages[:5], mapped, 7)[1], top_k(passages[:5], passages, 7)[1])


def test_views_and_other_float_types_are_accepted():
    passages = np.arange(24, dtype=np.float64).reshape(6, 4)[:, ::2]
    queries = np.array([[1.0, 0.0]])
    assert top_k(queries, passages, 2)[1].tolist() == [[5, 4]]  # type: ignore[arg-type]


def test_without_faiss_torch_searches(monkeypatch):
    generator = np.random.default_rng(0)
    queries = generator.integers(-2, 3, size=(5, 8)).astype(np.float32)
    passages = generator.integers(-2, 3, size=(20_000, 8)).astype(np.float32)
    expected = top_k(queries, passages, 30)
    monkeypatch.setitem(sys.modules, "faiss", None)
    for found, wanted in zip(top_k(queries, passages, 30), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert gpu.number_of("cuda") is None
