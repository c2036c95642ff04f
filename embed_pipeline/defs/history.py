"""Dagster's history of old runs, which grows for ever unless somebody removes it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus

from embed_pipeline.files import size_of

ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


def old_runs(instance: dg.DagsterInstance, keep: int) -> list[str]:
    """Ended runs beyond the ``keep`` newest; never one that an asset's latest materialization is from."""
    shown = instance.get_latest_materialization_events(instance.all_asset_keys())
    latest = {event.run_id for event in shown.values() if event is not None}
    records = instance.get_run_records(dg.RunsFilter())[keep:]  # newest first
    ended = [record.dagster_run for record in records if record.dagster_run.status in ENDED]
    return [run.run_id for run in ended if run.run_id not in latest]


def trim_history(instance: dg.DagsterInstance, keep: int, dry_run: bool = False) -> dict[str, Any]:
    """Remove the runs of :func:`old_runs` with their events and logs.

    Returns:
        ``{"count": runs, "bytes": of their event logs and output}``; what the shared tables give back comes on top.
    """
    doomed = old_runs(instance, keep)
    found = sum(size_of(path) for run_id in doomed for path in _files(instance, run_id))
    if doomed and not dry_run:
        delete_runs(instance, doomed)
    return {"count": len(doomed), "bytes": found}


def delete_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> None:
    """Delete runs for good: rows, event logs, output; the databases are made smaller where nobody else uses them."""
    for run_id in run_ids:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        for path in _files(instance, run_id):
            if path.is_file():
                path.unlink(missing_ok=True)
    shrink_databases(Path(instance.root_directory) / "history")


def shrink_databases(folder: Path) -> list[str]:
    """VACUUM every SQLite file below a folder, so that nothing deleted is left in it.

    Returns:
        Names of those that somebody else uses right now, left as they are.
    """
    busy = []
    for path in sorted(folder.rglob("*.db")):
        try:
            with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError:
            busy.append(path.name)
    return busy


def _files(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
    """The event log of a run (its own SQLite file, with what SQLite puts beside it) and its output."""
    root = Path(instance.root_directory)
    logs = root / "history" / "runs"
    shards = [logs / f"{run_id}.db{suffix}" for suffix in ("", "-wal", "-shm")]
    return [path for path in (*shards, root / "storage" / run_id) if path.exists()]
