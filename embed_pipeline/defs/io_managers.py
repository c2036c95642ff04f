"""Typed IO managers: assets hand lazy handles downstream; the pointer moves last."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster import TableColumn, TableColumnConstraints, TableRecord, TableSchema

from embed_pipeline.defs.provenance import provenance_metadata
from embed_pipeline.errors import ArtifactError
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.run import StageResult
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.tables import columns

SAMPLE_ROWS = 8
SAMPLE_CHARS = 160


class ArtifactIOManager(dg.IOManager):
    """Moves the pointer of an artifact, and hands downstream the handle of this run, else of the pointer."""

    def __init__(self, store: Store, stages: dict[str, Stage]) -> None:
        self.store = store
        self.stages = stages

    def handle_output(self, context: dg.OutputContext, obj: StageResult) -> None:
        """Point to the result and show it."""
        artifact = obj.artifact
        self.store.point(artifact, obj.key, obj.outcome, obj.seconds, context.run_id)
        manifest = self.store.last_made(artifact)
        context.add_output_metadata(
            {
                "outcome": obj.outcome,
                "version": artifact.version[:12],
                "path": dg.MetadataValue.path(str(artifact.path)),
                "bytes": sum(entry.bytes for entry in manifest.files.values()),
                "seconds": round(obj.seconds, 3),
                "seconds_to_compute": manifest.seconds,
                **{name: _metadata_value(value) for name, value in {**manifest.summary, **manifest.cost}.items()},
                **provenance_metadata(artifact, self.store),
                **(self._shown(artifact, manifest.charts) if obj.outcome == "computed" else {}),
            }
        )

    def _shown(self, artifact: Artifact, charts: Mapping[str, str]) -> dict[str, Any]:
        """What takes room: charts, schema and sample; only where something was computed."""
        drawn = {f"chart: {name}": dg.MetadataValue.md(text) for name, text in charts.items()}
        return {**drawn, **self.describe(artifact)}

    def describe(self, artifact: Artifact) -> dict[str, Any]:
        """More metadata, by kind of storage."""
        return {}

    def load_input(self, context: dg.InputContext) -> Artifact:
        """A lazy handle; nothing is read.

        Raises:
            ArtifactError: the asset was never materialized here.
        """
        name = context.asset_key.path[-1]
        try:
            own = self.store.of_run(context.step_context.run_id, name)
        except dg.DagsterInvariantViolationError:  # loaded outside a run, in a notebook
            own = None
        artifact = own or self.store.current(name)
        if artifact is None:
            raise ArtifactError(f"{name} has not been materialized in {self.store.home}; materialize it first.")
        return artifact


class TableIOManager(ArtifactIOManager):
    """Tables: schema, row count and sample rows."""

    def describe(self, artifact: Artifact) -> dict[str, Any]:
        """Schema, rows, sample."""
        schema = self.stages[artifact.asset].schema
        if schema is None or not (artifact.path / "table.parquet").is_file():
            return {}
        frame = artifact.frame()
        declared = [
            TableColumn(
                name=column["name"],
                type=column["type"],
                description=column["description"],
                constraints=TableColumnConstraints(nullable=column["nullable"], other=column["constraints"]),
            )
            for column in columns(schema)
        ]
        rows = [
            TableRecord({name: _short(value) for name, value in row.items()})
            for row in frame.head(SAMPLE_ROWS).iter_rows(named=True)
        ]
        shown = TableSchema([TableColumn(name=column.name, type="string") for column in declared])
        described: dict[str, Any] = {
            "dagster/column_schema": TableSchema(declared),
            "dagster/row_count": frame.height,
        }
        if rows:
            described["sample"] = dg.MetadataValue.table(rows, schema=shown)
        return described


class FolderIOManager(ArtifactIOManager):
    """Folders, models, reports: their files."""

    def describe(self, artifact: Artifact) -> dict[str, Any]:
        """The files."""
        files = artifact.manifest().files
        lines = [f"- `{name}` ({entry.bytes:,} bytes)" for name, entry in list(files.items())[:20]]
        return {"files": dg.MetadataValue.md("\n".join(lines))} if lines else {}


def _metadata_value(value: object) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _short(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= SAMPLE_CHARS else text[: SAMPLE_CHARS - 1] + "…"
