"""Scores of (question, passage) pairs by a model that is slow to ask: each computed once and kept on the disk."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.files import sha256_text
from embed_pipeline.progress import task
from embed_pipeline.store.content_cache import ContentCache

Pair = tuple[str, str]
Scorer = Callable[[Sequence[Pair]], NDArray[np.float32]]
BLOCK = 512
"""Pairs scored before their scores are written, which is what a kill can lose."""


class PairScores:
    """The scores of one model.

    Args:
        path: SQLite file, shared with other models and processes.
        version: of the model and of everything else that decides a score.
        load: makes the scorer; called only when a score is missing.
    """

    def __init__(self, path: Path, version: str, load: Callable[[], Scorer]) -> None:
        self._cache, self._version, self._load = ContentCache(path), version, load
        self._scorer: Scorer | None = None

    def of(self, pairs: Sequence[Pair], name: str) -> NDArray[np.float32]:
        """Scores [pairs]; ``name`` is shown as progress."""
        keys = [sha256_text("\n".join((self._version, *pair))) for pair in pairs]
        known = self._cache.get_many(keys)
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in known}
        if missing:
            known |= self._compute(missing, name)
        return np.array([np.frombuffer(known[key], np.float32)[0] for key in keys], np.float32)

    def _compute(self, missing: dict[str, Pair], name: str) -> dict[str, bytes]:
        if self._scorer is None:
            self._scorer = self._load()
        keys, found = list(missing), dict[str, bytes]()
        with task(name, len(keys)) as running:
            for start in range(0, len(keys), BLOCK):
                part = keys[start : start + BLOCK]
                scores = np.asarray(self._scorer([missing[key] for key in part]), np.float32)
                new = {key: score.tobytes() for key, score in zip(part, scores, strict=True)}
                self._cache.put_many(new)
                found |= new
                running.advance(len(part))
        return found
