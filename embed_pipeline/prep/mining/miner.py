"""Hard negatives: passages that look like an answer to the model and are not one.

What scores above 95 % of the lowest positive is probably an unlabelled positive and is dropped for good; nothing that
was dropped ever fills a gap. Needs numpy and faiss only; :mod:`embed_pipeline.prep.mining.negatives` makes
tables of it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.errors import InputError
from embed_pipeline.prep.mining.rankings import Rankings
from embed_pipeline.prep.mining.rules import Barred, Picked, Picker, Ranking, Rules
from embed_pipeline.progress import track
from embed_pipeline.retrieval.passage_index import PassageIndex
from embed_pipeline.retrieval.search import Indices

FIRST_LOOK = 64
"""Candidates looked at per query before looking further."""
BLOCK = 4096
"""Queries looked at together."""
CELLS = 4_000_000
"""Candidates held at once: where a few queries must be looked at deeply, fewer of them are looked at together."""
DENOISING_ROUNDS = 10
"""Times the replacements of denoised negatives are looked at in their turn; then a query keeps fewer."""


class Denoiser(Protocol):
    """Looks at a question and a passage once more.

    Attributes:
        reason: why what it drops is dropped, one of ``rules.ANSWERING``.
    """

    @property
    def reason(self) -> str: ...

    def answers(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """For each (query row, passage row) whether the passage answers the question after all."""
        ...


class Judge(Denoiser, Protocol):
    """Looks at negatives once more, and knows of which of those it drops it is sure.

    Attributes:
        sure: (query row, passage row) of passages that answer the question beyond doubt, of all it has looked at.
    """

    @property
    def sure(self) -> Collection[tuple[int, int]]: ...


@dataclass(frozen=True)
class Rejected:
    """Candidates that were looked at and not taken, [n] each; reasons are codes of ``rules.REASONS``."""

    queries: Indices
    passages: Indices
    ranks: Indices
    scores: Vectors
    reasons: NDArray[np.uint8]


@dataclass(frozen=True)
class MiningResult:
    """What was mined for each query, in the order of the queries.

    Attributes:
        indices: per query the hard negatives (rows of the passage vectors), best first; may be fewer than asked.
        scores: their inner products.
        ranks: their ranks from 1 among the passages that are no positives.
        positive_scores: inner product of each positive.
        threshold: [queries]; candidates scoring above it were dropped. Infinite without margins.
        rejected: candidates before the last negative taken, positives excepted, and why not.
    """

    indices: list[Indices]
    scores: list[Vectors]
    ranks: list[Indices]
    positive_scores: list[Vectors]
    threshold: NDArray[np.float64]
    rejected: Rejected


def mine(
    query_vectors: Vectors,
    passages: Vectors | PassageIndex,
    positives: Sequence[Indices],
    barred: Barred,
    rules: Rules,
    rankings: Rankings | None = None,
    denoisers: Sequence[Denoiser] = (),
    seeds: Sequence[int] | None = None,
) -> MiningResult:
    """Mine hard negatives.

    Args:
        query_vectors: [q, d].
        passages: vectors [p, d], or an index over them.
        positives: per query the rows of its positives, at least one.
        barred: what must never be a negative.
        rules: what is taken.
        rankings: where candidates come from; the model's ranking when not given.
        denoisers: drop negatives that answer the question after all; the cheapest first.
        seeds: per query, for the random choice.

    Raises:
        InputError: a query without positives, or a vector that is not finite.
    """
    index = passages if isinstance(passages, PassageIndex) else PassageIndex(passages, len(passages))
    vectors = index.passages
    if not (np.isfinite(query_vectors).all() and all(np.isfinite(part).all() for part in _parts(vectors))):
        raise InputError("The encoder returned vectors that are not finite numbers; check encoder settings and model.")
    if any(len(rows) == 0 for rows in positives):
        raise InputError("Mining needs at least one positive passage per question.")
    positive_scores = [vectors[rows] @ query for rows, query in zip(positives, query_vectors, strict=True)]
    threshold = rules.thresholds(np.array([scores.min() for scores in positive_scores], np.float64))
    picker = Picker(rules, barred, positives, threshold, seeds or range(len(query_vectors)))
    source = rankings or Rankings(query_vectors, index, "dense")
    found = _Found(len(query_vectors))
    for start in track(range(0, len(query_vectors), BLOCK), "mine hard negatives"):
        rows = np.arange(start, min(start + BLOCK, len(query_vectors)))
        _mine_block(rows, source, picker, denoisers, found)
    return MiningResult(found.indices, found.scores, found.ranks, positive_scores, threshold, found.rejected())


def _parts(vectors: Vectors) -> Iterator[Vectors]:
    for start in range(0, len(vectors), 65_536):
        yield vectors[start : start + 65_536]


class _Found:
    """Collects what was taken and what was rejected."""

    def __init__(self, queries: int) -> None:
        self.indices: list[Indices] = [np.zeros(0, np.int64) for _ in range(queries)]
        self.scores: list[Vectors] = [np.zeros(0, np.float32) for _ in range(queries)]
        self.ranks: list[Indices] = [np.zeros(0, np.int64) for _ in range(queries)]
        self._rejected: dict[int, tuple[Indices, Indices, Vectors, NDArray[np.uint8]]] = {}

    def take(self, ranking: Ranking, picked: Picked, rows: Indices) -> None:
        """Keep the outcome of some rows of a ranking."""
        columns = np.arange(ranking.passages.shape[1])
        dropped = (columns < picked.seen[:, None]) & (picked.reasons > 1) & (ranking.passages >= 0)
        for row in rows.tolist():
            query = int(ranking.queries[row])
            self.indices[query] = ranking.passages[row, picked.chosen[row]]
            self.scores[query] = ranking.scores[row, picked.chosen[row]]
            self.ranks[query] = picked.ranks[row, picked.chosen[row]]
            places = np.flatnonzero(dropped[row])
            self._rejected[query] = (
                ranking.passages[row, places],
                picked.ranks[row, places],
                ranking.scores[row, places],
                picked.reasons[row, places],
            )

    def rejected(self) -> Rejected:
        """All rejections, by query and rank."""
        order = sorted(self._rejected)
        sizes = [len(self._rejected[query][0]) for query in order]
        parts = [[self._rejected[query][part] for query in order] for part in range(4)]
        kinds = (np.int64, np.int64, np.float32, np.uint8)
        joined = [np.concatenate(part) if part else np.zeros(0) for part in parts]
        passages, ranks, scores, reasons = (part.astype(kind) for part, kind in zip(joined, kinds, strict=True))
        return Rejected(np.repeat(np.array(order, np.int64), sizes), passages, ranks, scores, reasons)


def _mine_block(rows: Indices, source: Rankings, picker: Picker, denoisers: Sequence[Denoiser], found: _Found) -> None:
    """Search and pick; with denoisers, again for the queries that lost a negative, until none does."""
    good: set[tuple[int, int]] = set()
    for _ in range(DENOISING_ROUNDS):
        _deepen(rows, source, picker, found)
        if not denoisers or not len(rows):
            return
        pairs = [(row, int(passage)) for row in rows.tolist() for passage in found.indices[row]]
        unknown = [pair for pair in pairs if pair not in good]
        lost = []
        for denoiser in denoisers:
            answers = denoiser.answers(unknown) if unknown else np.zeros(0, bool)
            dropped = [pair for pair, answered in zip(unknown, answers, strict=True) if answered]
            unknown = [pair for pair, answered in zip(unknown, answers, strict=True) if not answered]
            listed = picker.answering[denoiser.reason]
            for row, passage in dropped:
                listed[row] = np.append(listed[row], passage)
            lost += dropped
        good.update(unknown)
        rows = np.array(sorted({row for row, _ in lost}), np.int64)
    _deepen(rows, source, picker, found)
    for row in rows.tolist():  # replacements nobody has looked at
        known = np.array([(row, int(passage)) in good for passage in found.indices[row]], bool)
        found.indices[row], found.scores[row] = found.indices[row][known], found.scores[row][known]
        found.ranks[row] = found.ranks[row][known]


def _deepen(rows: Indices, source: Rankings, picker: Picker, found: _Found) -> None:
    """Search, pick, and search twice as deep for the queries that are still short."""
    k = max(FIRST_LOOK, 2 * picker.rules.count)
    while len(rows):
        short = []
        together = max(1, CELLS // min(k, source.passages))
        for start in range(0, len(rows), together):
            ranking = source.best(rows[start : start + together], k)
            picked = picker.pick(ranking)
            found.take(ranking, picked, np.flatnonzero(picked.final))
            short.append(ranking.queries[~picked.final])
        rows = np.concatenate(short)
        k *= 2
