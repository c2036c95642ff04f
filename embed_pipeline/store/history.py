"""The record of every run: ``<home>/history/<run id>.json``; garbage collection leaves it alone."""

import json
from pathlib import Path
from typing import Any

import psutil

from embed_pipeline.errors import SettingsError
from embed_pipeline.files import write_json
from embed_pipeline.store.artifacts import Artifact

FOLDER = "history"
KEPT_METRICS = ("ndcg@10", "recall@10")
NO_FIGURES: dict[str, Any] = {
    "verdict": None,
    "firm": None,
    "ndcg_at_10": {},
    "figures": {},
    "test_set_versions": {},
}
"""Of a run without metrics: what :func:`figures_of` gives of one that has them."""


class History:
    """Of one home."""

    def __init__(self, home: Path) -> None:
        self.folder = home / FOLDER

    def write(self, record: dict[str, Any]) -> None:
        """Write the record of a run, in place of what was written of it before."""
        write_json(self.folder / f"{record['run_id']}.json", record)

    def of(self, run_id: str) -> dict[str, Any]:
        """The record of a run; empty where there is none that can be read."""
        return _read(self.folder / f"{run_id}.json")

    def all(self) -> list[dict[str, Any]]:
        """Every record, the latest run first."""
        files = self.folder.glob("*.json") if self.folder.is_dir() else []
        records = [record for record in map(_read, files) if record]
        return sorted(records, key=lambda record: (record["started"], record["run_id"]), reverse=True)


NEEDED = ("run_id", "started", "status")
KINDS: dict[str, type] = {
    **dict.fromkeys(("overrides", "force", "errors"), list),
    **dict.fromkeys(("assets", "settings", "cost", "figures", "ndcg_at_10", "test_set_versions"), dict),
    **dict.fromkeys(("started_by", "finished", "profile", "git", "release", "verdict"), str),
}
"""Fields of a record that are used as what they are; a record in which one is something else is damaged."""


def status_now(record: dict[str, Any]) -> str:
    """Of a run; ``killed`` where it began, and its process is gone without a word."""
    if record["status"] == "started" and not psutil.pid_exists(int(record.get("pid") or 0)):
        return "killed"
    return str(record["status"])


def figures_of(metrics: Artifact) -> dict[str, Any]:
    """What the record of a run keeps of its metrics, so that it can be told when the artifact is gone.

    Returns:
        ``{"verdict", "firm", "ndcg_at_10": {test set: {system: value}}, "figures": {test set: {system: {metric:
        value}}}, "test_set_versions": {test set: hash}}``. Metrics of an earlier release know no versions.
    """
    summary = metrics.json("summary")
    figures = {
        test_set: {system: {one: values[one] for one in KEPT_METRICS if one in values} for system, values in of.items()}
        for test_set, of in summary.get("test_sets", {}).items()
    }
    ndcg = {
        test_set: {system: values["ndcg@10"] for system, values in of.items() if "ndcg@10" in values}
        for test_set, of in figures.items()
    }
    return {
        "verdict": summary.get("verdict"),
        "firm": summary.get("decision", {}).get("firm"),
        "ndcg_at_10": ndcg,
        "figures": figures,
        "test_set_versions": summary.get("test_set_versions", {}),
    }


def experiment(home: Path, run: str) -> dict[str, Any]:
    """The record of an experiment that came through.

    Args:
        run: the id of the run, or how it begins.

    Raises:
        SettingsError: there is no such run in this home, it is no experiment, or it failed.
    """
    found = [record for record in History(home).all() if run and record["run_id"].startswith(run)]
    if not found:
        raise SettingsError(
            f"run {run} is not in the history of {home}; embed-pipeline history lists its runs. "
            "A run of another home is promoted there (--home)."
        )
    if len(found) > 1:
        raise SettingsError(f"{len(found)} runs of {home} begin with {run}; give more of the id.")
    (record,) = found
    if not record.get("overrides"):
        raise SettingsError(f"run {record['run_id']} is no experiment: it had no overrides to promote.")
    if record["status"] != "succeeded":
        why = "; ".join(error["text"] for error in record.get("errors", ())) or "it is not through"
        raise SettingsError(f"run {record['run_id']} ({record['status']}) cannot be promoted: {why}")
    return record


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict) or not all(isinstance(record.get(name), str) for name in NEEDED):
        return {}
    return record if all(_fits(record.get(name), kind) for name, kind in KINDS.items()) else {}


def _fits(value: object, kind: type) -> bool:
    """Whether a field is of its kind; a record of an earlier release may lack it."""
    return value is None or isinstance(value, kind)
