"""One ranking from two: by ranks, or by scores."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

Scores = Mapping[str, float]
"""Passage id -> score."""
Run = dict[str, dict[str, float]]
"""Query id -> {passage id: score}, best first; a missing query found nothing."""
EQUAL_WEIGHT = 0.5


def ranked(scores: Scores) -> list[str]:
    """Passage ids best first, in the order by which trec_eval ranks a run.

    Scores are compared as float32, equal ones ordered by descending id (trec_eval's ``comp_sim_docno``).
    """
    passages = sorted(scores, reverse=True)
    values = np.array([scores[passage] for passage in passages], np.float32)
    return [passages[place] for place in np.argsort(-values, kind="stable").tolist()]


def rrf(runs: Sequence[Mapping[str, Scores]], k: int, c: int = 60) -> Run:
    """Reciprocal rank fusion: the score of a passage is the sum over the runs of 1 / (c + rank), rank from 1.

    Source: Cormack, Clarke and Büttcher 2009, "Reciprocal Rank Fusion outperforms Condorcet and individual
    Rank Learning Methods", with their c = 60. The ``k`` best of each query are kept.
    """
    fused: Run = {}
    for query in _queries(runs):
        scores: dict[str, float] = {}
        for run in runs:
            for rank, passage in enumerate(ranked(run.get(query, {})), start=1):
                scores[passage] = scores.get(passage, 0.0) + 1.0 / (c + rank)
        fused[query] = _best(scores, k)
    return fused


def convex(sparse: Mapping[str, Scores], dense: Mapping[str, Scores], k: int, weight: float = EQUAL_WEIGHT) -> Run:
    """Convex combination: ``weight`` times the dense score plus ``1 - weight`` times the sparse one.

    BM25 scores are divided by the best one of the query, cosines go through min-max over what the query found; what
    a side did not find has 0 there. Source: Bruch, Gai and Ingber 2023, "An Analysis of Fusion Functions for Hybrid
    Retrieval", where it does better than ranks when one side is much the weaker. The ``k`` best are kept.

    Args:
        sparse: BM25; scores above 0.
        dense: cosines, of either sign.
        weight: 0 to 1.
    """
    fused: Run = {}
    for query in _queries((sparse, dense)):
        scores = {passage: (1 - weight) * score for passage, score in _over_best(sparse.get(query, {})).items()}
        for passage, score in _min_max(dense.get(query, {})).items():
            scores[passage] = scores.get(passage, 0.0) + weight * score
        fused[query] = _best(scores, k)
    return fused


def blend(found: Scores, reranked: Scores, weight: float) -> dict[str, float]:
    """``weight`` times a reranker's score plus ``1 - weight`` times that of the search, both from 0 to 1 by min-max.

    Both score the same passages of one query; as :func:`convex`, but for the sparse side.
    """
    search, anew = _min_max(found), _min_max(reranked)
    return {passage: (1 - weight) * search[passage] + weight * anew[passage] for passage in found}


def _queries(runs: Iterable[Mapping[str, Scores]]) -> list[str]:
    return list(dict.fromkeys(query for run in runs for query in run))


def _best(scores: Scores, k: int) -> dict[str, float]:
    return {passage: scores[passage] for passage in ranked(scores)[:k]}


def _over_best(scores: Scores) -> dict[str, float]:
    best = max(scores.values(), default=0.0)
    return {passage: score / best for passage, score in scores.items()} if best > 0 else {}


def _min_max(scores: Scores) -> dict[str, float]:
    """0 for the worst, 1 for the best; 1 for all where they are equal."""
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    return {passage: (score - low) / (high - low) if high > low else 1.0 for passage, score in scores.items()}
