"""Passages that hold the evidence of a question word for word: they answer it, though nobody labelled them.

A revised contract, a manual for the next model or a window that overlaps its neighbour repeats sentences of the
positive without being a near-duplicate of it as a whole.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.prep.repeats import said

SHORTEST = 24
"""Characters; what is shorter ("see section 4") stands in many passages without answering anything."""


class EvidenceHolders:
    """Drops negatives in which the evidence of one of the question's hops stands, case and punctuation aside.

    Args:
        evidence: per question that of its hops; empty strings where it is not known.
        passages: texts.
    """

    reason = "holds_evidence"

    def __init__(self, evidence: Sequence[Sequence[str]], passages: Sequence[str]) -> None:
        quoted = [[said(text) for text in texts] for texts in evidence]
        self._evidence = [[text for text in texts if len(text) >= SHORTEST] for texts in quoted]
        self._passages = passages
        self._said: dict[int, str] = {}

    def answers(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """For each (question, passage) whether the passage holds evidence of the question."""
        return np.array([self._holds(*pair) for pair in pairs], bool)

    def _holds(self, question: int, passage: int) -> bool:
        quotes = self._evidence[question]
        if not quotes:
            return False
        if passage not in self._said:
            self._said[passage] = said(self._passages[passage])
        return any(quote in self._said[passage] for quote in quotes)
