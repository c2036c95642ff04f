"""The rules of hard-negative mining, applied to the rankings of many questions at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.retrieval.search import Indices

REASONS = (
    "usable",
    "positive",
    "near_duplicate",
    "sibling",
    "held_out",
    "same_document",
    "before_first_rank",
    "above_margin",
    "holds_evidence",
    "denoised",
    "relabelled",
)
"""Why a passage is no negative of a question, the first that holds:

near_duplicate of a positive; sibling (a positive of a question that asks the same or shares a positive, or a
near-duplicate of one); held_out: of a validation or test document; same_document: of the question's own documents or
those that stay together with them in the split; before_first_rank; above_margin; holds_evidence: the question's
evidence stands in it word for word; denoised: found to answer it; relabelled: found to answer it, and a positive of it
from then on.
"""
ANSWERING = ("holds_evidence", "denoised")
"""Reasons that come from looking at a negative once more."""
CODE = {name: code for code, name in enumerate(REASONS)}
_MISSING = 255
Reasons = NDArray[np.uint8]


@dataclass(frozen=True)
class Rules:
    """What is taken.

    Attributes:
        count: negatives wanted per question.
        margin: passages above this share of the lowest positive's score are dropped (reference recipe,
            sentence-transformers' relative_margin: 0.95); with a negative score the distance counts,
            ``p - (1 - margin) |p|``. None: off.
        absolute_margin: passages above the lowest positive's score minus this are dropped. None: off. With both, the
            lower limit holds.
        first_rank, last_rank: ranks from 1 among the passages that are not the question's positives (as
            sentence-transformers' range_min and range_max count); None: as deep as needed.
        choice: the best-ranked, or a random choice of the window, seeded for each question by itself.
    """

    count: int
    margin: float | None = 0.95
    absolute_margin: float | None = None
    first_rank: int = 1
    last_rank: int | None = None
    choice: Literal["top", "random"] = "top"

    def thresholds(self, lowest: NDArray[np.float64]) -> NDArray[np.float64]:
        """[queries]: the score above which a passage counts as a positive; infinite without margins."""
        limit = np.full(len(lowest), np.inf)
        if self.margin is not None:
            limit = np.minimum(limit, lowest - (1 - self.margin) * np.abs(lowest))
        if self.absolute_margin is not None:
            limit = np.minimum(limit, lowest - self.absolute_margin)
        return limit


@dataclass(frozen=True)
class Barred:
    """Which passages must never be a negative, and why.

    Attributes:
        allowed: [passages]; False for held-out documents.
        passage_home, query_home: [passages], [queries]; a passage is barred where the numbers are equal. None: no
            such rule.
        near_duplicates, siblings: per query the rows of passages.
    """

    allowed: NDArray[np.bool_]
    passage_home: Indices | None
    query_home: Indices | None
    near_duplicates: Sequence[Indices]
    siblings: Sequence[Indices]


@dataclass(frozen=True)
class Ranking:
    """Candidates of some queries.

    Attributes:
        queries: their rows, [b].
        passages: [b, k], best first; -1 where there is none.
        scores: [b, k], the model's.
        complete: [b]; whether there are no further candidates.
    """

    queries: Indices
    passages: Indices
    scores: Vectors
    complete: NDArray[np.bool_]


@dataclass(frozen=True)
class Picked:
    """What the rules make of a ranking.

    Attributes:
        reasons, ranks: [b, k].
        chosen: [b, k].
        seen: [b]; columns that were needed for the choice.
        final: [b]; whether a deeper ranking would change nothing.
    """

    reasons: Reasons
    ranks: Indices
    chosen: NDArray[np.bool_]
    seen: Indices
    final: NDArray[np.bool_]


class Picker:
    """Applies the rules."""

    def __init__(
        self,
        rules: Rules,
        barred: Barred,
        positives: Sequence[Indices],
        threshold: NDArray[np.float64],
        seeds: Sequence[int],
    ) -> None:
        self.rules, self._barred, self._positives, self._threshold = rules, barred, positives, threshold
        self._seeds = seeds
        self.answering: dict[str, list[Indices]] = {
            reason: [np.zeros(0, np.int64) for _ in positives] for reason in ANSWERING
        }

    def pick(self, ranking: Ranking) -> Picked:
        """Reasons and choice for every candidate of the ranking."""
        reasons = self._reasons(ranking)
        there = ranking.passages >= 0
        ranks = np.cumsum(there & (reasons != CODE["positive"]), axis=1)
        early = (reasons == 0) & (ranks < self.rules.first_rank)
        reasons[early] = CODE["before_first_rank"]
        above = (reasons == 0) & (ranking.scores > self._threshold[ranking.queries, None])
        reasons[above] = CODE["above_margin"]
        for reason, lists in self.answering.items():
            reasons[(reasons == 0) & self._member(ranking, lists)] = CODE[reason]
        reasons[~there] = _MISSING
        last = self.rules.last_rank or np.iinfo(np.int64).max
        usable = (reasons == 0) & (ranks <= last)
        over = (ranks[:, -1] >= last) if ranks.shape[1] else np.zeros(len(ranks), bool)
        complete = ranking.complete | over
        if self.rules.choice == "random":
            chosen = self._random(ranking.queries, usable, ranks)
            final = complete
            seen = (ranks <= last).sum(1)
        else:
            chosen = usable & (np.cumsum(usable, axis=1) <= self.rules.count)
            full = chosen.sum(1) >= self.rules.count
            seen = np.where(full, self._after_last(chosen), (ranks <= last).sum(1))
            final = complete | (full & ~self._tied(ranking, seen))
        return Picked(reasons, ranks, chosen, seen, final)

    def _reasons(self, ranking: Ranking) -> Reasons:
        barred, passages = self._barred, ranking.passages
        reasons = np.zeros(passages.shape, np.uint8)
        if barred.passage_home is not None and barred.query_home is not None:
            same = barred.passage_home[passages] == barred.query_home[ranking.queries, None]
            reasons[same] = CODE["same_document"]
        reasons[~barred.allowed[passages]] = CODE["held_out"]
        for name, lists in (
            ("sibling", barred.siblings),
            ("near_duplicate", barred.near_duplicates),
            ("positive", self._positives),
        ):
            reasons[self._member(ranking, lists)] = CODE[name]
        return reasons

    def _member(self, ranking: Ranking, lists: Sequence[Indices]) -> NDArray[np.bool_]:
        """[b, k]: whether a candidate is in the list of its query."""
        own = [lists[row] for row in ranking.queries.tolist()]
        sizes = np.array([len(rows) for rows in own], np.int64)
        if not sizes.sum():
            return np.zeros(ranking.passages.shape, bool)
        count = len(self._barred.allowed)
        listed = np.sort(np.concatenate(own) + np.repeat(np.arange(len(own)) * count, sizes))
        wanted = ranking.passages + np.arange(len(own))[:, None] * count
        place = np.minimum(np.searchsorted(listed, wanted), len(listed) - 1)
        found: NDArray[np.bool_] = (listed[place] == wanted) & (ranking.passages >= 0)
        return found

    def _random(self, queries: Indices, usable: NDArray[np.bool_], ranks: Indices) -> NDArray[np.bool_]:
        chosen = np.zeros(usable.shape, bool)
        for row, query in enumerate(queries.tolist()):
            places = np.flatnonzero(usable[row])
            luck = np.random.default_rng(self._seeds[query]).random(int(ranks[row].max(initial=0)))
            chosen[row, places[np.argsort(luck[ranks[row, places] - 1])[: self.rules.count]]] = True
        return chosen

    @staticmethod
    def _after_last(chosen: NDArray[np.bool_]) -> Indices:
        """[b]: one past the last chosen column, 0 without any."""
        backwards = chosen[:, ::-1]
        last = np.where(backwards.any(1), chosen.shape[1] - backwards.argmax(1), 0)
        return last.astype(np.int64)

    @staticmethod
    def _tied(ranking: Ranking, seen: Indices) -> NDArray[np.bool_]:
        """[b]: whether the last candidate taken ties with the last one looked at, which could hide an equal one."""
        if not ranking.passages.shape[1]:
            return np.zeros(len(seen), bool)
        last_taken = np.take_along_axis(ranking.scores, np.maximum(seen - 1, 0)[:, None], 1)[:, 0]
        tied: NDArray[np.bool_] = (last_taken == ranking.scores[:, -1]) & (seen > 0)
        return tied
