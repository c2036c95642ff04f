"""What the hybrid found, ordered anew by a reranker, against every system that costs less.

::

    bm25 ─┬─ convex ── base
          └─ convex_tuned ── tuned          ── the best 100 ── reranked
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from embed_pipeline import tables
from embed_pipeline.evaluation.compare import DECIDING_METRIC, Comparison, cluster_numbers, compare, holm
from embed_pipeline.evaluation.comparisons import interval
from embed_pipeline.evaluation.figures import capital, p_in_words, score, signed
from embed_pipeline.evaluation.gold import set_version
from embed_pipeline.evaluation.metrics import QueryScores, from_frame, mean_scores, score_run, to_frame
from embed_pipeline.evaluation.runs import run_frame, run_of
from embed_pipeline.evaluation.systems import depth, name_of
from embed_pipeline.evaluation.verdict import deciding_set
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import Run, blend, convex
from embed_pipeline.settings import EvalSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BEFORE = ("bm25", "base", "tuned", "convex", "convex_tuned")
"""Systems that were scored before, in the order of what they cost."""
FIRST_STAGE = "convex_tuned"
RERANKED = "reranked"
BLENDED = "reranked_blended"
UNTRAINED = "reranked_untrained"
PairScorer = Callable[[Sequence[tuple[str, str]]], "NDArray[np.float32]"]
"""Pairs of question and passage -> a relevance score each."""


@dataclass(frozen=True, eq=False)
class Known:
    """What was scored before there was a reranker.

    Attributes:
        scores: :class:`embed_pipeline.tables.QueryMetrics` of :data:`BEFORE`.
        runs: :class:`embed_pipeline.tables.Runs` of bm25 and tuned.
        weight: of the dense side in the hybrid with the tuned model.
    """

    scores: pl.DataFrame
    runs: pl.DataFrame
    weight: float

    def first_stage(self, test_set: RetrievalSet, settings: EvalSettings) -> Run:
        """What the hybrid with the tuned model finds."""
        sparse, dense = (run_of(self.runs, test_set.name, one) for one in ("bm25", "tuned"))
        return convex(sparse, dense, depth(settings), self.weight)


@dataclass(frozen=True, eq=False)
class RerankedEvaluation:
    """The reranker beside everything else.

    Attributes:
        table: :class:`embed_pipeline.tables.RerankerMetrics`.
        query_metrics: :class:`embed_pipeline.tables.QueryMetrics` of what was reranked.
        runs: :class:`embed_pipeline.tables.Runs` of the same.
        summary: what ``show reranker_metrics --json`` prints.
    """

    table: pl.DataFrame
    query_metrics: pl.DataFrame
    runs: pl.DataFrame
    summary: dict[str, Any]


def rerank(test_set: RetrievalSet, found: Run, scorer: PairScorer, best: int, weight: float = 1.0) -> Run:
    """Order the ``best`` first passages of each query anew; the others follow as they were found.

    Args:
        weight: of the scorer beside the search, see :func:`embed_pipeline.retrieval.fusion.blend`; 1: it decides alone.
    """
    first = {query: list(scores)[:best] for query, scores in found.items()}
    pairs = [(test_set.queries[query], test_set.passages[name]) for query, names in first.items() for name in names]
    scores = iter(scorer(pairs).tolist())
    reranked: Run = {}
    for query, names in first.items():
        own = {name: next(scores) for name in names}
        own = own if weight == 1 else blend({name: found[query][name] for name in names}, own, weight)
        ordered = dict(sorted(own.items(), key=lambda row: -row[1]))
        below = min(own.values(), default=0.0)
        rest = list(found[query])[best:]
        reranked[query] = ordered | {name: below - place for place, name in enumerate(rest, start=1)}
    return reranked


def evaluate_reranked(
    sets: Sequence[RetrievalSet],
    known: Known,
    scorers: Mapping[str, PairScorer],
    costs: Mapping[str, float],
    settings: EvalSettings,
    weight: float | None = None,
) -> RerankedEvaluation:
    """Rerank every test set, compare every other system with the reranked one, and say which is best.

    Args:
        weight: of the trained reranker beside the search, chosen before; above 0 and below 1 :data:`BLENDED` is
            measured, too. None: not known.
        scorers: :data:`RERANKED` and, where it could be used as it is, :data:`UNTRAINED`.
        costs: system -> milliseconds a query, of the same and of :data:`BEFORE`.

    Raises:
        ArtifactError: what was scored before lacks a test set or a cut-off.
    """
    scores, runs, rows = [], [], []
    systems: dict[str, dict[str, QueryScores]] = {}
    decisions = {}
    costs = dict(costs) | ({BLENDED: costs[RERANKED]} if is_blended(weight) else {})
    for test_set in sets:
        name = test_set.name
        first = known.first_stage(test_set, settings)
        found = {system: rerank(test_set, first, scorer, settings.rerank_depth) for system, scorer in scorers.items()}
        if is_blended(weight):
            found[BLENDED] = rerank(test_set, first, scorers[RERANKED], settings.rerank_depth, weight or 0)
        scored = {system: score_run(test_set, run, settings.ks) for system, run in found.items()}
        scores += [to_frame(of_system, name, system) for system, of_system in scored.items()]
        runs += [run_frame(run, name, system) for system, run in found.items()]
        before = {system: from_frame(known.scores, name, system, settings.ks) for system in BEFORE}
        systems[name] = {**before, **scored}
        compared = _compare(test_set, systems[name], costs, settings)
        decisions[name] = _decision(systems[name], costs, compared) | {"reranker": _worth(compared, settings.alpha)}
        rows += _rows(test_set, systems[name], costs, compared, settings)
    decided = deciding_set(sets).name
    return RerankedEvaluation(
        tables.validate(tables.RerankerMetrics, pl.DataFrame(rows, infer_schema_length=None)),
        tables.validate(tables.QueryMetrics, pl.concat(scores)),
        tables.validate(tables.Runs, pl.concat(runs)),
        {
            "sentence": sentence(decided, decisions[decided], systems[decided], costs, settings.alpha),
            "verdict": decisions[decided]["reranker"]["verdict"],
            "weight": weight,
            "decided_on": decided,
            "decisions": decisions,
            "milliseconds": {system: round(value, 3) for system, value in costs.items()},
            "depth": settings.rerank_depth,
            "test_sets": {
                name: {system: mean_scores(of_system) for system, of_system in of_set.items()}
                for name, of_set in systems.items()
            },
            "intervals": {
                one.name: {
                    system: interval(of_system, one, settings) for system, of_system in systems[one.name].items()
                }
                for one in sets
            },
            "queries": {one.name: len(one.queries) for one in sets},
            "clusters": {one.name: len(set(cluster_numbers(list(one.queries), one.clusters))) for one in sets},
            "test_set_versions": {one.name: set_version(one) for one in sets},
        },
    )


def best_and_rival(means: Mapping[str, float], costs: Mapping[str, float]) -> tuple[str, str | None]:
    """The system with the highest mean, the cheapest of equals; and the best of those that cost less, if any does."""
    best = max(means, key=lambda one: (means[one], -costs[one]))
    cheaper = [one for one in means if costs[one] < costs[best]]
    return best, max(cheaper, key=lambda one: (means[one], -costs[one])) if cheaper else None


def is_blended(weight: float | None) -> bool:
    """Whether a blend with this weight is neither the search nor the reranker alone."""
    return weight is not None and 0 < weight < 1


_Compared = dict[tuple[str, str], Comparison]
"""(one, other) -> nDCG@10 of the other against the one."""


def _compare(
    test_set: RetrievalSet, systems: Mapping[str, QueryScores], costs: Mapping[str, float], settings: EvalSettings
) -> _Compared:
    """Each system against the reranked one, and the best against the best of the cheaper; corrected together (Holm)."""
    only = {system: scores.subset(set(test_set.queries), [DECIDING_METRIC]) for system, scores in systems.items()}
    best, rival = best_and_rival(_means(systems), costs)
    pairs = [(RERANKED, other) for other in systems if other != RERANKED]
    pairs += [(FIRST_STAGE, BLENDED)] if BLENDED in systems else []
    if rival is not None and {best, rival} not in [set(pair) for pair in pairs]:
        pairs.append((rival, best))
    found = {
        (one, other): compare(only[one], only[other], settings, test_set.clusters)[DECIDING_METRIC]
        for one, other in pairs
    }
    corrected = holm([row.p for row in found.values()])
    return {pair: row.corrected(p) for (pair, row), p in zip(found.items(), corrected, strict=True)}


def _means(systems: Mapping[str, QueryScores]) -> dict[str, float]:
    return {system: float(scores.column(DECIDING_METRIC).mean()) for system, scores in systems.items()}


def _decision(systems: Mapping[str, QueryScores], costs: Mapping[str, float], compared: _Compared) -> dict[str, Any]:
    """Which is best, and by how much it beats the best of the cheaper ones."""
    best, rival = best_and_rival(_means(systems), costs)
    if rival is None:
        return {"best": best, "cheaper": None}
    row = compared.get((rival, best))
    sign = 1
    if row is None:  # compared the other way round
        row, sign = compared[best, rival], -1
    low, high = sorted(sign * bound for bound in row.ci95)
    figures = row.as_json()
    return {
        "best": best,
        "cheaper": rival,
        "delta": sign * row.delta,
        "ci95": [low, high],
        "p": figures["p"],
        "p_corrected": figures["p_corrected"],
    }


def _worth(compared: _Compared, alpha: float) -> dict[str, Any]:
    """Whether the reranker, as it would be used, makes the search better: ``helps``, ``no_gain`` or ``harms``."""
    blended = compared.get((FIRST_STAGE, BLENDED))
    row, sign = (blended, 1) if blended is not None else (compared[RERANKED, FIRST_STAGE], -1)
    delta, p = sign * row.delta, row.as_json()["p_corrected"]
    verdict = "no_gain" if p >= alpha or not delta else "helps" if delta > 0 else "harms"
    return {"verdict": verdict, "system": RERANKED if blended is None else BLENDED, "delta": delta, "p_corrected": p}


ADVICE: Mapping[str, str] = {
    "helps": "The reranker makes BM25 and the tuned model fused by scores significantly better",
    "no_gain": "The reranker does not make it significantly better: keep BM25 and the tuned model fused by scores",
    "harms": "The reranker does harm: keep BM25 and the tuned model fused by scores",
}


def sentence(
    test_set: str,
    decision: Mapping[str, Any],
    systems: Mapping[str, QueryScores],
    costs: Mapping[str, float],
    alpha: float,
) -> str:
    """Which system is best at which cost a query, whether significantly better than what costs less, and what to do."""
    means = _means(systems)
    asked = {"synthetic": "generated"}.get(test_set, test_set)
    best, rival = decision["best"], decision["cheaper"]
    told = f"On the {asked} questions the best is {name_of(best)}: nDCG@10 {score(means[best])}, {_cost(costs[best])}"
    if rival is None:
        told += "; nothing costs less"
    else:
        low, high = decision["ci95"]
        better = decision["p_corrected"] < alpha and decision["delta"] > 0
        told += (
            f"; {'significantly' if better else 'not significantly'} better than the best of what costs less, "
            f"{name_of(rival)} ({score(means[rival])}, {_cost(costs[rival])}; {signed(decision['delta'])}, interval "
            f"{signed(low)} to {signed(high)}, corrected {p_in_words(decision['p_corrected'])})"
        )
    if best != RERANKED:
        told += f"; with the trained reranker it is {score(means[RERANKED])}, {_cost(costs[RERANKED])}"
    worth = decision["reranker"]
    ways = {RERANKED: "it alone orders what was found", BLENDED: "its score is blended with that of the search"}
    advice = f"{ADVICE[worth['verdict']]} ({signed(worth['delta'])} where {ways[worth['system']]})"
    return f"{capital(told)}. {advice}."


def _cost(milliseconds: float) -> str:
    return f"{milliseconds:,.0f} ms a query" if milliseconds >= 10 else f"{milliseconds:.1f} ms a query"


def _rows(
    test_set: RetrievalSet,
    systems: Mapping[str, QueryScores],
    costs: Mapping[str, float],
    compared: _Compared,
    settings: EvalSettings,
) -> list[dict[str, Any]]:
    """Rows of :class:`embed_pipeline.tables.RerankerMetrics`, the cheapest first."""
    rows = []
    for system in sorted(systems, key=lambda one: costs[one]):
        means = mean_scores(systems[system])
        low, high = interval(systems[system], test_set, settings)
        row = {
            "test_set": test_set.name,
            "system": system,
            **{f"{name}_at_10": means[f"{name}@10"] for name in ("ndcg", "recall", "mrr")},
            "interval_low": low,
            "interval_high": high,
            "milliseconds": round(costs[system], 3),
        }
        against = compared.get((RERANKED, system))
        row |= dict.fromkeys(("delta", "ci_low", "ci_high", "p", "p_corrected"))
        if against is not None:
            row |= {"delta": against.delta, "ci_low": against.ci95[0], "ci_high": against.ci95[1]}
            row |= {name: against.as_json()[name] for name in ("p", "p_corrected")}
        rows.append(row)
    return rows
