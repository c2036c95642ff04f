"""``show reranker_metrics`` and the end of a run with a reranker: a table for each test set, and the sentence."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from embed_pipeline.cli import output

RIGHT = ("nDCG@10", "recall@10", "against reranked", "p corrected", "ms a query")


def print_reranked(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """The tables, then the sentence.

    Args:
        summary: of :class:`embed_pipeline.evaluation.reranking.RerankedEvaluation`.
        rows: of :class:`embed_pipeline.tables.RerankerMetrics`.
    """
    console = output.out()
    for table in reranker_tables(rows):
        console.print()
        console.print(table)
    console.print(f"\n{summary['sentence']}", markup=False, soft_wrap=True)


def reranker_tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """One a test set, the cheapest system first."""
    from embed_pipeline.evaluation.systems import name_of

    for test_set in dict.fromkeys(row["test_set"] for row in rows):
        table = Table(title=f"{escape(test_set)} questions", title_justify="left", box=None, header_style="bold")
        table.add_column("system", overflow="fold")
        for name in RIGHT:
            table.add_column(name, justify="right")
        for row in rows:
            if row["test_set"] == test_set:
                table.add_row(name_of(row["system"]), *_cells(row))
        yield table


def _cells(row: Mapping[str, Any]) -> list[str]:
    against = ("", "") if row["delta"] is None else (f"{row['delta']:+.3f}", f"{row['p_corrected']:.3f}")
    return [f"{row['ndcg_at_10']:.3f}", f"{row['recall_at_10']:.3f}", *against, f"{row['milliseconds']:,.1f}"]
