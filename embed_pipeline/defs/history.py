"""Dagster's history: that of old runs, which grows for ever, and what it says of a document that has to go."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus

from embed_pipeline.errors import HomeBusyError
from embed_pipeline.files import size_of
from embed_pipeline.store.content_cache import empty_log
from embed_pipeline.store.strings import DATABASES, strings_in, strings_of

Holds = Callable[[Iterable[str]], bool]
"""Whether one of some texts holds what is looked for."""
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
    """Give back what was deleted in the SQLite files below a folder, so that nothing of it is left in them.

    Returns:
        Names of those that somebody else uses right now, left as they are.
    """
    busy = []
    for path in sorted(folder.rglob("*.db")):
        try:
            with closing(_connect(path)) as connection:
                empty_log(connection)
        except sqlite3.OperationalError:
            busy.append(path.name)
    return busy


def runs_that_hold(instance: dg.DagsterInstance, holds: Holds) -> list[str]:
    """Runs whose events or output hold something, sample rows of a document for example."""
    records = [record.dagster_run for record in instance.get_run_records()]
    return [run.run_id for run in records if any(_any_file(path, holds) for path in _files(instance, run.run_id))]


def erase(instance: dg.DagsterInstance, holds: Holds) -> int:
    """Delete those runs, and every other row of Dagster's databases that holds it; how many runs.

    An asset whose latest materialization is among them is shown as never materialized until the next run.

    Raises:
        HomeBusyError: a database is in use, so that what was deleted could not be overwritten.
    """
    doomed = runs_that_hold(instance, holds)
    if doomed:
        delete_runs(instance, doomed)
    folder = Path(instance.root_directory)
    for path in sorted(folder.rglob("*.db")):
        with closing(_connect(path)) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            for table, row in list(_rows_that_hold(connection, holds)):
                forget = _FORGET.get(table, f'DELETE FROM "{table}" WHERE rowid = ?')  # noqa: S608  a table's own name
                connection.execute(forget, (row,))
    busy = shrink_databases(folder)
    if busy:
        raise HomeBusyError(f"{folder}: {busy[0]} is in use. Stop the web UI (embed-pipeline ui), then purge again.")
    return len(doomed)


_FORGET = {
    "asset_keys": "UPDATE asset_keys SET last_materialization = NULL, last_materialization_timestamp = NULL, "
    "last_run_id = NULL, cached_status_data = NULL WHERE rowid = ?"
}
"""Of a table whose rows stay."""


def _rows_that_hold(connection: sqlite3.Connection, holds: Holds) -> Iterator[tuple[str, int]]:
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for number, *values in connection.execute(f'SELECT rowid, * FROM "{table}"'):  # noqa: S608  a table's own name
            if holds(strings_of([value for value in values if isinstance(value, str | bytes)])):
                yield table, number


def _any_file(path: Path, holds: Holds) -> bool:
    """Of a run's database, or of the folder of its output."""
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    return any(holds(strings_in(one)) for one in files if one.suffix in (*DATABASES, ".out", ".err"))


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=5, isolation_level=None)


def _files(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
    """The event log of a run (its own SQLite file, with what SQLite puts beside it) and its output."""
    root = Path(instance.root_directory)
    logs = root / "history" / "runs"
    shards = [logs / f"{run_id}.db{suffix}" for suffix in ("", "-wal", "-shm")]
    return [path for path in (*shards, root / "storage" / run_id) if path.exists()]
