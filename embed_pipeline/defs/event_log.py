"""Dagster's event log, as SQLite with small pages.

Dagster keeps one database for each run, and each holds all of its tables and indices: at SQLite's page size an empty
one takes 120 kB, at this one 16 kB. Databases made before are read and written as they are.
"""

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy
from dagster._core.events import DagsterEventType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

PAGE_BYTES = 512


class EventLog(SqliteEventLogStorage):
    """Configured with Dagster's home; lies where Dagster's own lies."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "EventLog":
        """The event log below ``base_dir``."""
        return cls(str(Path(config_value["base_dir"]) / "history" / "runs"), inst_data)

    def forget_plans(self, run_id: str, assets: Iterable[dg.AssetKey], *, as_before: bool) -> None:
        """Drop what a run had planned and did not do, so that the web UI shows what was really done last.

        Dagster writes two events for every asset and check of a run before it knows whether they are needed.

        Args:
            assets: those the run left as they were.
            as_before: name the run before as the latest of these assets, too. Of a run that failed Dagster would show
                all of them as failed, also those it did not come to.
        """
        log, checks = SqlEventLogStorageTable, AssetCheckExecutionsTable
        untouched = [asset.to_string() for asset in assets]
        planned = (log.c.dagster_event_type == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value) | (
            (log.c.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value)
            & log.c.asset_key.in_(untouched)
        )
        with self.index_connection() as connection:
            connection.execute(checks.delete().where(checks.c.run_id == run_id, checks.c.execution_status == _PLANNED))
            connection.execute(log.delete().where(log.c.run_id == run_id, planned))
            if as_before:
                connection.execute(_name_the_run_before(run_id, untouched))
        with self.run_connection(run_id) as connection:
            connection.execute(log.delete().where(planned))
        self._shrink(run_id)

    def _shrink(self, run_id: str) -> None:
        """Give the room of what was dropped back; not worth waiting for where the web UI is reading right now."""
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(
                sqlite3.connect(self.path_for_shard(run_id), timeout=1, isolation_level=None)
            ) as connection,
        ):
            connection.execute("VACUUM")

    def _initdb(self, engine: sqlalchemy.Engine, for_index_shard: bool = False) -> None:
        if not for_index_shard:  # has effect only before the first table is made
            sqlalchemy.event.listen(engine, "connect", lambda connection, _: connection.execute(_PRAGMA))
        super()._initdb(engine, for_index_shard)


def _name_the_run_before(run_id: str, assets: list[str]) -> sqlalchemy.Update:
    """Where a run is named as the latest of these assets, the one before it; none where there is no other."""
    log, keys = SqlEventLogStorageTable, AssetKeyTable
    before = (
        sqlalchemy.select(log.c.run_id)
        .where(log.c.asset_key == keys.c.asset_key, log.c.dagster_event_type.in_(_NAME_A_RUN))
        .order_by(log.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return keys.update().where(keys.c.asset_key.in_(assets), keys.c.last_run_id == run_id).values(last_run_id=before)


_NAME_A_RUN = (DagsterEventType.ASSET_MATERIALIZATION.value, DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value)
"""The events by which Dagster takes a run for the latest of an asset."""
_PLANNED = AssetCheckExecutionRecordStatus.PLANNED.value
_PRAGMA = f"PRAGMA page_size = {PAGE_BYTES}"
