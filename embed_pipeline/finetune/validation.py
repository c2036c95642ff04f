"""nDCG@10 on the validation questions, the figure that picks the checkpoint."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embed_pipeline.encoders.spec import EncoderSpec, Vectors
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.search import top_k

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

CUT_OFF = 10
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

    Passages are kept in descending order of id, so that equal scores rank as trec_eval ranks them.
    """

    def __init__(self, validation: RetrievalSet, spec: EncoderSpec, batch_size: int, seed: int) -> None:
        self._set, self._spec, self._batch_size = validation, spec, batch_size
        self._passages = sorted(validation.passages, reverse=True)
        self._queries = sorted(validation.queries)
        count = len(self._passages)
        self._sample = sorted(random.Random(seed).sample(range(count), min(SAMPLE, count)))  # noqa: S311 - not cryptography

    def measure(self, model: "SentenceTransformer") -> Measurement:
        """Mean nDCG@10 over every question against every passage."""
        encoder = TorchEncoder(self._spec, model, self._batch_size)
        passages = encoder.encode([self._set.passages[name] for name in self._passages], "passage")
        queries = encoder.encode([self._set.queries[name] for name in self._queries], "query")
        _, indices = top_k(queries, passages, CUT_OFF)
        values = [
            ndcg([self._passages[index] for index in row], self._set.qrels[name])
            for name, row in zip(self._queries, indices.tolist(), strict=True)
        ]
        return Measurement(round(math.fsum(values) / len(values), 6), passages[self._sample])
