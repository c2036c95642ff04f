"""Which device searches, and what Faiss is asked: its GPU calls are played by its CPU build."""

import inspect
from types import SimpleNamespace

import faiss
import numpy as np
import pytest

from embed_pipeline.retrieval import gpu, search
from embed_pipeline.retrieval.passage_index import PassageIndex
from embed_pipeline.retrieval.search import top_k

SIGNATURE = inspect.signature(faiss.knn_gpu)


class Gpus:
    """Two GPUs of a Faiss that can use them."""

    def __init__(self) -> None:
        self.searched: list[dict[str, object]] = []
        self.moved: list[tuple[int, bool, bool]] = []

    def knn_gpu(self, *given, **named):
        asked = SIGNATURE.bind(*given, **named).arguments
        self.searched.append(asked)
        return faiss.knn(asked["xq"], asked["xb"], asked["k"], metric=asked["metric"])

    def index_cpu_to_gpu(self, resources, number, index, options):
        self.moved.append((number, options.use_cuvs, index.is_trained))
        return index


@pytest.fixture
def gpus(monkeypatch) -> Gpus:
    there = Gpus()
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "GpuClonerOptions", lambda: SimpleNamespace(use_cuvs=True), raising=False)
    monkeypatch.setattr(faiss, "knn_gpu", there.knn_gpu)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", there.index_cpu_to_gpu, raising=False)
    return there


def vectors(count: int, seed: int = 0, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def test_the_number_of_the_gpu(gpus):
    assert [gpu.number_of(device) for device in ("cuda", "cuda:0", "cuda:1")] == [0, 0, 1]
    assert [gpu.number_of(device) for device in ("cuda:2", "cpu", "mps")] == [None] * 3


@pytest.mark.skipif(faiss.get_num_gpus() > 0, reason="Faiss has a GPU here")
def test_without_a_gpu_none_is_used():
    assert gpu.number_of("cuda") is None


def test_an_exact_search_on_a_gpu_gives_what_the_cpu_gives(gpus):
    queries, passages = vectors(5), vectors(400, seed=1)
    for one, other in zip(top_k(queries, passages, 7, "cuda:1"), top_k(queries, passages, 7), strict=True):
        np.testing.assert_array_equal(one, other)
    (asked,) = gpus.searched
    assert asked["device"] == 1
    assert asked["k"] == 8
    assert asked["metric"] == faiss.METRIC_INNER_PRODUCT
    assert asked["vectorsMemoryLimit"] == 1 << 30
    assert "use_cuvs" not in asked


def test_ties_go_to_the_lowest_index_on_a_gpu_too(gpus):
    passages = np.ones((400, 8), np.float32)
    _, indices = top_k(np.ones((30, 8), np.float32), passages, 5, "cuda")
    assert np.array_equal(indices, np.tile(np.arange(5), (30, 1)))
    assert gpus.searched


@pytest.mark.parametrize(("device", "k"), [("cuda:2", 5), ("mps", 5), ("cuda", 2048)])
def test_torch_searches_where_faiss_cannot(gpus, monkeypatch, device, k):
    asked = []

    def on_torch(queries, passages, k, device):
        asked.append(device)
        return _on_cpu(queries, passages, k, "cpu")

    _on_cpu = search._torch_search
    monkeypatch.setattr(search, "_torch_search", on_torch)
    queries, passages = vectors(3), vectors(3000, seed=1)
    scores, indices = top_k(queries, passages, k, device)
    assert asked == [device]
    assert gpus.searched == []
    np.testing.assert_allclose(scores, np.einsum("qd,qkd->qk", queries, passages[indices]), atol=1e-5)


def test_clusters_are_moved_before_they_are_trained(gpus):
    passages, queries = vectors(5000), vectors(20, seed=1)
    there = PassageIndex(passages, 1000, device="cuda:1")
    assert gpus.moved == [(1, False, False)]
    here = PassageIndex(passages, 1000)
    np.testing.assert_array_equal(there.search(queries, 10)[1], here.search(queries, 10)[1])


def test_a_graph_stays_on_the_cpu(gpus):
    PassageIndex(vectors(2000), 1000, kind="hnsw", device="cuda")
    assert gpus.moved == []


def test_more_than_a_gpu_can_return_are_missing_places(gpus):
    passages, queries = vectors(5000), vectors(2, seed=1)
    scores, indices = PassageIndex(passages, 1000, device="cuda").search(queries, 3000)
    assert indices.shape == (2, 3000)
    assert (indices[:, gpu.MOST :] == -1).all()
    assert np.isneginf(scores[:, gpu.MOST :]).all()
    assert (indices[:, :100] >= 0).all()
