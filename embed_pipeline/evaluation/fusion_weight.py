"""How much the dense side weighs in the convex combination: half, unless questions judged by people say otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embed_pipeline.evaluation.compare import DECIDING_METRIC, compare
from embed_pipeline.evaluation.metrics import score_run
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import EQUAL_WEIGHT, Scores, convex
from embed_pipeline.settings import EvalSettings

WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class FusionWeight:
    """The weight of the dense side.

    Attributes:
        weight: 0 to 1.
        chosen_on: name of the questions that chose it; None: nothing spoke against the half.
    """

    weight: float = EQUAL_WEIGHT
    chosen_on: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"weight": self.weight, "chosen_on": self.chosen_on}


def choose_weight(
    development: RetrievalSet,
    sparse: Mapping[str, Scores],
    dense: Mapping[str, Scores],
    k: int,
    settings: EvalSettings,
) -> FusionWeight:
    """The best weight on the development questions, if it is significantly better there than the half.

    Args:
        development: questions judged by people that no test set holds. Generated questions must not choose: BM25
            answers nearly all of them, so they would always ask for it.
        sparse, dense: what BM25 and the model find for them.
        k: passages of a run.
    """
    scored = {
        weight: score_run(development, convex(sparse, dense, k, weight), settings.ks)
        for weight in (EQUAL_WEIGHT, *WEIGHTS)
    }
    best = max(scored, key=lambda weight: (scored[weight].column(DECIDING_METRIC).mean(), weight == EQUAL_WEIGHT))
    if best == EQUAL_WEIGHT:
        return FusionWeight()
    found = compare(scored[EQUAL_WEIGHT], scored[best], settings, development.clusters)[DECIDING_METRIC]
    chosen = found.delta > 0 and found.p * len(WEIGHTS) < settings.alpha  # the best of eight: Bonferroni
    return FusionWeight(best, development.name) if chosen else FusionWeight()
