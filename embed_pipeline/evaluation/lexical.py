"""How well words alone answer questions."""

from collections.abc import Callable, Mapping
from functools import cache

from embed_pipeline.evaluation.metrics import mean_ndcg
from embed_pipeline.evaluation.retrieve import bm25_run
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.bm25 import Bm25Index

DEPTH = 10


def answered_by_words(passages: Mapping[str, str]) -> Callable[[RetrievalSet], float]:
    """A measure of sets with these passages: BM25's mean nDCG@10. They are indexed once, when it is first asked."""

    @cache
    def index() -> Bm25Index:
        return Bm25Index(passages.values())

    return lambda asked: mean_ndcg(asked, bm25_run(asked, DEPTH, index=index()), DEPTH)
