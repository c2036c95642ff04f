"""Everything that is compared in one evaluation: tuned with base, whole and by slices, and every other system."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from embed_pipeline import tables
from embed_pipeline.evaluation.compare import DECIDING_METRIC, Comparison, cluster_numbers, compare, holm
from embed_pipeline.evaluation.forgetting import forgetting
from embed_pipeline.evaluation.gold import set_version
from embed_pipeline.evaluation.metrics import QueryScores, mean_scores
from embed_pipeline.evaluation.systems import compared_systems
from embed_pipeline.evaluation.traits import with_traits
from embed_pipeline.evaluation.verdict import Trust, decide, deciding_set
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings

Place = tuple[str, ...]
"""Test set and slice; or test set, VERSUS (tuned) or USED (what will be used), and the other system."""
ALL = "all"
PAIR = ("base", "tuned")
SLICE_METRICS = ("ndcg@10", "recall@10")
MIN_SLICE_QUERIES = 5
VERSUS = "versus"
USED = "used"
_RECIPE_NAMES = {"NDCG": "ndcg", "MAP": "map", "Recall": "recall", "P": "precision"}


def compared(
    sets: Sequence[RetrievalSet],
    systems: Mapping[str, Mapping[str, QueryScores]],
    settings: EvalSettings,
    trust: Trust | None,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Compare tuned with base, every other system with tuned, and decide.

    nDCG@10 of the two systems that decide keeps its p-value; all others are corrected together.

    Args:
        systems: scores of every system by test set.
        trust: whether the generated test may say ship.

    Returns:
        Rows of :class:`embed_pipeline.tables.Metrics`, and what ``show metrics --json`` prints.
    """
    sets = [one if one.kind == "general" else with_traits(one) for one in sets]
    looked = _Looked()
    for test_set in sets:
        of_set = systems[test_set.name]
        looked.add((test_set.name, ALL), compare(of_set["base"], of_set["tuned"], settings, test_set.clusters))
        for label, ids in slices_of(test_set):
            if len(ids) >= MIN_SLICE_QUERIES:
                base, tuned = (of_set[one].subset(ids, SLICE_METRICS) for one in PAIR)
                looked.add((test_set.name, label), compare(base, tuned, settings, test_set.clusters))
        for other in of_set:
            if other not in PAIR:
                everybody = set(test_set.queries)
                tuned, another = (of_set[one].subset(everybody, SLICE_METRICS) for one in ("tuned", other))
                looked.add((test_set.name, VERSUS, other), compare(tuned, another, settings, test_set.clusters))
    decider, pair = deciding_set(sets), compared_systems(settings)
    if pair != PAIR:
        of_set = systems[decider.name]
        for other in of_set:
            if other not in pair:
                used, another = (
                    of_set[one].subset(set(decider.queries), (DECIDING_METRIC,)) for one in (pair[1], other)
                )
                looked.add((decider.name, USED, other), compare(used, another, settings, decider.clusters))
    found = looked.corrected((decider.name, ALL) if pair == PAIR else None)
    versus = {
        test_set.name: {place[2]: rows for place, rows in found.items() if place[:2] == (test_set.name, VERSUS)}
        for test_set in sets
    }
    against_used = VERSUS if pair == PAIR else USED
    others = {
        place[2]: rows[DECIDING_METRIC] for place, rows in found.items() if place[:2] == (decider.name, against_used)
    }
    decision = decide(sets, systems, others, settings, trust)
    summary = {
        "test_sets": {
            name: {system: mean_scores(scores) for system, scores in of_set.items()} for name, of_set in systems.items()
        },
        "queries": {one.name: len(one.queries) for one in sets},
        "clusters": {one.name: len(set(cluster_numbers(list(one.queries), one.clusters))) for one in sets},
        "comparison": {
            one.name: {metric: row.as_json() for metric, row in found[one.name, ALL].items()} for one in sets
        },
        "versus": {
            name: {system: {metric: against(row) for metric, row in rows.items()} for system, rows in of_set.items()}
            for name, of_set in versus.items()
        },
        "test_set_versions": {one.name: set_version(one) for one in sets},
        **_forgetting(found, sets, settings),
        "intervals": {
            one.name: {system: interval(scores, one, settings) for system, scores in systems[one.name].items()}
            for one in sets
        },
        "verdict": decision.verdict,
        "decision": decision.as_json(),
    }
    rows = [
        row
        for test_set in sets
        for place, by_metric in found.items()
        if place[0] == test_set.name and len(place) == 2
        for row in _rows(test_set, place[1], by_metric)
    ]
    return tables.validate(tables.Metrics, pl.DataFrame(rows)), summary


def interval(scores: QueryScores, test_set: RetrievalSet, settings: EvalSettings) -> list[float]:
    """Interval of the mean nDCG@10 of one system, by the same resampling."""
    own = scores.subset(set(scores.query_ids), (DECIDING_METRIC,))
    nothing = QueryScores(own.query_ids, own.metrics, 0 * own.values)
    low, high = compare(nothing, own, settings, test_set.clusters)[DECIDING_METRIC].ci95
    return [max(low, 0.0), high]


def _forgetting(
    found: Mapping[Place, Mapping[str, Comparison]], sets: Sequence[RetrievalSet], settings: EvalSettings
) -> dict[str, Any]:
    general = next((one.name for one in sets if one.kind == "general"), None)
    return {} if general is None else {"forgetting": forgetting(found[general, ALL][DECIDING_METRIC], settings)}


class _Looked:
    """Everything that was compared in one evaluation, so that it can be corrected together."""

    def __init__(self) -> None:
        self._found: dict[Place, dict[str, Comparison]] = {}

    def add(self, place: Place, comparisons: dict[str, Comparison]) -> None:
        """What was compared at a place, by metric."""
        self._found[place] = comparisons

    def corrected(self, deciding: Place | None) -> dict[Place, dict[str, Comparison]]:
        """The same with corrected p-values; nDCG@10 of the deciding place keeps its own (Holm for the others)."""
        places = [
            (place, metric)
            for place, rows in self._found.items()
            for metric in rows
            if (place, metric) != (deciding, DECIDING_METRIC)
        ]
        found = {place: dict(rows) for place, rows in self._found.items()}
        for (place, metric), p in zip(places, holm([found[one][two].p for one, two in places]), strict=True):
            found[place][metric] = found[place][metric].corrected(p)
        return found


def against(found: Comparison) -> dict[str, Any]:
    """A system against the tuned model: the other way round than ``comparison`` names them."""
    row = found.as_json()
    return {"value": row["tuned"], "tuned": row["base"]} | {
        name: row[name] for name in ("delta", "ci95", "p", "p_corrected")
    }


def slices_of(test_set: RetrievalSet) -> list[tuple[str, set[str]]]:
    """``name=value`` and the queries that have it, in the order of the labels."""
    queries: dict[str, set[str]] = {}
    for query in test_set.queries:
        for name, value in test_set.query_slices.get(query, {}).items():
            queries.setdefault(f"{name}={value}", set()).add(query)
    return sorted(queries.items())


def _rows(test_set: RetrievalSet, label: str, comparisons: Mapping[str, Comparison]) -> list[dict[str, Any]]:
    """Rows of :class:`embed_pipeline.tables.Metrics` of a slice, or of all queries."""
    queries = len(test_set.queries) if label == ALL else len(dict(slices_of(test_set))[label])
    return [
        {
            "test_set": test_set.name,
            "slice": label,
            "metric": metric,
            "queries": queries,
            "base": found.base,
            "tuned": found.tuned,
            "delta": found.delta,
            "ci_low": found.ci95[0],
            "ci_high": found.ci95[1],
            "p": found.p,
            "p_corrected": found.as_json()["p_corrected"],
        }
        for metric, found in comparisons.items()
    ]


def recipe_results(summary: Mapping[str, Any], test_set: str = "synthetic") -> dict[str, dict[str, dict[str, float]]]:
    """eval_results.json of the reference recipe: ``{"base", "finetuned"} -> NDCG, MAP, Recall, Precision``.

    Values are rounded to 5 decimals, as BEIR does. The recipe evaluates its held-out split, hence the default.
    """
    systems = summary["test_sets"].get(test_set) or next(iter(summary["test_sets"].values()))
    return {
        recipe_system: {
            "Precision" if recipe_name == "P" else recipe_name: {
                f"{recipe_name}@{metric.rpartition('@')[2]}": round(value, 5)
                for metric, value in systems[system].items()
                if metric.startswith(f"{name}@")
            }
            for recipe_name, name in _RECIPE_NAMES.items()
        }
        for recipe_system, system in (("base", "base"), ("finetuned", "tuned"))
    }
