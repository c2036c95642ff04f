"""nDCG@10 on the validation questions, the figure that picks the checkpoint."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embed_pipeline.encoders.cached_encoder import CachedEncoder
from embed_pipeline.encoders.spec import Encoder, EncoderSpec, Vectors
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.bm25 import Bm25Index
from embed_pipeline.retrieval.fusion import Run, convex
from embed_pipeline.retrieval.search import Indices, top_k
from embed_pipeline.retrieval.word_index import word_index
from embed_pipeline.settings import Bm25Settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

CUT_OFF = 10
POOL_DEPTH = 100
"""Best passages of the base model, and of BM25, that a question brings into the pool."""
SAMPLE = 256


def ndcg(ranked: Sequence[str], relevant: Mapping[str, int], cut_off: int = CUT_OFF) -> float:
    """The nDCG of one ranking as trec_eval computes it: gain = relevance, discount = log2(rank + 1).

    Args:
        ranked: passage ids, best first.
        relevant: passage id -> relevance >= 1.
    """
    gains = [relevant.get(name, 0) for name in ranked[:cut_off]]
    ideal = sorted(relevant.values(), reverse=True)[:cut_off]
    return _discounted(gains) / _discounted(ideal)


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


@dataclass(frozen=True)
class Measurement:
    """Mean nDCG@10, and vectors of up to 256 random passages (the same ones every time)."""

    ndcg: float
    sample: Vectors


class Validator:
    """Measures a model on a retrieval set, encoding as at inference.

    The first model measured, which is the base, ranks every passage, and what it and BM25 find makes the pool that
    later ones rank: of each question the positives, the 100 best of the base model and the 100 best of BM25; besides,
    the sample. So a large corpus is encoded once, not at every validation. A later model cannot be led astray by a
    passage outside the pool, so that its figure can be a little too high.

    Passages are kept in descending order of id, so that equal scores rank as trec_eval ranks them.

    Args:
        fused: measure the model fused with BM25 at equal weights, as the evaluation does, each with its 100 best.
        bm25: how words are compared where fused; the defaults when not given.

    Attributes:
        pool: indices of its passages in that order, ascending; None before the first measurement.
    """

    def __init__(
        self,
        validation: RetrievalSet,
        spec: EncoderSpec,
        batch_size: int,
        seed: int,
        fused: bool = False,
        bm25: Bm25Settings | None = None,
    ) -> None:
        self._words = bm25 or Bm25Settings()
        self._set, self._spec, self._batch_size, self._fused = validation, spec, batch_size, fused
        self._passages = sorted(validation.passages, reverse=True)
        self._queries = sorted(validation.queries)
        count = len(self._passages)
        self._sample = sorted(random.Random(seed).sample(range(count), min(SAMPLE, count)))  # noqa: S311 - not cryptography
        self.pool: list[int] | None = None

    def measure(self, model: "SentenceTransformer", vectors: Path | None = None) -> Measurement:
        """Mean nDCG@10 over every question against every passage, or against the pool once there is one.

        Args:
            vectors: of the base model, which ``model`` then is: a cache of what earlier stages encoded.
        """
        ranked = self.pool if self.pool is not None else range(len(self._passages))
        encoder: Encoder = TorchEncoder(self._spec, model, self._batch_size)
        if vectors is not None:
            plain = encoder
            encoder = CachedEncoder(self._spec, lambda: plain, vectors)
        passages = encoder.encode([self._set.passages[self._passages[place]] for place in ranked], "passage")
        queries = encoder.encode([self._set.queries[name] for name in self._queries], "query")
        deep = self.pool is None or self._fused
        scores, found = top_k(queries, passages, POOL_DEPTH if deep else CUT_OFF)
        names = [self._passages[place] for place in ranked]
        best = {name: [names[index] for index in row] for name, row in zip(self._queries, found.tolist(), strict=True)}
        if self._fused:
            best = self._fused_with_bm25(best, scores)
        values = [ndcg(best[name], self._set.qrels[name]) for name in self._queries]
        sample = passages[np.searchsorted(ranked, self._sample)]
        if self.pool is None:
            self.pool = self._pool_with(found)
        return Measurement(round(math.fsum(values) / len(values), 6), sample)

    def _pool_with(self, found: Indices) -> list[int]:
        """The pool, given what the base model found [queries, depth]."""
        pool = {*found.ravel().tolist(), *self._sample}
        if len(pool) == len(self._passages):
            return sorted(pool)
        place = {name: index for index, name in enumerate(self._passages)}
        pool.update(place[name] for query in self._queries for name in self._set.qrels[query] if name in place)
        pool.update(place[name] for best in self._bm25.values() for name in best)
        return sorted(pool)

    def _fused_with_bm25(self, best: Mapping[str, Sequence[str]], scores: Vectors) -> dict[str, list[str]]:
        """The fused ranking of each query, given the dense one with its scores [queries, depth]."""
        rows = zip(self._queries, scores.tolist(), strict=True)
        dense = {name: dict(zip(best[name], row, strict=True)) for name, row in rows}
        fused = convex(self._bm25, dense, CUT_OFF)
        return {name: list(fused[name]) for name in self._queries}

    @cached_property
    def _bm25(self) -> Run:
        """What BM25 finds, by query; plain words, whatever ``eval.bm25`` says, where they only widen the pool."""
        texts = [self._set.passages[name] for name in self._passages]
        titles = [self._set.titles.get(name, "") for name in self._passages]
        index = word_index(texts, titles, self._words) if self._fused else Bm25Index(texts)
        found = index.top_k((self._set.queries[name] for name in self._queries), POOL_DEPTH)
        return {
            name: {self._passages[place]: score for place, score in best}
            for name, best in zip(self._queries, found, strict=True)
        }
