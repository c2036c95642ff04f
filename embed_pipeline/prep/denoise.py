"""Denoising: a cross-encoder reads each negative once more and drops what answers the question.

Source: RocketQA (Qu et al. 2021, arXiv 2010.08191): of the best-ranked unlabelled passages most are relevant, and
training on them as negatives does harm; a cross-encoder tells them apart well.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.content_cache import ContentCache
from embed_pipeline.cross_encoder import CrossEncoderModel
from embed_pipeline.files import sha256_text
from embed_pipeline.progress import task

BLOCK = 512
"""Pairs read before their scores are written."""


class CrossEncoderDenoiser:
    """Drops what a cross-encoder gives more than ``threshold`` as the probability of relevance.

    Args:
        cache: keeps every logit, by model and texts, so that a killed run does not read a pair again.
    """

    def __init__(
        self, model: CrossEncoderModel, threshold: float, questions: Sequence[str], passages: Sequence[str], cache: Path
    ) -> None:
        self._model, self._threshold = model, threshold
        self._questions, self._passages = questions, passages
        self._cache = ContentCache(cache)

    def answers(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """For each (question, passage) whether the passage answers the question; the probability is the logit's
        sigmoid.
        """
        texts = [(self._questions[question], self._passages[passage]) for question, passage in pairs]
        keys = [sha256_text("\n".join((self._model.content_sha256, *pair))) for pair in texts]
        known = self._cache.get_many(keys)
        missing = {key: pair for key, pair in zip(keys, texts, strict=True) if key not in known}
        names = list(missing)
        with task("denoise negatives", len(names)) as running:
            for start in range(0, len(names), BLOCK):
                part = names[start : start + BLOCK]
                scores = self._model.scores([missing[key] for key in part])
                self._cache.put_many({key: score.tobytes() for key, score in zip(part, scores, strict=True)})
                running.advance(len(part))
        known = self._cache.get_many(keys)
        logits = np.array([np.frombuffer(known[key], np.float32)[0] for key in keys], np.float64)
        found: NDArray[np.bool_] = 1 / (1 + np.exp(-logits)) > self._threshold
        return found
