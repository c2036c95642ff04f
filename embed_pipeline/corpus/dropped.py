"""What the files of a corpus lost on their way to documents, in lines for people."""

import polars as pl

from embed_pipeline.corpus.parsers.losses import DROPPED, REPLACED

MUCH = 0.1
"""Share of a document's characters; a document that lost more is named."""
_NAMED = 10


def dropped_lines(documents: pl.DataFrame, dropped: pl.DataFrame) -> list[str]:
    """Totals kind by kind, and a warning with the names of the documents that lost more than a tenth.

    Args:
        documents: :class:`~embed_pipeline.tables.Documents`.
        dropped: :class:`~embed_pipeline.tables.Dropped`.
    """
    return [*_totals(dropped), *_warning(documents, dropped)]


def _totals(dropped: pl.DataFrame) -> list[str]:
    summed = dropped.group_by("kind").agg(pl.col("count", "characters").sum(), files=pl.len()).sort("kind")
    return [_total(*row) for row in summed.select("kind", "count", "characters", "files").iter_rows()]


def _total(kind: str, count: int, characters: int, files: int) -> str:
    how = f"left out, {characters:,} characters" if kind in DROPPED else "replaced"
    meaning = DROPPED.get(kind) or REPLACED[kind]
    return f"{kind}: {count:,} {how}, in {files:,} document{'s' * (files > 1)} ({meaning})"


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

    White space is not counted.
    """
    lost = dropped.group_by("doc_id").agg(lost=pl.col("characters").sum())
    some = documents.select("doc_id", "text").join(lost, on="doc_id", how="semi")
    kept = some.select("doc_id", kept=pl.col("text").str.replace_all(r"\s", "").str.len_chars())
    shares = kept.join(lost, on="doc_id").with_columns(share=pl.col("lost") / (pl.col("lost") + pl.col("kept")))
    return shares.select("doc_id", "share").sort("share", "doc_id", descending=[True, False])
