"""Where candidates come from: the model's ranking, BM25's, or both in turn."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.prep.mining.rules import Ranking
from embed_pipeline.retrieval.passage_index import PassageIndex
from embed_pipeline.retrieval.search import Indices

Source = Literal["dense", "bm25", "both"]
Lexical = Callable[[Indices, int], Sequence[Sequence[int]]]
"""Rows of queries, k -> per query the best passages by BM25, best first."""
SCORED_AT_ONCE = 256


class Rankings:
    """Candidates for queries, as deep as asked.

    Args:
        queries: [q, d]. index: over the passages. lexical: for the sources bm25 and both.
    """

    def __init__(self, queries: Vectors, index: PassageIndex, source: Source, lexical: Lexical | None = None) -> None:
        self._queries, self._index, self._source, self._lexical = queries, index, source, lexical
        self.passages = len(index.passages)

    def best(self, rows: Indices, k: int) -> Ranking:
        """At least ``k`` candidates of queries ``rows``, where there are so many."""
        all_of_them = k >= self.passages
        if self._source == "dense":
            scores, found = self._index.search(self._queries[rows], k)
            return Ranking(rows, found, scores, (found[:, -1] < 0) | all_of_them)
        lists = [list(found) for found in self._by_bm25(rows, k)]
        complete = np.array([len(found) < k for found in lists], bool) | all_of_them
        if self._source == "both":
            _, dense = self._index.search(self._queries[rows], k)
            lists = [_in_turn(one, other) for one, other in zip(dense.tolist(), lists, strict=True)]
            complete &= (dense[:, -1] < 0) | all_of_them
        width = max(1, *(len(found) for found in lists))
        padded = np.full((len(lists), width), -1, np.int64)
        for row, ranked in enumerate(lists):
            padded[row, : len(ranked)] = ranked
        return Ranking(rows, padded, self._scores(rows, padded), complete)

    def _by_bm25(self, rows: Indices, k: int) -> Sequence[Sequence[int]]:
        assert self._lexical is not None
        return self._lexical(rows, k)

    def _scores(self, rows: Indices, found: Indices) -> Vectors:
        """The model's score of every candidate; the margin is always judged by it."""
        scores = np.full(found.shape, -np.inf, np.float32)
        for start in range(0, len(rows), SCORED_AT_ONCE):
            part = slice(start, start + SCORED_AT_ONCE)
            vectors = self._index.passages[np.maximum(found[part], 0)]
            scores[part] = np.einsum("qd,qkd->qk", self._queries[rows[part]], vectors)
        scores[found < 0] = -np.inf
        return scores


def _in_turn(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """First of one, first of the other, second of one …, each passage once."""
    merged: dict[int, None] = {}
    for place in range(max(len(one), len(other))):
        for ranked in (one, other):
            if place < len(ranked) and ranked[place] >= 0:
                merged.setdefault(ranked[place])
    return list(merged)
