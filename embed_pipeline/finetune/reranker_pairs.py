"""What a reranker is trained on, and what it is validated on."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embed_pipeline.errors import TrainingError
from embed_pipeline.finetune.share import chosen_rows
from embed_pipeline.finetune.validation import ndcg
from embed_pipeline.records import RetrievalSet, TrainingRow
from embed_pipeline.retrieval.fusion import blend
from embed_pipeline.settings import FinetuneSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VALIDATION_QUESTIONS = 100
VALIDATION_DEPTH = 20
"""Passages of the first stage that are ordered anew for each validation question."""
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the reranker in the blend with the search, tried on the validation questions."""
Pair = tuple[str, str]
Scorer = Callable[[Sequence[Pair]], "NDArray[np.float32]"]


@dataclass(frozen=True)
class RankedLists:
    """Questions, the passages of each, and 1 (answers it) or 0 (does not) for each of them."""

    questions: Sequence[str]
    passages: Sequence[Sequence[str]]
    labels: Sequence[Sequence[int]]

    @property
    def pairs(self) -> int:
        """Pairs of question and passage in all."""
        return sum(map(len, self.passages))


def ranked_lists(rows: Sequence[TrainingRow], settings: FinetuneSettings) -> RankedLists:
    """Of each training question the positives, and the first ``finetune.reranker_negatives`` mined negatives.

    What answers a question anywhere is no negative of it; a question without negatives is left out.

    Raises:
        TrainingError: no question has a negative.
    """
    chosen = chosen_rows(rows, settings)
    of_question: dict[str, dict[str, int]] = {}
    for row in chosen:
        of_question.setdefault(row.question, {})[row.positive] = 1
    for row in chosen:
        for text in row.negatives[: settings.reranker_negatives]:
            of_question[row.question].setdefault(text, 0)
    kept = {question: found for question, found in of_question.items() if not all(found.values())}
    if not kept:
        raise TrainingError(
            "No training question has a hard negative, so a reranker has nothing to tell apart: set "
            "prep.hard_negatives to 1 or more, prep.hard_negative_margin to null if it dropped them all, or "
            "finetune.reranker to false."
        )
    return RankedLists(list(kept), [list(one) for one in kept.values()], [list(one.values()) for one in kept.values()])


@dataclass(frozen=True)
class FirstStage:
    """Validation questions with what a first search found for them.

    Attributes:
        queries: id -> text.
        passages: query id -> the passages found as (id, text), best first; VALIDATION_DEPTH at most.
        qrels: query id -> {passage id: relevance >= 1}.
        scores: query id -> the search's score of each of these passages.
    """

    queries: Mapping[str, str]
    passages: Mapping[str, Sequence[tuple[str, str]]]
    qrels: Mapping[str, Mapping[str, int]]
    scores: Mapping[str, Sequence[float]]

    def ndcg(self) -> float:
        """Mean nDCG@10 of the passages as they were found."""
        return self._mean({query: [name for name, _ in found] for query, found in self.passages.items()})

    def measured(self, scorer: Scorer) -> "Measured":
        """Mean nDCG@10 in the order of the reranker alone, and of the best blend of it with the search."""
        pairs = [(self.queries[query], text) for query, found in self.passages.items() for _, text in found]
        scores = iter(scorer(pairs).tolist())
        anew = {query: {name: next(scores) for name, _ in found} for query, found in self.passages.items()}
        alone = self._mean({query: _ordered(own) for query, own in anew.items()})
        by_weight = {weight: self._mean(self._blended(anew, weight)) for weight in WEIGHTS}
        weight = max(WEIGHTS, key=lambda one: (by_weight[one], -one))
        return Measured(alone, by_weight[weight], weight)

    def _blended(self, anew: Mapping[str, Mapping[str, float]], weight: float) -> dict[str, list[str]]:
        found = {query: [name for name, _ in passages] for query, passages in self.passages.items()}
        return {
            query: _ordered(blend(dict(zip(names, self.scores[query], strict=True)), anew[query], weight))
            for query, names in found.items()
        }

    def _mean(self, ranked: Mapping[str, Sequence[str]]) -> float:
        values = [ndcg(names, self.qrels[query]) for query, names in ranked.items()]
        return round(math.fsum(values) / len(values), 6)


def _ordered(scores: Mapping[str, float]) -> list[str]:
    """Best first, equal ones as they stand."""
    return sorted(scores, key=lambda name: -scores[name])


@dataclass(frozen=True)
class Measured:
    """A reranker on the validation questions.

    Attributes:
        alone: mean nDCG@10 in its order.
        blended: the same in the order of the best blend with the search, see
            :func:`embed_pipeline.retrieval.fusion.blend`.
        weight: of the reranker in that blend, the smallest of equals; 0: it is of no use beside the search.
    """

    alone: float
    blended: float
    weight: float


def first_stage(validation: RetrievalSet, found: Mapping[str, Mapping[str, float]], seed: int) -> FirstStage:
    """A repeatable choice of the validation questions, with their best passages.

    Args:
        found: query id -> {passage id: score}, best first.
    """
    ordered = sorted(
        validation.queries, key=lambda query: hashlib.sha256(f"{seed}/{query}".encode("utf-8", "replace")).hexdigest()
    )
    chosen = sorted(ordered[:VALIDATION_QUESTIONS])
    best = {query: list(found.get(query, {}))[:VALIDATION_DEPTH] for query in chosen}
    return FirstStage(
        {query: validation.queries[query] for query in chosen},
        {query: [(name, validation.passages[name]) for name in names] for query, names in best.items()},
        {query: validation.qrels[query] for query in chosen},
        {query: [found[query][name] for name in names] for query, names in best.items()},
    )
