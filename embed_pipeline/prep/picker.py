"""The rules of hard-negative mining, applied to one query's ranking."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoder import Vectors
from embed_pipeline.search import Indices


@dataclass(frozen=True)
class Taken:
    """Negatives of one query, and whether looking further could change them."""

    indices: Indices
    scores: Vectors
    dropped_by_margin: int
    dropped_excluded: int
    final: bool


class Picker:
    """Applies the rules to one query's ranking."""

    def __init__(
        self,
        positives: Sequence[Indices],
        allowed: NDArray[np.bool_],
        excluded: Sequence[Indices],
        threshold: NDArray[np.float64],
        count: int,
    ) -> None:
        self._positives, self._excluded, self._threshold, self._count = positives, excluded, threshold, count
        self._allowed = allowed
        self._usable = allowed.copy()  # reused for every query and put back after each
        self._positive = np.zeros(len(allowed), np.bool_)

    def pick(self, row: int, scores: Vectors, ranked: Indices, exhausted: bool) -> Taken:
        """Negatives among the passages ``ranked`` (best first) of query ``row``."""
        positives, excluded = self._positives[row], self._excluded[row]
        self._usable[excluded] = False
        self._usable[positives] = False
        self._positive[positives] = True
        usable, positive = self._usable[ranked], self._positive[ranked]
        self._usable[excluded] = self._allowed[excluded]
        self._usable[positives] = self._allowed[positives]
        self._positive[positives] = False
        above = scores > self._threshold[row]
        chosen = np.flatnonzero(usable & ~above)[: self._count]
        short = len(chosen) < self._count
        seen = len(ranked) if short else (int(chosen[-1]) + 1 if self._count else 0)
        # A tie with the last passage looked at could hide an equal one with a lower index.
        tied = not short and self._count > 0 and scores[chosen[-1]] == scores[-1]
        return Taken(
            indices=ranked[chosen],
            scores=scores[chosen],
            dropped_by_margin=int((usable & above)[:seen].sum()),
            dropped_excluded=int((~usable & ~positive)[:seen].sum()),
            final=exhausted or not (short or tied),
        )
