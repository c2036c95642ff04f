"""One verdict, what it rests on, and what to use: the answer people want from an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from embed_pipeline.evaluation.advice import advise
from embed_pipeline.evaluation.compare import (
    DECIDING_METRIC,
    Comparison,
    cluster_numbers,
    compare,
    smallest_visible,
)
from embed_pipeline.evaluation.metrics import QueryScores
from embed_pipeline.evaluation.systems import compared_systems
from embed_pipeline.evaluation.trust import Trust, looked_at
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings

Verdict = Literal["ship", "no_gain", "regress"]

MIN_QUESTIONS = 30
MIN_CLUSTERS = 10
"""Below either of them nothing but ``no_gain`` is said. With fewer than six clusters no swap of them can be
significant at all; with ten the intervals hold (embed_pipeline_tests/evaluation/test_compare.py simulates it)."""
CANNOT_TELL = "Your generated test cannot tell whether people would gain:"
FIRM = (
    "To make it firm, give questions that people asked (eval.gold): judge fifty on the search page "
    "(embed-pipeline search); it takes twenty minutes."
)


@dataclass(frozen=True)
class Decision:
    """The verdict with what it rests on.

    Attributes:
        verdict: ship, no_gain or regress: the tuned model against its base, as people will use them.
        firm: whether it rests on enough questions that people asked; else it is provisional.
        test_set: the set that decided.
        systems: the two that were compared.
        comparison: their nDCG@10; its p-value is not corrected.
        queries, clusters: how many.
        smallest_visible: the difference these questions would have shown; None where it cannot be told.
        reasons: why it is this verdict, as sentences.
        advice: how the other systems stand to it, and what to do, as sentences.
        best: the best system of each test set by nDCG@10.
        trust: what was looked at besides a generated test; None with a gold set.
    """

    verdict: Verdict
    firm: bool
    test_set: str
    systems: tuple[str, str]
    comparison: Comparison
    queries: int
    clusters: int
    smallest_visible: float | None
    reasons: tuple[str, ...]
    advice: tuple[str, ...]
    best: Mapping[str, str]
    trust: Trust | None = None

    def as_json(self) -> dict[str, Any]:
        """As in ``show metrics --json``."""
        return {
            "test_set": self.test_set,
            "systems": list(self.systems),
            "metric": DECIDING_METRIC,
            "before": self.comparison.base,
            "after": self.comparison.tuned,
            "delta": self.comparison.delta,
            "ci95": list(self.comparison.ci95),
            "p": self.comparison.p,
            "queries": self.queries,
            "clusters": self.clusters,
            "smallest_visible": self.smallest_visible,
            "firm": self.firm,
            "reasons": list(self.reasons),
            "advice": list(self.advice),
            "best": dict(self.best),
            "trust": None if self.trust is None else self.trust.as_json(),
        }


Systems = Mapping[str, QueryScores]
"""System -> its scores on one test set."""


def deciding_set(sets: Sequence[RetrievalSet]) -> RetrievalSet:
    """The first gold set if there is one, else the synthetic set; never the general questions."""
    return min(sets, key=lambda one: ("gold", "synthetic", "validation", "general").index(one.kind))


def decide(
    sets: Sequence[RetrievalSet],
    systems: Mapping[str, Systems],
    versus: Mapping[str, Comparison],
    settings: EvalSettings,
    trust: Trust | None = None,
) -> Decision:
    """Compare before and after by the way people will use the model (``eval.deploys``), by nDCG@10.

    ``ship``: better with p below ``settings.alpha``; ``regress``: worse with p below it; else ``no_gain``. Without a
    gold set the verdict is provisional, and ``ship`` needs ``trust``.

    Args:
        sets: the test sets, at least one.
        systems: scores of every system by test set.
        versus: on the deciding set, every other system against the one that will be used, corrected.
        trust: whether the generated test may say ship; None where nothing else was looked at, and then it may not.
    """
    chosen = deciding_set(sets)
    scores, pair = systems[chosen.name], compared_systems(settings)
    before, after = scores[pair[0]], scores[pair[1]]
    found = compare(before, after, settings, chosen.clusters)[DECIDING_METRIC]
    visible = smallest_visible(before, after, settings, chosen.clusters)
    queries, clusters = len(after.query_ids), len(set(cluster_numbers(after.query_ids, chosen.clusters)))
    verdict, reasons = _verdict(found, queries, clusters, visible, settings)
    if chosen.kind != "gold":
        verdict, more = _provisional(verdict, trust)
        reasons += more
    best = {name: _best(of_set) for name, of_set in systems.items()}
    means = {name: float(of_system.column(DECIDING_METRIC).mean()) for name, of_system in scores.items()}
    enough = queries >= MIN_QUESTIONS and clusters >= MIN_CLUSTERS
    firm = enough and chosen.kind == "gold"
    told = tuple(advise(pair, best[chosen.name], means, versus, settings, chosen)) if enough else ()
    return Decision(
        verdict,
        firm,
        chosen.name,
        pair,
        found,
        queries,
        clusters,
        visible,
        tuple(reasons),
        told,
        best,
        None if chosen.kind == "gold" else trust,
    )


def _verdict(
    found: Comparison, queries: int, clusters: int, visible: float | None, settings: EvalSettings
) -> tuple[Verdict, list[str]]:
    if queries < MIN_QUESTIONS or clusters < MIN_CLUSTERS:
        return "no_gain", [
            f"{queries} questions about {clusters} documents or groups of them are too few to say more: it takes "
            f"{MIN_QUESTIONS} questions about {MIN_CLUSTERS}."
        ]
    if found.p >= settings.alpha or found.delta == 0:
        seen = f" A difference of {visible:.3f} would have been seen in four of five cases." if visible else ""
        return "no_gain", [f"No significant difference could be shown.{seen}"]
    if found.delta > 0:
        return "ship", ["The gain is significant."]
    return "regress", ["The loss is significant."]


def _provisional(verdict: Verdict, trust: Trust | None) -> tuple[Verdict, list[str]]:
    reasons = [
        "Provisional: there is no gold set, so it rests on generated questions, which say less than those of people."
    ]
    if trust is not None and trust.evidence:
        reasons.append(looked_at(trust.evidence))
    earned = trust or Trust(False, ("Nothing but the generated questions themselves speaks for it.",))
    if verdict == "ship" and not earned.earned:
        reasons += [CANNOT_TELL, *earned.reasons]
        verdict = "no_gain"
    return verdict, [*reasons, FIRM]


def _best(systems: Systems) -> str:
    return max(systems, key=lambda name: float(systems[name].column(DECIDING_METRIC).mean()))
