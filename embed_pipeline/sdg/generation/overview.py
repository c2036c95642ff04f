"""What the web UI shows of a generation by a language model: money, tokens, and what was set aside."""

from collections import Counter
from collections.abc import Mapping

import polars as pl

from embed_pipeline import charts, tables
from embed_pipeline.charts import escaped

SHOWN = 30
EXAMPLE_CHARS = 200


def spending_frame(by_model: Mapping[str, Mapping[str, float]]) -> pl.DataFrame:
    """The :class:`embed_pipeline.tables.Spending` table of :meth:`embed_pipeline.llm.ledger.Ledger.by_model`."""
    rows = [{"model": model, **sums} for model, sums in sorted(by_model.items())]
    return pl.DataFrame(rows, schema=tables.empty(tables.Spending).schema)


def cost_table(spending: pl.DataFrame) -> str:
    """The same as Markdown; the last row is the sum."""
    total = spending.select(pl.lit("all").alias("model"), pl.exclude("model").sum())
    rows = [
        (
            escaped(row["model"]),
            *(round(row[name]) for name in ("requests", "prompt_tokens", "completion_tokens")),
            f"{row['usd']:.4f}",
            round(row["estimated"]),
            f"{row['seconds'] / max(1, row['requests']):.2f}",
        )
        for row in pl.concat([spending, total]).iter_rows(named=True)
    ]
    header = ("model", "answers", "prompt tokens", "completion tokens", "USD", "estimated", "seconds an answer")
    return charts.table(header, rows)


def set_aside_table(set_aside: pl.DataFrame) -> str:
    """What was set aside, by step and cause, with an example of each; the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], str] = {}
    for step, record, reason in set_aside.select("step", "record", "reason").iter_rows():
        kind = (step, _cause(reason))
        counts[kind] += 1
        example.setdefault(kind, f"{record}: {reason}")
    rows: list[tuple[object, ...]] = [
        (escaped(step), escaped(cause), count, escaped(example[(step, cause)], EXAMPLE_CHARS))
        for (step, cause), count in counts.most_common(SHOWN)
    ]
    shown = charts.table(("step", "cause", "lost", "for example"), rows)
    more = len(counts) - SHOWN
    return f"{shown}\n\nand {more} more causes; all in set\\_aside.parquet" if more > 0 else shown


def _cause(reason: str) -> str:
    """The reason without what differs from record to record."""
    text = reason.partition(" (question:")[0].partition(":")[0]
    return " ".join(word for word in text.split() if not any(character.isdigit() for character in word))[:100]
