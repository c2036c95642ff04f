"""Exact top-k by inner product: one similarity for filters, mining and evaluation."""

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoder import Vectors

Indices = NDArray[np.int64]


def top_k(queries: Vectors, passages: Vectors, k: int) -> tuple[Vectors, Indices]:
    """The ``k`` passages with the highest inner product, best first.

    Args:
        queries: [q, d]; passages: [p, d]; k: asked for, cut to p.

    Returns:
        scores [q, min(k, p)] and passage indices [q, min(k, p)]; equal scores are ordered by index.
    """
    k = min(k, len(passages))
    if k == 0 or len(queries) == 0:
        return np.zeros((len(queries), k), np.float32), np.zeros((len(queries), k), np.int64)
    import faiss

    queries, passages = np.ascontiguousarray(queries, np.float32), np.ascontiguousarray(passages, np.float32)
    asked = min(k + 1, len(passages))  # one more shows whether a tie crosses the edge
    scores, indices = faiss.knn(queries, passages, asked, metric=faiss.METRIC_INNER_PRODUCT)
    order = np.lexsort((indices, -scores), axis=1)
    scores, indices = np.take_along_axis(scores, order, 1), np.take_along_axis(indices, order, 1)
    if asked > k:
        for row in np.flatnonzero(scores[:, k - 1] == scores[:, k]):  # faiss keeps any of the tied ones
            exact = passages @ queries[row]
            indices[row, :k] = np.argsort(-exact, kind="stable")[:k]
            scores[row, :k] = exact[indices[row, :k]]
    return scores[:, :k], indices[:, :k]
