"""``variants``: what the main settings and the variants came to, side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from embed_pipeline.cli import output
from embed_pipeline.settings import Settings
from embed_pipeline.stages.graph import stages
from embed_pipeline.stages.plan import make_plan
from embed_pipeline.stages.variant_comparison import compared_assets, comparison_rows
from embed_pipeline.stages.variants import MAIN, differing
from embed_pipeline.store.artifacts import Store


def variants_overview(settings: Settings, home: Path) -> list[dict[str, Any]]:
    """The main settings and every variant: what differs, whether it is computed, and what it came to.

    Returns:
        ``[{"variant", "state": "fresh|stale|missing", "missing": [asset], "differs": {setting: value}, "results":
        [row of variant_comparison]}]``; ``results`` are those of the artifacts in use.
    """
    graph, store = stages(settings), Store(home)
    steps = make_plan(graph.values(), settings, store)
    found = []
    for variant in (MAIN, *settings.variants):
        names = compared_assets(variant, graph)
        artifacts = {part: store.current(name) for part, name in names.items()}
        parts = {part: one for part, one in artifacts.items() if one is not None}
        missing = [name for part, name in names.items() if part not in parts]
        fresh = all(
            steps[name].action == "reuse" and steps[name].version == store.pointer(name).get("version")
            for name in names.values()
        )
        differs = {} if variant == MAIN else differing(settings, variant)
        found.append(
            {
                "variant": variant,
                "state": "missing" if missing else "fresh" if fresh else "stale",
                "missing": missing,
                "differs": {name: value for name, (_, value) in differs.items()},
                "results": [] if missing else list(comparison_rows(variant, settings, parts)),
            }
        )
    return found


def print_overview(overview: Sequence[Mapping[str, Any]]) -> None:
    """The same for people: a table for each test set, then what is not there."""
    from embed_pipeline.evaluation.variants import APART, by_test_set

    console = output.out()
    groups = by_test_set([row for one in overview for row in one["results"]])
    for (test_set, version), rows in groups.items():
        console.print(_table(f"{test_set} questions, version {version}: nDCG@10", rows))
        console.print()
    if len(groups) > 1:
        console.print(APART)
    for one in overview:
        differs = ", ".join(f"{name}: {value}" for name, value in one["differs"].items())
        note = {
            "missing": f"not computed: {', '.join(one['missing'])}",
            "stale": "stale: its figures are of other settings or documents",
            "fresh": "",
        }[one["state"]]
        if note or differs:
            console.print(f"{one['variant']}: {'; '.join(part for part in (differs, note) if part)}", markup=False)
    if len(overview) == 1:
        console.print("no variants; declare them under variants: in pipeline.yaml", markup=False)


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(
        "variant", "verdict", "base", "tuned", "delta", Column("interval", no_wrap=True), "p", "recall@10",
        "documents", "questions", "seconds", "checkpoint",
        title=title, title_justify="left", box=None, header_style="bold",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row["variant"],
            row["verdict"],
            f"{row['base']:.4f}",
            f"{row['tuned']:.4f}",
            f"{row['delta']:+.4f}",
            f"[{row['ci_low']:+.4f}, {row['ci_high']:+.4f}]".replace("[", "\\["),
            f"{row['p']:.4f}",
            f"{row['recall_tuned']:.4f}",
            str(row["documents"]),
            str(row["questions"]),
            f"{row['training_seconds']:.0f}",
            row["checkpoint"],
        )
    return table
