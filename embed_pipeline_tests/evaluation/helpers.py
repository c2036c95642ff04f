"""Test sets and encoders whose results can be worked out by hand."""

import hashlib
from collections.abc import Sequence

import numpy as np

from embed_pipeline.encoders.spec import EncoderSpec, Role, Vectors
from embed_pipeline.records import RetrievalSet

SPEC = EncoderSpec(
    model="words", content_sha256="0" * 64, max_query_length=64, max_passage_length=64, dimensions=(512,)
)


class WordEncoder:
    """Normalised sum of one fixed random vector per word; ``blind`` words are not seen."""

    spec = SPEC

    def __init__(self, blind: Sequence[str] = ()) -> None:
        self.blind = set(blind)

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        vectors = np.array([self._vector(text) for text in texts], np.float32).reshape(len(texts), 512)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def _vector(self, text: str) -> np.ndarray:
        total = np.zeros(512)
        for word in text.lower().split():
            if word not in self.blind:
                seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
                total += np.random.default_rng(seed).standard_normal(512)
        return total


def numbered_set(queries: int, name: str = "synthetic") -> RetrievalSet:
    """Query ``q<i>`` asks for ``topic<i>``, which stands in passage ``p<i>`` among common words."""
    ids = range(queries)
    return RetrievalSet(
        name,
        {f"p{i}": f"manual about topic{i} and other{i % 3} things" for i in ids},
        {f"q{i}": f"where is topic{i} explained" for i in ids},
        {f"q{i}": {f"p{i}": 1} for i in ids},
        {f"q{i}": {"kind": "odd" if i % 2 else "even", "rare": "yes" if i < 3 else "no"} for i in ids},
        kind="synthetic" if name == "synthetic" else "gold",
    )
