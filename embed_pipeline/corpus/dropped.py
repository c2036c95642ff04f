"""What the files of a corpus lost on their way to documents, in lines and tables for people."""

import polars as pl

from embed_pipeline import charts
from embed_pipeline.corpus.parsers.losses import DROPPED, NOT_MISSED, REPLACED

MUCH = 0.1
"""Share of a document's characters; a document that lost more is named."""
_NAMED = 10


def dropped_lines(documents: pl.DataFrame, dropped: pl.DataFrame) -> list[str]:
    """Totals kind by kind, and a warning with the names of the documents that lost more than a tenth.

    Args:
        documents: :class:`~embed_pipeline.tables.Documents`.
        dropped: :class:`~embed_pipeline.tables.Dropped`.
    """
    totals = [_total(*row) for row in dropped_totals(dropped).iter_rows()]
    return [*totals, *_warning(documents, dropped)]


def dropped_totals(dropped: pl.DataFrame) -> pl.DataFrame:
    """``kind``, ``count``, ``characters``, ``documents`` (that lost something of it), by kind."""
    summed = dropped.group_by("kind").agg(pl.col("count", "characters").sum(), documents=pl.len().cast(pl.Int64))
    return summed.sort("kind")


def dropped_table(dropped: pl.DataFrame) -> str:
    """The totals as Markdown for the web UI; empty when nothing was lost."""
    rows = [(kind, *figures, meaning_of(kind)) for kind, *figures in dropped_totals(dropped).iter_rows()]
    return charts.table(("kind", "pieces", "characters left out", "documents", "meaning"), rows) if rows else ""


def meaning_of(kind: str) -> str:
    """What a kind of loss is."""
    return DROPPED.get(kind) or REPLACED[kind]


def _total(kind: str, count: int, characters: int, documents: int) -> str:
    how = f"left out, {characters:,} character{'s' * (characters != 1)}" if kind in DROPPED else "replaced"
    plural = "s" * (documents > 1)
    return f"{kind}: {count:,} {how}, in {documents:,} document{plural} ({meaning_of(kind)})"


def _warning(documents: pl.DataFrame, dropped: pl.DataFrame) -> list[str]:
    much = lost_shares(documents, dropped).filter(pl.col("share") > MUCH)
    if much.is_empty():
        return []
    names = ", ".join(f"{doc} ({share:.0%})" for doc, share in much.head(_NAMED).select("doc_id", "share").iter_rows())
    more = f" and {much.height - _NAMED:,} more" if much.height > _NAMED else ""
    plural = "s" * (much.height > 1)
    return [
        f"warning: {much.height:,} document{plural} lost more than {MUCH:.0%} of the characters: {names}{more}; "
        "`embed-pipeline preview` shows what was left out"
    ]


def lost_shares(documents: pl.DataFrame, dropped: pl.DataFrame) -> pl.DataFrame:
    """``doc_id`` and ``share``: what was left out, of the characters of text and what was left out; most first.

    White space is not counted, nor what nobody misses: scripts, comments, what stands there twice.
    """
    missed = dropped.filter(~pl.col("kind").is_in(NOT_MISSED))
    lost = missed.group_by("doc_id").agg(lost=pl.col("characters").sum())
    some = documents.select("doc_id", "text").join(lost, on="doc_id", how="semi")
    kept = some.select("doc_id", kept=pl.col("text").str.replace_all(r"\s", "").str.len_chars())
    shares = kept.join(lost, on="doc_id").with_columns(share=pl.col("lost") / (pl.col("lost") + pl.col("kept")))
    return shares.select("doc_id", "share").sort("share", "doc_id", descending=[True, False])
