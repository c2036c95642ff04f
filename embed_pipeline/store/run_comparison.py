"""Runs side by side, told from their records alone, so that they can be compared when their artifacts are gone."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from embed_pipeline.errors import ArtifactError, InputError
from embed_pipeline.settings.differences import changed_between
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.history import NO_FIGURES, History, figures_of

IN_USE = "current"
METRICS = "metrics"
CORPUS = "corpus_manifest"
Record = Mapping[str, Any]
TOLD = ("run_id", "started", "finished", "status", "started_by", "release", "git", "cost")


def find_run(home: Path, named: str) -> dict[str, Any]:
    """The record of a run.

    Args:
        named: its id, how the id begins, or ``current``: the run that made, or left as they were, the metrics in use.

    Raises:
        InputError: there is none, or more than one.
    """
    records = History(home).all()
    if named == IN_USE:
        return _in_use(home, records)
    found = [record for record in records if named.strip() and record["run_id"].startswith(named)]
    if not found:
        raise InputError(
            f"run {named or '(empty)'} is not in the history of {home}; embed-pipeline history lists its runs."
        )
    if len(found) > 1:
        raise InputError(f"{len(found)} runs of {home} begin with {named}; give more of the id.")
    return found[0]


def _in_use(home: Path, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    current = Store(home).current(METRICS)
    version = None if current is None else current.version
    own = [record for record in records if not record.get("experiment") and version_of(record, METRICS) is not None]
    found = next((record for record in own if version_of(record, METRICS) == version), None)
    if found is None:
        raise InputError(f"no run of {home} has the metrics in use; embed-pipeline history lists its runs.")
    return found


def run_facts(record: Record, store: Store) -> dict[str, Any]:
    """What a table tells of one run.

    Returns:
        ``{"run_id", "started", "finished", "seconds", "status", "started_by", "experiment", "overrides", "release",
        "corpus": version, "git", "metrics": version, "verdict", "firm", "figures": {test set: {system: {metric:
        value}}}, "test_set_versions", "cost": {what: amount}, "errors": [text]}``; None where the record does not tell.
    """
    return {
        **{name: record.get(name) for name in TOLD},
        "seconds": _seconds(record),
        "experiment": bool(record.get("experiment")),
        "overrides": list(record.get("overrides", ())),
        "corpus": version_of(record, CORPUS),
        "metrics": version_of(record, METRICS),
        **{name: value for name, value in _figures(record, store).items() if name != "ndcg_at_10"},
        "errors": [error["text"] for error in record.get("errors", ())],
    }


def compare_runs(before: Record, after: Record, store: Store) -> dict[str, Any]:
    """Two runs side by side. Figures are only compared where both were measured on the very same test set.

    Returns:
        ``{"before", "after": run_facts, "corpus_changed": bool | None, "settings": {name: {"before", "after"}} | None,
        "assets": {asset: {"before", "after": version}}, "test_sets": {name: {"comparable": bool, "why": str | None,
        "systems": {system: {metric: {"before", "after", "delta"}}}}}}``; ``delta`` is None where nothing may be
        compared, ``assets`` holds those of both runs whose content differs.
    """
    one, other = run_facts(before, store), run_facts(after, store)
    settings = changed_between(before, after)
    corpora = {one["corpus"], other["corpus"]}
    return {
        "before": one,
        "after": other,
        "corpus_changed": None if None in corpora else len(corpora) > 1,
        "settings": None
        if settings is None
        else {name: {"before": then, "after": now} for name, (then, now) in settings.items()},
        "assets": _changed_assets(before, after),
        "test_sets": {
            name: _compared_set(name, one, other) for name in dict.fromkeys((*one["figures"], *other["figures"]))
        },
    }


def _compared_set(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    why = _why_not(name, before, after)
    mine, others = before["figures"].get(name, {}), after["figures"].get(name, {})
    systems = {
        system: {
            metric: _pair(mine.get(system, {}).get(metric), others.get(system, {}).get(metric), why is None)
            for metric in dict.fromkeys((*mine.get(system, {}), *others.get(system, {})))
        }
        for system in dict.fromkeys((*mine, *others))
    }
    return {"comparable": why is None, "why": why, "systems": systems}


def _why_not(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    for which, run in (("first", before), ("second", after)):
        if name not in run["figures"]:
            return f"The {which} run was not measured on this set."
    versions = [run["test_set_versions"].get(name) for run in (before, after)]
    if None in versions:
        return "The version of this test set was not recorded in both runs, so that their figures cannot be compared."
    if versions[0] != versions[1]:
        return "The questions, judgements or passages of this test set are not the same in both runs."
    return None


def _pair(before: float | None, after: float | None, comparable: bool) -> dict[str, float | None]:
    if not comparable or before is None or after is None:
        return {"before": before, "after": after, "delta": None}
    return {"before": before, "after": after, "delta": round(after - before, 6)}


def _changed_assets(before: Record, after: Record) -> dict[str, dict[str, str]]:
    found = {}
    for name in before.get("assets", {}):
        one, other = version_of(before, name), version_of(after, name)
        if one is not None and other is not None and one != other:
            found[name] = {"before": one, "after": other}
    return found


def version_of(record: Record, asset: str) -> str | None:
    """Of an asset as a run made it or left it; None where the run did not come to it."""
    version = record.get("assets", {}).get(asset, {}).get("version")
    return None if version is None else str(version)


def _figures(record: Record, store: Store) -> dict[str, Any]:
    """Those of the record; of a record of an earlier release, those of its metrics, if they are still there."""
    if "figures" in record:
        return {name: record.get(name, nothing) for name, nothing in NO_FIGURES.items()}
    version = version_of(record, METRICS)
    if version is not None:
        try:
            return figures_of(store.handle(METRICS, version))
        except (ArtifactError, OSError, ValueError):
            pass
    ndcg = {
        test_set: {system: {"ndcg@10": value} for system, value in systems.items()}
        for test_set, systems in record.get("ndcg_at_10", {}).items()
    }
    return NO_FIGURES | {"verdict": record.get("verdict"), "figures": ndcg}


def _seconds(record: Record) -> float | None:
    try:
        took = datetime.fromisoformat(record["finished"]) - datetime.fromisoformat(record["started"])
    except (KeyError, TypeError, ValueError):
        return None
    seconds = took.total_seconds()
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
