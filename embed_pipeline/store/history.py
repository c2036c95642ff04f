"""The record of every run: ``<home>/history/<run id>.json``; garbage collection leaves it alone."""

import json
from pathlib import Path
from typing import Any

from embed_pipeline.errors import SettingsError
from embed_pipeline.files import write_json

FOLDER = "history"


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
    return record if isinstance(record, dict) and {"run_id", "started", "status"} <= set(record) else {}
