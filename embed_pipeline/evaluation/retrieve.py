"""Runs: what a system finds for every query."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoders.spec import Encoder, Role, Vectors
from embed_pipeline.errors import StageError
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.bm25 import Bm25Index
from embed_pipeline.retrieval.fusion import Run
from embed_pipeline.retrieval.search import Indices, top_k


@dataclass(frozen=True, eq=False)
class SetVectors:
    """The vectors of a retrieval set: passages [p, d] and queries [q, d], in the order of the set.

    Attributes:
        places: [p]: the passage of the set that each vector is of; None where each passage has one.
    """

    passages: Vectors
    queries: Vectors
    places: NDArray[np.int64] | None = None

    def prefix(self, dimensions: int) -> "SetVectors":
        """The first numbers of each vector, renormalised (Matryoshka)."""
        return SetVectors(_prefix(self.passages, dimensions), _prefix(self.queries, dimensions), self.places)


def encode_set(retrieval_set: RetrievalSet, encoder: Encoder) -> SetVectors:
    """Encode every passage, piece by piece where it has any, and every query.

    Raises:
        StageError: the encoder returned a vector that is not finite.
    """
    read = [retrieval_set.pieces.get(name, [text]) for name, text in retrieval_set.passages.items()]
    passages = _encode(encoder, chain.from_iterable(read), "passage")
    queries = _encode(encoder, retrieval_set.queries.values(), "query")
    places = np.repeat(np.arange(len(read)), [len(texts) for texts in read]) if retrieval_set.pieces else None
    return SetVectors(passages, queries, places)


def nearest(retrieval_set: RetrievalSet, vectors: SetVectors, k: int, keep_identical_ids: bool = False) -> Run:
    """The ``k`` passages nearest to each query by inner product, over the whole corpus.

    Args:
        keep_identical_ids: keep a passage whose id is the query's. BEIR leaves it out, since in some of its sets
            (ArguAna, Quora) the queries stand in the corpus, and each finds itself first.
    """
    identical = set() if keep_identical_ids else _identical_ids(retrieval_set)
    scores, indices = _top_passages(vectors, k + bool(identical))
    return _without(_as_run(retrieval_set, indices, scores), identical, k)


def _top_passages(vectors: SetVectors, k: int) -> tuple[Vectors, Indices]:
    """Scores and places [q, k] of the nearest passages; one of several pieces is as near as its nearest (MaxP).

    Source: Dai and Callan 2019, "Deeper Text Understanding for IR with Contextual Neural Language Modeling".
    """
    if vectors.places is None:
        return top_k(vectors.queries, vectors.passages, k)
    count, asked = len(vectors.places), k
    wanted = min(k, int(vectors.places[-1]) + 1)
    while True:  # until the nearest pieces are of as many passages as are asked for
        scores, found = top_k(vectors.queries, vectors.passages, min(asked, count))
        places = vectors.places[found]
        nearest_pieces = [np.sort(np.unique(row, return_index=True)[1])[:wanted] for row in places]
        if asked >= count or all(len(row) == wanted for row in nearest_pieces):
            rows = np.arange(len(places))[:, None]
            chosen = np.array(nearest_pieces, np.int64).reshape(len(places), -1)
            return scores[rows, chosen], places[rows, chosen]
        asked *= 2


def dense_run(retrieval_set: RetrievalSet, encoder: Encoder, k: int, keep_identical_ids: bool = False) -> Run:
    """Encode the set, and find the ``k`` passages nearest to each query; see :func:`nearest`.

    Raises:
        StageError: the encoder returned a vector that is not finite.
    """
    return nearest(retrieval_set, encode_set(retrieval_set, encoder), k, keep_identical_ids)


def bm25_run(
    retrieval_set: RetrievalSet, k: int, keep_identical_ids: bool = False, index: Bm25Index | None = None
) -> Run:
    """:class:`embed_pipeline.retrieval.bm25.Bm25Index` over the corpus; only passages that share a word are found.

    The system that people would use is :func:`embed_pipeline.evaluation.lexical.found_by_words`.

    Args:
        retrieval_set: passages and queries in any language.
        k: passages per query.
        keep_identical_ids: as for :func:`nearest`.
        index: of the passages, where there is one already; else plain words, without stems.
    """
    passage_ids = list(retrieval_set.passages)
    identical = set() if keep_identical_ids else _identical_ids(retrieval_set)
    index = index or Bm25Index(retrieval_set.passages.values())
    found = index.top_k(retrieval_set.queries.values(), k + bool(identical))
    run = {
        query: {passage_ids[place]: score for place, score in best}
        for query, best in zip(retrieval_set.queries, found, strict=True)
    }
    return _without(run, identical, k)


def _identical_ids(retrieval_set: RetrievalSet) -> set[str]:
    return {query for query in retrieval_set.queries if query in retrieval_set.passages}


def _without(run: Run, identical: set[str], k: int) -> Run:
    """The first ``k`` of each query but for the passage of the same id."""
    if not identical:
        return run
    kept = {query: [row for row in found.items() if row[0] != query][:k] for query, found in run.items()}
    return {query: dict(rows) for query, rows in kept.items()}


def _as_run(retrieval_set: RetrievalSet, indices: Indices, scores: Vectors) -> Run:
    passage_ids = list(retrieval_set.passages)
    return {
        query: {passage_ids[index]: score for index, score in zip(found, values, strict=True)}
        for query, found, values in zip(retrieval_set.queries, indices.tolist(), scores.tolist(), strict=True)
    }


def _prefix(vectors: Vectors, dimensions: int) -> Vectors:
    cut = vectors[:, :dimensions]
    lengths: Vectors = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.ascontiguousarray(cut / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def _encode(encoder: Encoder, texts: Iterable[str], role: Role) -> Vectors:
    given: Sequence[str] = list(texts)
    vectors = encoder.encode(given, role)
    if not np.isfinite(vectors).all():
        raise StageError(
            f"{encoder.spec.model}: the vector of a {role} is not finite, so nothing can be compared; "
            "check the model, or its precision."
        )
    return vectors
