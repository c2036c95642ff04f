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
from embed_pipeline.evaluation.trust import Trust
from embed_pipeline.evaluation.verdict import decide, deciding_set
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
    pair = compared_systems(settings)
    decider = deciding_set(sets).name
    looked = _Looked(settings)
    for test_set in sets:
        _look(looked, test_set, systems[test_set.name])
        if test_set.name == decider and pair != PAIR:
            looked.add_others(test_set, systems[decider], USED, pair[1])
    found = looked.corrected((decider, ALL) if pair == PAIR else None)
    others = found.against(decider, VERSUS if pair == PAIR else USED)
    decision = decide(
        sets, systems, {system: rows[DECIDING_METRIC] for system, rows in others.items()}, settings, trust
    )
    summary = {
        **_measured(sets, systems, settings),
        "comparison": {
            one.name: {metric: row.as_json() for metric, row in found[one.name, ALL].items()} for one in sets
        },
        "versus": {
            one.name: {
                system: {metric: against(row) for metric, row in rows.items()}
                for system, rows in found.against(one.name, VERSUS).items()
            }
            for one in sets
        },
        **_forgetting(found, sets, settings),
        "verdict": decision.verdict,
        "decision": decision.as_json(),
    }
    return tables.validate(tables.Metrics, pl.DataFrame(_metric_rows(found, sets))), summary


def _look(looked: "_Looked", test_set: RetrievalSet, systems: Mapping[str, QueryScores]) -> None:
    """Tuned against base, whole and by slices; every other system against tuned."""
    base, tuned = (systems[one] for one in PAIR)
    looked.add((test_set.name, ALL), test_set, base, tuned)
    for label, ids in slices_of(test_set):
        if len(ids) >= MIN_SLICE_QUERIES:
            looked.add(
                (test_set.name, label), test_set, base.subset(ids, SLICE_METRICS), tuned.subset(ids, SLICE_METRICS)
            )
    looked.add_others(test_set, systems, VERSUS, PAIR[1], PAIR[0])


def _measured(
    sets: Sequence[RetrievalSet], systems: Mapping[str, Mapping[str, QueryScores]], settings: EvalSettings
) -> dict[str, Any]:
    """What is told of each test set besides comparisons."""
    return {
        "test_sets": {
            name: {system: mean_scores(scores) for system, scores in of_set.items()} for name, of_set in systems.items()
        },
        "queries": {one.name: len(one.queries) for one in sets},
        "clusters": {one.name: len(set(cluster_numbers(list(one.queries), one.clusters))) for one in sets},
        "test_set_versions": {one.name: set_version(one) for one in sets},
        "intervals": {
            one.name: {system: interval(scores, one, settings) for system, scores in systems[one.name].items()}
            for one in sets
        },
    }


def interval(scores: QueryScores, test_set: RetrievalSet, settings: EvalSettings) -> list[float]:
    """Interval of the mean nDCG@10 of one system, by the same resampling."""
    own = scores.subset(set(scores.query_ids), (DECIDING_METRIC,))
    nothing = QueryScores(own.query_ids, own.metrics, 0 * own.values)
    low, high = compare(nothing, own, settings, test_set.clusters)[DECIDING_METRIC].ci95
    return [max(low, 0.0), high]


def _forgetting(found: "_Found", sets: Sequence[RetrievalSet], settings: EvalSettings) -> dict[str, Any]:
    general = next((one.name for one in sets if one.kind == "general"), None)
    return {} if general is None else {"forgetting": forgetting(found[general, ALL][DECIDING_METRIC], settings)}


class _Found(dict[Place, dict[str, Comparison]]):
    """Place -> comparisons by metric."""

    def against(self, test_set: str, kind: str) -> dict[str, dict[str, Comparison]]:
        """The other systems on a test set, against the tuned one (VERSUS) or the one that will be used (USED)."""
        return {place[2]: rows for place, rows in self.items() if place[:2] == (test_set, kind)}


class _Looked:
    """Everything that is compared in one evaluation, so that it can be corrected together."""

    def __init__(self, settings: EvalSettings) -> None:
        self._settings = settings
        self._found = _Found()

    def add(self, place: Place, test_set: RetrievalSet, one: QueryScores, other: QueryScores) -> None:
        """Compare two systems."""
        self._found[place] = compare(one, other, self._settings, test_set.clusters)

    def add_others(
        self, test_set: RetrievalSet, systems: Mapping[str, QueryScores], kind: str, used: str, *without: str
    ) -> None:
        """Compare every system but ``used`` and ``without`` with ``used``."""
        everybody = set(test_set.queries)
        chosen = systems[used].subset(everybody, SLICE_METRICS)
        for other, scores in systems.items():
            if other not in (used, *without):
                self.add((test_set.name, kind, other), test_set, chosen, scores.subset(everybody, SLICE_METRICS))

    def corrected(self, deciding: Place | None) -> _Found:
        """All with corrected p-values; nDCG@10 of the deciding place keeps its own (Holm for the others)."""
        places = [
            (place, metric)
            for place, rows in self._found.items()
            for metric in rows
            if (place, metric) != (deciding, DECIDING_METRIC)
        ]
        found = _Found({place: dict(rows) for place, rows in self._found.items()})
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


def _metric_rows(found: _Found, sets: Sequence[RetrievalSet]) -> list[dict[str, Any]]:
    """Rows of :class:`embed_pipeline.tables.Metrics`: all queries of each set, and its slices."""
    queries = {(one.name, label): len(ids) for one in sets for label, ids in ((ALL, one.queries), *slices_of(one))}
    return [
        {
            "test_set": place[0],
            "slice": place[1],
            "metric": metric,
            "queries": queries[place],
            "base": row.base,
            "tuned": row.tuned,
            "delta": row.delta,
            "ci_low": row.ci95[0],
            "ci_high": row.ci95[1],
            "p": row.p,
            "p_corrected": row.as_json()["p_corrected"],
        }
        for place, by_metric in found.items()
        if len(place) == 2
        for metric, row in by_metric.items()
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
