"""``show candidate_metrics``: a table for each test set."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

RIGHT = ("nDCG@10", "against base", "p", "with BM25", "dimensions", "parameters", "MB", "passages/s")


def candidate_tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """Those that were measured (:class:`embed_pipeline.tables.CandidateMetrics`), the best first."""
    for test_set in dict.fromkeys(row["test_set"] for row in rows):
        table = Table(title=f"{test_set} questions, untrained", title_justify="left", box=None, header_style="bold")
        table.add_column("candidate", overflow="fold")
        for name in RIGHT:
            table.add_column(name, justify="right")
        for row in rows:
            if row["test_set"] == test_set and row["problem"] is None:
                table.add_row(escape(row["candidate"]), *_cells(row))
        yield table


def problems(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why candidates have no figures, each once."""
    found = dict.fromkeys((row["candidate"], row["problem"]) for row in rows if row["problem"] is not None)
    return [f"not measured: {name}: {problem}" for name, problem in found]


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['ndcg_at_10']:.3f}",
        f"{row['delta']:+.3f}",
        f"{row['p_corrected']:.3f}",
        f"{row['fused_ndcg_at_10']:.3f}",
        f"{row['dimensions']}",
        "?" if row["parameters"] is None else f"{row['parameters']:,}",
        "?" if row["bytes"] is None else f"{row['bytes'] / 1e6:,.0f}",
        f"{row['passages_per_second']:,.0f}",
    ]
