"""Denoising: a cross-encoder reads each negative once more and drops what answers the question.

Source: RocketQA (Qu et al. 2021, arXiv 2010.08191): of the best-ranked unlabelled passages most are relevant, and
training on them as negatives does harm; a cross-encoder tells them apart well.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoders.pair_scores import PairScores


class CrossEncoderDenoiser:
    """Drops what a cross-encoder gives more than ``threshold`` as the probability of relevance.

    Args:
        scores: the cross-encoder's logits; the probability is their sigmoid.
    """

    reason = "denoised"

    def __init__(self, scores: PairScores, threshold: float, questions: Sequence[str], passages: Sequence[str]) -> None:
        self._scores, self._threshold = scores, threshold
        self._questions, self._passages = questions, passages

    def answers(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """For each (question, passage) whether the passage answers the question."""
        texts = [(self._questions[question], self._passages[passage]) for question, passage in pairs]
        logits = self._scores.of(texts, "denoise negatives").astype(np.float64)
        found: NDArray[np.bool_] = 1 / (1 + np.exp(-logits)) > self._threshold
        return found
