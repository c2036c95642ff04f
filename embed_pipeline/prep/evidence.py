"""Passages that hold the evidence of a question word for word: they answer it, though nobody labelled them.

A revised contract, a manual for the next model or a window that overlaps its neighbour repeats sentences of the
positive without being a near-duplicate of it as a whole. Mining looks at its negatives, unrolling at all passages
that could meet a question in a batch.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.text.forms import same_text_key

SHORTEST = 24
"""Characters; what is shorter ("see section 4") stands in many passages without answering anything."""


class EvidenceHolders:
    """Drops negatives in which the evidence of one of the question's hops stands, as the same text.

    Args:
        evidence: per question that of its hops; empty strings where it is not known.
        passages: texts.
    """

    reason = "holds_evidence"

    def __init__(self, evidence: Sequence[Sequence[str]], passages: Sequence[str]) -> None:
        self._evidence = [_quotes(texts) for texts in evidence]
        self._passages = passages
        self._keys: dict[int, str] = {}

    def answers(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """For each (question, passage) whether the passage holds evidence of the question."""
        return np.array([self._holds(*pair) for pair in pairs], bool)

    def _holds(self, question: int, passage: int) -> bool:
        quotes = self._evidence[question]
        if not quotes:
            return False
        if passage not in self._keys:
            self._keys[passage] = same_text_key(self._passages[passage])
        return any(quote in self._keys[passage] for quote in quotes)


def holders(evidence: Sequence[Sequence[str]], texts: Sequence[str]) -> list[list[int]]:
    """Per question the rows of the texts in which evidence of it stands, ascending.

    The same as :class:`EvidenceHolders` for every pair, at the cost of reading each text once: what stands at each of
    its places is looked up among the beginnings of all evidence.
    """
    beginnings: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for question, quoted in enumerate(evidence):
        for quote in _quotes(quoted):
            beginnings[quote[:SHORTEST]].add((question, quote))
    found: list[list[int]] = [[] for _ in evidence]
    for row, text in enumerate(texts if beginnings else ()):
        key = same_text_key(text)
        starts = ((place, key[place : place + SHORTEST]) for place in range(len(key) - SHORTEST + 1))
        held = {
            question
            for place, beginning in starts
            for question, quote in beginnings.get(beginning, ())
            if key.startswith(quote, place)
        }
        for question in held:
            found[question].append(row)
    return found


def _quotes(evidence: Sequence[str]) -> list[str]:
    """What is looked for."""
    return [quote for quote in map(same_text_key, evidence) if len(quote) >= SHORTEST]
