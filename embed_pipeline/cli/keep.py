"""Commands that look after a home: ``gc``."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from embed_pipeline.cli.options import Context

Plan = Annotated[bool, typer.Option("--plan", help="Say what would be removed; remove nothing.")]

KINDS = {
    "artifacts": "old versions of artifacts",
    "releases": "old releases",
    "work": "leftovers of runs that were killed",
    "runs": "records of old runs",
    "embeddings": "embeddings of models that nothing uses any more",
    "locks": "lock files",
    "history": "runs in the web UI's history",
}
"""What is told of each kind."""


def gc(ctx: typer.Context, plan: Plan = False) -> None:
    """Remove what no pointer, no release and no run needs, down to the settings keep.*; nothing that cost money."""
    from embed_pipeline.stages.embeddings import encoders_in_use
    from embed_pipeline.store.gc import collect

    context: Context = ctx.obj
    settings = context.settings
    report = collect(context.home, settings.keep, encoders_in_use(settings), dry_run=plan)
    history = _trim_history(context, plan)
    if history["count"]:
        report["kinds"]["history"] = history
        report["bytes"] += history["bytes"]
    verb = "would free" if plan else "freed"
    lines = [f"{verb} {report['bytes'] / 1e6:.1f} MB", *kind_lines(report["kinds"])]
    context.tell(report, "\n".join(lines))


def kind_lines(kinds: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line a kind, the largest first."""
    largest = sorted(kinds.items(), key=lambda item: -item[1]["bytes"])
    return [f"  {sums['bytes'] / 1e6:9.1f} MB  {sums['count']:6} {KINDS[kind]}" for kind, sums in largest]


def _trim_history(context: Context, plan: bool) -> dict[str, Any]:
    """The part of Dagster; a home without its state has none."""
    if not (context.home / "dagster" / "history").is_dir():
        return {"count": 0, "bytes": 0}
    import dagster as dg

    from embed_pipeline.cli.launch import prepare_dagster_home
    from embed_pipeline.defs.history import trim_history

    prepare_dagster_home(context.home)
    with dg.DagsterInstance.get() as instance:
        return trim_history(instance, context.settings.keep.runs, dry_run=plan)
