"""What documents tell of themselves, for people and for what is made of their passages."""

import polars as pl

from embed_pipeline import charts

_EXAMPLE_CHARS = 80
Told = dict[str, list[str]]
"""Name -> values."""


def told_by_document(metadata: pl.DataFrame) -> dict[str, Told]:
    """Document -> name -> values, in the order of the table.

    Args:
        metadata: :class:`~embed_pipeline.tables.Metadata`.
    """
    found: dict[str, Told] = {}
    for doc_id, name, value in metadata.iter_rows():
        found.setdefault(doc_id, {}).setdefault(name, []).append(value)
    return found


def told_table(metadata: pl.DataFrame) -> str:
    """Name by name how many documents tell it, as Markdown for the web UI."""
    counted = metadata.group_by("name").agg(
        documents=pl.col("doc_id").n_unique(), values=pl.col("value").n_unique(), first=pl.col("value").min()
    )
    rows = counted.sort("documents", "name", descending=[True, False]).iter_rows()
    shown = [(charts.escaped(name), *figures, charts.escaped(first, _EXAMPLE_CHARS)) for name, *figures, first in rows]
    return charts.table(("name", "documents", "different values", "for example"), shown)
