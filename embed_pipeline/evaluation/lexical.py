"""How well words alone answer questions."""

from collections.abc import Callable, Mapping

from embed_pipeline.evaluation.compare import DECIDING_METRIC
from embed_pipeline.evaluation.metrics import score_run
from embed_pipeline.evaluation.retrieve import bm25_run
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.bm25 import Bm25Index

DEPTH = 10


def answered_by_words(passages: Mapping[str, str]) -> Callable[[RetrievalSet], float]:
    """A measure of sets with these passages: BM25's mean nDCG@10. They are indexed once."""
    index = Bm25Index(passages.values())

    def measure(asked: RetrievalSet) -> float:
        run = bm25_run(asked, DEPTH, index=index)
        return float(score_run(asked, run, (DEPTH,)).column(DECIDING_METRIC).mean())

    return measure
