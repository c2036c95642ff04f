"""Exact below a size, approximate above it, with exact scores in either case."""

import numpy as np
import pytest

from embed_pipeline.progress import SilentReporter, reporting
from embed_pipeline.retrieval.passage_index import PassageIndex
from embed_pipeline.retrieval.search import top_k


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text):
        self.lines.append(text)


def clustered(count: int, width: int = 32, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(200, width))
    vectors = centres[rng.integers(0, 200, count)] + 0.6 * rng.normal(size=(count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_up_to_the_limit_the_search_is_exact():
    passages, queries = clustered(500), clustered(20, seed=1)
    index = PassageIndex(passages, approximate_above=500)
    assert index.exact
    assert index.recall(queries, 10) == 1.0
    for one, other in zip(index.search(queries, 10), top_k(queries, passages, 10), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_above_it_little_is_missed_and_scores_are_exact(kind):
    passages, queries = clustered(20_000), clustered(200, seed=1)
    listener = Listener()
    with reporting(listener):
        index = PassageIndex(passages, approximate_above=10_000, kind=kind)
    assert not index.exact
    assert "approximate index" in listener.lines[0]
    scores, indices = index.search(queries, 20)
    assert index.recall(queries, 20) > 0.9
    exact = np.einsum("qd,qkd->qk", queries, passages[indices])
    np.testing.assert_allclose(scores, exact, atol=1e-5)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_ivf_is_repeatable():
    passages, queries = clustered(5_000), clustered(50, seed=1)
    first, second = (PassageIndex(passages, 1_000).search(queries, 10) for _ in range(2))
    np.testing.assert_array_equal(first[1], second[1])
