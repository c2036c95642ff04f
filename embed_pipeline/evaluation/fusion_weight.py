"""How much the dense side weighs in the convex combination: what serves questions best that no test set holds.

Asked are, in this order, questions of people that a gold set keeps apart (qrels/dev.tsv), and generated validation
questions reworded until BM25 answers them as it would people's (:mod:`embed_pipeline.prep.rewording`). As they were
written generated questions must not choose: BM25 answers nearly all of them, so they would always ask for it. Measured
on eight collections in `benchmarks/fusion_weight.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.evaluation.compare import DECIDING_METRIC
from embed_pipeline.evaluation.lexical import found_by_words
from embed_pipeline.evaluation.metrics import score_run
from embed_pipeline.evaluation.retrieve import dense_run
from embed_pipeline.evaluation.systems import depth
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import EQUAL_WEIGHT, Run, Scores, convex
from embed_pipeline.settings import EvalSettings

WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LEAST_QUESTIONS = 30
"""Fewer choose nothing."""
AS_GOOD = 0.5
"""Standard errors by which a weight may be worse than the best and counts as good."""


@dataclass(frozen=True)
class FusionWeight:
    """The weight of the dense side.

    Attributes:
        weight: 0 to 1.
        chosen_on: name of the questions that chose it; None: there were too few.
    """

    weight: float = EQUAL_WEIGHT
    chosen_on: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"weight": self.weight, "chosen_on": self.chosen_on}


def fusion_with(
    development: RetrievalSet | None,
    encoder: Encoder,
    settings: EvalSettings,
    sparse: Run | None = None,
    k: int | None = None,
) -> FusionWeight:
    """How much an encoder weighs beside BM25: see :func:`choose_weight`; half where there are no such questions.

    Args:
        development: None: there are none.
        sparse: what BM25 finds for them, where that is known already.
        k: passages of a run; as many as test sets are searched for where it is not given.

    Raises:
        StageError: a vector is not finite.
    """
    if development is None or len(development.queries) < LEAST_QUESTIONS:
        return FusionWeight()
    k = depth(settings) if k is None else k
    found = found_by_words(development, settings, k) if sparse is None else sparse
    dense = dense_run(development, encoder, k, settings.keep_identical_ids)
    return choose_weight(development, found, dense, k, settings)


def choose_weight(
    development: RetrievalSet,
    sparse: Mapping[str, Scores],
    dense: Mapping[str, Scores],
    k: int,
    settings: EvalSettings,
) -> FusionWeight:
    """The weight with the best mean nDCG@10 on the development questions, or one as good between it and the half.

    As good is what is worse by no more than half a standard error of the difference, question by question, so that few
    questions lead less far; the half was read off the eight collections.

    Args:
        development: questions that no test set holds, at least 30; see above which.
        sparse, dense: what BM25 and the model find for them.
        k: passages of a run.
    """
    if len(development.queries) < LEAST_QUESTIONS:
        return FusionWeight()
    served = {
        weight: score_run(development, convex(sparse, dense, k, weight), settings.ks).column(DECIDING_METRIC)
        for weight in WEIGHTS
    }
    return FusionWeight(weight_of(served), development.name)


def weight_of(served: Mapping[float, NDArray[np.float64]]) -> float:
    """What :func:`choose_weight` takes.

    Args:
        served: weight -> nDCG@10 of each question.
    """
    best = max(served, key=lambda weight: float(served[weight].mean()))
    low, high = sorted((best, EQUAL_WEIGHT))
    between = [weight for weight in served if low <= weight <= high]
    as_good = [weight for weight in between if _is_as_good(served[weight] - served[best])]
    return min(as_good, key=lambda weight: abs(weight - EQUAL_WEIGHT))


def _is_as_good(difference: NDArray[np.float64]) -> bool:
    error = float(difference.std(ddof=1)) / len(difference) ** 0.5
    return bool(float(difference.mean()) >= -AS_GOOD * error - 1e-9)
