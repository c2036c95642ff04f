"""Runs: what a system finds for every query."""

from collections.abc import Iterable, Mapping

import numpy as np

from embed_pipeline.encoders.spec import Encoder, Role, Vectors
from embed_pipeline.errors import StageError
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.search import top_k

Run = dict[str, dict[str, float]]
"""Query id -> {passage id: score}, best first; a missing query found nothing."""


def dense_run(retrieval_set: RetrievalSet, encoder: Encoder, k: int) -> Run:
    """The ``k`` passages nearest to each query by inner product, over the whole corpus.

    A passage whose id equals the query's is kept (BEIR drops it by default).

    Raises:
        StageError: the encoder returned a vector that is not finite.
    """
    passage_ids = list(retrieval_set.passages)
    query_ids = list(retrieval_set.queries)
    passages = _encode(encoder, retrieval_set.passages.values(), "passage")
    queries = _encode(encoder, retrieval_set.queries.values(), "query")
    scores, indices = top_k(queries, passages, k)
    return {
        query: {passage_ids[index]: float(score) for index, score in zip(found, values, strict=True)}
        for query, found, values in zip(query_ids, indices, scores, strict=True)
    }


def ranked(scores: Mapping[str, float]) -> list[str]:
    """Passage ids best first, in the order by which trec_eval ranks a run.

    Scores are compared as float32, equal ones ordered by descending id (trec_eval's ``comp_sim_docno``).
    """
    return sorted(sorted(scores, reverse=True), key=lambda passage: np.float32(scores[passage]), reverse=True)


def _encode(encoder: Encoder, texts: Iterable[str], role: Role) -> Vectors:
    vectors = encoder.encode(list(texts), role)
    if not np.isfinite(vectors).all():
        raise StageError(
            f"{encoder.spec.model}: the vector of a {role} is not finite, so nothing can be compared; "
            "check the model, or its precision."
        )
    return vectors
