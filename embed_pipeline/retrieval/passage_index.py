"""Searching passages for many queries: exactly, or above a chosen size through an approximate index."""

from typing import Any, Literal

import numpy as np

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.progress import say, track
from embed_pipeline.retrieval import gpu
from embed_pipeline.retrieval.search import Indices, top_k

Kind = Literal["ivf", "hnsw"]
ADDED_AT_ONCE = 65_536
REFINED = 4
"""Candidates taken from an approximate index for each one asked, whose exact scores then decide."""
SAMPLED = 256
"""Queries whose exact results measure an approximate index."""


class PassageIndex:
    """Top-k by inner product over one matrix of passages.

    Up to ``approximate_above`` passages the search is exact. Above it, an index holds the vectors in 8 bits a number
    (Faiss: ``IVF…,SQ8``, clusters searched, or ``HNSW32_SQ8``, a graph), built in blocks from the matrix, which may
    be memory-mapped; the candidates' exact inner products decide, so scores are always exact, but a passage can be
    missed. IVF gives the same result every time on a CPU; HNSW, built by several threads, need not. IVF lies on the GPU
    where Faiss can use one (untried, see :mod:`embed_pipeline.retrieval.gpu`); HNSW stays on the CPU.

    Attributes:
        exact: whether nothing can be missed.
    """

    def __init__(self, passages: Vectors, approximate_above: int, kind: Kind = "ivf", device: str = "cpu") -> None:
        self.passages, self._device = passages, device
        self.exact = len(passages) <= approximate_above
        number = gpu.number_of(device) if kind == "ivf" else None
        self._index = None if self.exact else _build(passages, kind, number)
        self._most = len(passages) if number is None else gpu.MOST

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Indices]:
        """Scores and indices [q, min(k, p)], best first; see :func:`embed_pipeline.retrieval.search.top_k`.

        An approximate index may find fewer: missing places have index -1 and score -inf.
        """
        if self._index is None:
            return top_k(queries, self.passages, k, self._device)
        k = min(k, len(self.passages))
        queries = np.ascontiguousarray(queries, np.float32)
        _, candidates = self._index.search(queries, min(REFINED * k, len(self.passages), self._most))
        candidates = np.pad(candidates, ((0, 0), (0, max(0, k - candidates.shape[1]))), constant_values=-1)
        scores = np.full(candidates.shape, -np.inf, np.float32)
        for row, found in enumerate(candidates):
            known = found >= 0
            scores[row, known] = self.passages[found[known]] @ queries[row]
        order = np.lexsort((candidates, -scores), axis=1)[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(candidates, order, 1)

    def recall(self, queries: Vectors, k: int) -> float:
        """Share of the exact top ``k`` that is found, over up to 256 of the queries."""
        if self.exact or not len(queries):
            return 1.0
        sample = queries[:: max(1, len(queries) // SAMPLED)][:SAMPLED]
        _, wanted = top_k(sample, self.passages, k, self._device)
        _, found = self.search(sample, k)
        return float(np.mean([len(np.intersect1d(*rows)) / len(rows[0]) for rows in zip(wanted, found, strict=True)]))


def _build(passages: Vectors, kind: Kind, number: int | None) -> Any:
    """An index over all passages; its parts follow Faiss's guidelines for choosing an index."""
    import faiss

    count, width = passages.shape
    index: Any
    if kind == "hnsw":
        index = faiss.index_factory(width, "HNSW32_SQ8", faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = 80, 256
        sample = count // 10
    else:
        lists = max(1, min(int(4 * count**0.5), count // 40))
        index = faiss.index_factory(width, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        index.nprobe = max(8, lists // 16)
        sample = 40 * lists
        if number is not None:
            index = gpu.moved(index, number)
    say(f"{count} passages are searched through an approximate index ({kind}; prep.approximate_above).")
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(count, min(count, max(sample, 256)), replace=False))
    index.train(np.ascontiguousarray(passages[rows], np.float32))
    for start in track(range(0, count, ADDED_AT_ONCE), "index passages"):
        index.add(np.ascontiguousarray(passages[start : start + ADDED_AT_ONCE], np.float32))
    return index
