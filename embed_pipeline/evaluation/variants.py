"""The comparison of variants for people: Markdown, and a page of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from embed_pipeline import charts
from embed_pipeline.evaluation.figures import p_value, score, signed
from embed_pipeline.evaluation.report import environment

PAGE = "comparison.html"
TEXT = "comparison.md"
APART = "Figures of different test sets cannot be compared: each table is one test set."
HEADER = (
    *("variant", "verdict", "base", "tuned", "change", "interval", "p", "recall@10 base", "recall@10 tuned"),
    *("documents", "questions", "training s", "checkpoint", "differs in"),
)


def by_test_set(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Rows of :class:`embed_pipeline.tables.VariantComparison` by (test set, its version), in the order of the rows."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["test_set"], row["test_set_version"]), []).append(row)
    return groups


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row as text, in the order of :data:`HEADER`."""
    return [
        row["variant"],
        row["verdict"],
        score(row["base"]),
        score(row["tuned"]),
        signed(row["delta"]),
        f"{signed(row['ci_low'])} to {signed(row['ci_high'])}",
        p_value(row["p"]),
        score(row["recall_base"]),
        score(row["recall_tuned"]),
        f"{row['documents']:,}",
        f"{row['questions']:,}",
        f"{row['training_seconds']:.0f}",
        row["checkpoint"],
        row["differs"],
    ]


def comparison_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """As Markdown: a table for each test set; nDCG@10 where nothing else is said."""
    groups = by_test_set(rows)
    parts = [APART] if len(groups) > 1 else []
    for (test_set, version), group in groups.items():
        lines = [[charts.escaped(cell) for cell in cells(row)] for row in group]
        parts += [f"**{test_set} questions, version {version}** (nDCG@10)", charts.table(HEADER, lines)]
    return "\n\n".join(parts) + "\n"


def comparison_page(rows: Sequence[Mapping[str, Any]]) -> str:
    """As one HTML file without scripts or references to others."""
    groups = [
        {"test_set": test_set, "version": version, "rows": [cells(row) for row in group]}
        for (test_set, version), group in by_test_set(rows).items()
    ]
    return environment().get_template("variants.html.j2").render(header=HEADER, groups=groups, apart=APART)
