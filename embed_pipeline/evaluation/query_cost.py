"""What a query costs: milliseconds on this machine, one query at a time, nothing remembered.

::

    bm25 = words         dense = encode + search         hybrid = both + fuse         reranked = hybrid + rerank
"""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from embed_pipeline.encoders.spec import Encoder, Vectors
from embed_pipeline.evaluation.lexical import index_of
from embed_pipeline.evaluation.reranking import BEFORE, PairScorer
from embed_pipeline.evaluation.systems import depth
from embed_pipeline.progress import SilentReporter, reporting
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import Run, convex
from embed_pipeline.retrieval.search import top_k
from embed_pipeline.settings import EvalSettings

TIMED = 20
"""Queries timed, spread over the test set; the first two are no part of the figure."""
RERANKED_TIMED = 6
WARM_UP = 2


def milliseconds_of_systems(
    test_set: RetrievalSet,
    encoder: Encoder,
    passages: Vectors,
    found: Run,
    scorers: dict[str, PairScorer],
    settings: EvalSettings,
) -> dict[str, float]:
    """System -> median milliseconds a query; base and tuned are one network, and so cost the same.

    The passages' vectors and the words' index are there already, as they are when queries come.

    Args:
        test_set: whose queries are timed, up to 20 of them (6 for the rerankers).
        encoder: the tuned model; it must not remember what it has encoded.
        passages: vectors of the test set's passages, [p, d].
        found: what the hybrid finds.
        scorers: system -> its reranker, which must not remember either.
        settings: how words are compared, how many passages a run has, and how many of them are ordered anew.
    """
    kept = depth(settings)
    queries = _spread(list(test_set.queries), TIMED)
    index = index_of(test_set, settings.bm25)
    vectors: dict[str, Vectors] = {}
    lexical: dict[str, dict[str, float]] = {}
    dense: dict[str, dict[str, float]] = {}

    def encode(query: str) -> None:
        vectors[query] = encoder.encode([test_set.queries[query]], "query")

    def search(query: str) -> None:
        scores, places = top_k(vectors[query], passages, kept)
        dense[query] = dict(zip(map(str, places[0].tolist()), scores[0].tolist(), strict=True))

    def words(query: str) -> None:
        (best_ones,) = index.top_k([test_set.queries[query]], kept)
        lexical[query] = {str(place): value for place, value in best_ones}

    def fuse(query: str) -> None:
        convex({query: lexical[query]}, {query: dense[query]}, kept)

    with reporting(SilentReporter()):
        part = {step.__name__: _median(step, queries) for step in (encode, search, words, fuse)}
        rerankers = {
            system: _median(_reranking(test_set, found, scorer, settings.rerank_depth), _few(queries))
            for system, scorer in scorers.items()
        }
    of_dense, of_words = part["encode"] + part["search"], part["words"]
    hybrid = of_dense + of_words + part["fuse"]
    costs = dict(zip(BEFORE, (of_words, of_dense, of_dense, hybrid, hybrid), strict=True))
    return costs | {system: hybrid + value for system, value in rerankers.items()}


def _reranking(test_set: RetrievalSet, found: Run, scorer: PairScorer, best: int) -> Callable[[str], Any]:
    def reranked(query: str) -> None:
        names = list(found.get(query, {}))[:best]
        scorer([(test_set.queries[query], test_set.passages[name]) for name in names])

    return reranked


def _spread(names: Sequence[str], most: int) -> list[str]:
    return list(names[:: max(1, len(names) // most)][:most])


def _few(queries: Sequence[str]) -> list[str]:
    return list(queries[:RERANKED_TIMED])


def _median(step: Callable[[str], Any], queries: Sequence[str]) -> float:
    taken = []
    for query in queries:
        began = time.perf_counter()
        step(query)
        taken.append(1000 * (time.perf_counter() - began))
    return median(taken[WARM_UP:] or taken)
