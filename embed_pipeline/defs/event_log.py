"""Dagster's event log, as SQLite with small pages.

Dagster keeps one database for each run, and each holds all of its tables and indices: at SQLite's page size an empty
one takes 120 kB, at this one 16 kB. Databases made before are read and written as they are.
"""

from pathlib import Path
from typing import Any

import sqlalchemy
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

PAGE_BYTES = 512


class EventLog(SqliteEventLogStorage):
    """Configured with Dagster's home; lies where Dagster's own lies."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "EventLog":
        """The event log below ``base_dir``."""
        return cls(str(Path(config_value["base_dir"]) / "history" / "runs"), inst_data)

    def forget_planned_checks(self, run_id: str) -> None:
        """Drop what a run had planned to check and did not, so that the last real evaluation is shown."""
        table = AssetCheckExecutionsTable
        with self.index_connection() as connection:
            connection.execute(table.delete().where(table.c.run_id == run_id, table.c.execution_status == _PLANNED))

    def _initdb(self, engine: sqlalchemy.Engine, for_index_shard: bool = False) -> None:
        if not for_index_shard:  # has effect only before the first table is made
            sqlalchemy.event.listen(engine, "connect", lambda connection, _: connection.execute(_PRAGMA))
        super()._initdb(engine, for_index_shard)


_PLANNED = AssetCheckExecutionRecordStatus.PLANNED.value
_PRAGMA = f"PRAGMA page_size = {PAGE_BYTES}"
