"""The record of every run: ``<home>/history/<run id>.json``; garbage collection leaves it alone."""

import json
from pathlib import Path
from typing import Any

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


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and {"run_id", "started", "status"} <= set(record) else {}
