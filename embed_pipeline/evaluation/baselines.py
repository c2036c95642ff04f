"""What stands beside the dense models: BM25, and BM25 and dense fused."""

from collections.abc import Sequence

from embed_pipeline.evaluation.retrieve import Run, ranked
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.bm25 import Bm25Index


def bm25_run(retrieval_set: RetrievalSet, k: int) -> Run:
    """:class:`embed_pipeline.retrieval.bm25.Bm25Index` over the corpus; only passages that share a word are found.

    Args:
        retrieval_set: passages and queries in any language.
        k: passages per query.
    """
    passage_ids = list(retrieval_set.passages)
    found = Bm25Index(retrieval_set.passages.values()).top_k(retrieval_set.queries.values(), k)
    return {
        query: {passage_ids[index]: score for index, score in best}
        for query, best in zip(retrieval_set.queries, found, strict=True)
    }


def hybrid_run(runs: Sequence[Run], k: int, c: int = 60) -> Run:
    """Reciprocal rank fusion: the score of a passage is the sum over the runs of 1 / (c + rank), rank from 1.

    Source: Cormack, Clarke and Büttcher 2009, "Reciprocal Rank Fusion outperforms Condorcet and individual
    Rank Learning Methods", with their c = 60. The ``k`` best of each query are kept.
    """
    fused: Run = {}
    for query in dict.fromkeys(query for run in runs for query in run):
        scores: dict[str, float] = {}
        for run in runs:
            for rank, passage in enumerate(ranked(run.get(query, {})), start=1):
                scores[passage] = scores.get(passage, 0.0) + 1.0 / (c + rank)
        fused[query] = {passage: scores[passage] for passage in ranked(scores)[:k]}
    return fused
