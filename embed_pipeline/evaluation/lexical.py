"""Searching by words: as people would search, and how well words alone answer questions."""

from collections.abc import Callable, Mapping
from functools import cache

from embed_pipeline.evaluation.metrics import mean_ndcg
from embed_pipeline.evaluation.retrieve import bm25_run
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.bm25 import Bm25Index
from embed_pipeline.retrieval.fusion import Run
from embed_pipeline.retrieval.word_index import word_index
from embed_pipeline.settings import Bm25Settings, EvalSettings

DEPTH = 10


def index_of(retrieval_set: RetrievalSet, settings: Bm25Settings) -> Bm25Index:
    """:func:`embed_pipeline.retrieval.word_index.word_index` of the passages of a set."""
    titles = [retrieval_set.titles.get(passage, "") for passage in retrieval_set.passages]
    return word_index(list(retrieval_set.passages.values()), titles, settings)


def found_by_words(retrieval_set: RetrievalSet, settings: EvalSettings, k: int) -> Run:
    """What the system ``bm25`` finds: ``k`` passages of each query, those that share a word or a stem with it."""
    return bm25_run(retrieval_set, k, settings.keep_identical_ids, index_of(retrieval_set, settings.bm25))


def answered_by_words(passages: Mapping[str, str]) -> Callable[[RetrievalSet], float]:
    """A measure of sets with these passages: plain BM25's mean nDCG@10. They are indexed once, when it is first asked.

    Words without stems, whatever ``eval.bm25`` says: how much is reworded was calibrated with these.
    """

    @cache
    def index() -> Bm25Index:
        return Bm25Index(passages.values())

    return lambda asked: mean_ndcg(asked, bm25_run(asked, DEPTH, index=index()), DEPTH)
