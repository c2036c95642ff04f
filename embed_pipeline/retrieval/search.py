"""Exact top-k by inner product: one similarity for filters, mining and evaluation."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.retrieval import gpu

Indices = NDArray[np.int64]
QUERY_BLOCK = 4096
PASSAGE_BLOCK = 4096
"""Passages multiplied at once on a CPU; with Faiss's own 1024 BLAS was 2 to 8 % slower on two cores."""
GPU_BLOCK = 262_144
"""Passages on the GPU at once, when torch searches."""
TORCH_CPU_BLOCK = 16_384
"""Passages multiplied at once on a CPU, when torch searches."""


def top_k(queries: Vectors, passages: Vectors, k: int, device: str = "cpu") -> tuple[Vectors, Indices]:
    """The ``k`` passages with the highest inner product, best first.

    Args:
        queries: [q, d].
        passages: [p, d], in memory or memory-mapped; they are read in blocks.
        k: asked for, cut to p.
        device: cpu, or a GPU: Faiss where its build can use one (:mod:`embed_pipeline.retrieval.gpu`), else torch;
            float32 on each. Scores of different devices can differ in the last digits. Where Faiss is not installed,
            torch searches on the CPU as well.

    Returns:
        scores [q, min(k, p)] and passage indices [q, min(k, p)]; equal scores are ordered by index.
    """
    k = min(k, len(passages))
    scores = np.zeros((len(queries), k), np.float32)
    indices = np.zeros((len(queries), k), np.int64)
    if k == 0 or len(queries) == 0:
        return scores, indices
    queries, passages = np.ascontiguousarray(queries, np.float32), np.ascontiguousarray(passages, np.float32)
    asked = min(k + 1, len(passages))  # one more shows whether a tie crosses the edge
    for start in range(0, len(queries), QUERY_BLOCK):
        block = queries[start : start + QUERY_BLOCK]
        found, places = _search(block, passages, asked, device)
        _order(found, places)
        if asked > k:
            _settle_ties(block, passages, found, places, k)
        scores[start : start + len(block)], indices[start : start + len(block)] = found[:, :k], places[:, :k]
    return scores, indices


def _search(queries: Vectors, passages: Vectors, k: int, device: str) -> tuple[Vectors, Indices]:
    if device != "cpu":
        number = gpu.number_of(device)
        if number is None or k > gpu.MOST:
            return _torch_search(queries, passages, k, device)
        return gpu.knn(queries, passages, k, number)
    if not gpu.have_faiss():
        return _torch_search(queries, passages, k, device)
    import faiss

    faiss.cvar.distance_compute_blas_database_bs = PASSAGE_BLOCK
    found, places = faiss.knn(queries, passages, k, metric=faiss.METRIC_INNER_PRODUCT)
    return found, places


def _torch_search(queries: Vectors, passages: Vectors, k: int, device: str) -> tuple[Vectors, Indices]:
    """The same by torch: the best of each block of passages, merged."""
    import torch

    left = torch.from_numpy(queries).to(device)
    best: torch.Tensor | None = None
    places: torch.Tensor | None = None
    for start, block in _blocks(passages, TORCH_CPU_BLOCK if device == "cpu" else GPU_BLOCK):
        product = left @ torch.from_numpy(np.array(block)).to(device).T
        found = product.topk(min(k, len(block)), dim=1)
        if best is None or places is None:
            best, places = found.values, found.indices
            continue
        together = torch.cat([best, found.values], 1)
        chosen = together.topk(min(k, together.shape[1]), dim=1)
        places = torch.cat([places, found.indices + start], 1).gather(1, chosen.indices)
        best = chosen.values
    assert best is not None
    assert places is not None
    return best.cpu().numpy(), places.cpu().numpy()


def _blocks(passages: Vectors, size: int) -> Iterator[tuple[int, Vectors]]:
    for start in range(0, len(passages), size):
        yield start, passages[start : start + size]


def _order(scores: Vectors, indices: Indices) -> None:
    """Put each row in order: descending scores, equal ones by index. Rows without equal scores come ordered."""
    unordered = np.flatnonzero((scores[:, 1:] >= scores[:, :-1]).any(1))
    if len(unordered):
        order = np.lexsort((indices[unordered], -scores[unordered]), axis=1)
        scores[unordered] = np.take_along_axis(scores[unordered], order, 1)
        indices[unordered] = np.take_along_axis(indices[unordered], order, 1)


def _settle_ties(queries: Vectors, passages: Vectors, scores: Vectors, indices: Indices, k: int) -> None:
    """Where a tie crosses the edge faiss keeps any of the tied ones: take those of the lowest indices."""
    for row in np.flatnonzero(scores[:, k - 1] == scores[:, k]):
        exact = passages @ queries[row]
        indices[row, :k] = np.argsort(-exact, kind="stable")[:k]
        scores[row, :k] = exact[indices[row, :k]]
