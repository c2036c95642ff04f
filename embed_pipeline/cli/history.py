"""``history``: every run of a home, and what came of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from embed_pipeline.store.history import History, status_now

RUN_CHARACTERS = 8


def history_rows(home: Path) -> list[dict[str, Any]]:
    """The record of every run, the latest first; one whose process is gone is called killed."""
    return [record | {"status": status_now(record)} for record in History(home).all()]


def history_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The same for people."""
    table = Table("run", "started", "by", "status", "computed", "reused", "verdict", "nDCG@10", "", box=None)
    for row in rows:
        outcomes = [asset["outcome"] for asset in row.get("assets", {}).values()]
        table.add_row(
            row["run_id"][:RUN_CHARACTERS],
            row["started"],
            row.get("started_by", ""),
            row["status"],
            str(outcomes.count("computed")),
            str(outcomes.count("reused")),
            row.get("verdict") or "",
            _figures(row.get("ndcg_at_10", {})),
            _remark(row).replace("[", "\\["),
        )
    return table


def _figures(sets: dict[str, dict[str, float]]) -> str:
    return ", ".join(
        f"{name} {systems['base']:.4f} -> {systems['tuned']:.4f}"
        for name, systems in sets.items()
        if {"base", "tuned"} <= set(systems)
    )


def _remark(row: dict[str, Any]) -> str:
    if row.get("errors"):
        return str(row["errors"][0]["text"])
    return f"experiment: {', '.join(row['overrides'])}" if row.get("overrides") else ""
