"""Relabelling: what denoising found to answer a question becomes a positive of it instead of being dropped.

Source: RLHN (Thakur et al. 2025, arXiv 2505.16967). The audit of mining holds these passages under the reason
``relabelled``; the training set takes them from there. Splits, validation and test do not know of them.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from embed_pipeline import charts
from embed_pipeline.charts import escaped
from embed_pipeline.prep.mining.miner import MiningResult, Rejected
from embed_pipeline.prep.mining.rules import CODE

RELABELLED = "relabelled"
SHOWN, CHARS = 20, 300


def relabelled(rejected: Rejected, sure: Collection[tuple[int, int]]) -> Rejected:
    """The same with those denoised candidates that are ``sure``, pairs of query and passage, rejected as relabelled."""
    pairs = zip(rejected.queries.tolist(), rejected.passages.tolist(), strict=True)
    chosen = np.array([pair in sure for pair in pairs], bool) & (rejected.reasons == CODE["denoised"])
    return replace(rejected, reasons=np.where(chosen, CODE[RELABELLED], rejected.reasons).astype(np.uint8))


def sifted(result: MiningResult, reason_of: Callable[[int, int], str | None]) -> MiningResult:
    """The same without the negatives for which there is a reason now; they are rejected for it.

    Args:
        reason_of: query and passage -> why it is no negative, None if it may stay.
    """
    codes = [
        np.array([CODE[reason_of(query, passage) or "usable"] for passage in found.tolist()], np.uint8)
        for query, found in enumerate(result.indices)
    ]
    kept: list[NDArray[np.bool_]] = [code == CODE["usable"] for code in codes]
    gone = [~keep for keep in kept]
    before = result.rejected
    rejected = Rejected(
        np.append(before.queries, np.repeat(np.arange(len(gone)), [int(one.sum()) for one in gone])),
        np.concatenate([before.passages, *_chosen(result.indices, gone)]),
        np.concatenate([before.ranks, *_chosen(result.ranks, gone)]),
        np.concatenate([before.scores, *_chosen(result.scores, gone)]),
        np.concatenate([before.reasons, *_chosen(codes, gone)]),
    )
    return replace(
        result,
        indices=_chosen(result.indices, kept),
        scores=_chosen(result.scores, kept),
        ranks=_chosen(result.ranks, kept),
        rejected=rejected,
    )


def _chosen(lists: list[NDArray[Any]], chosen: list[NDArray[np.bool_]]) -> list[NDArray[Any]]:
    return [values[which] for values, which in zip(lists, chosen, strict=True)]


def with_relabelled(qa_pairs: pl.DataFrame, rejected: pl.DataFrame) -> pl.DataFrame:
    """Questions with the passages that became positives of them after their own, in the order of their ranks.

    Args:
        qa_pairs: :class:`embed_pipeline.tables.QaPairs`.
        rejected: :class:`embed_pipeline.tables.RejectedNegatives`.
    """
    return _extended(qa_pairs, rejected, {"passage_ids": "passage_id"})


def with_relabelled_scores(mined: pl.DataFrame, rejected: pl.DataFrame) -> pl.DataFrame:
    """The same of the positives and their scores in :class:`embed_pipeline.tables.MinedNegatives`."""
    return _extended(mined, rejected, {"positive_ids": "passage_id", "positive_scores": "score"})


def _extended(frame: pl.DataFrame, rejected: pl.DataFrame, lists: dict[str, str]) -> pl.DataFrame:
    found = rejected.filter(pl.col("reason") == RELABELLED).sort("question_id", "rank")
    more = found.group_by("question_id").agg(pl.col(source).alias(f"more_{name}") for name, source in lists.items())
    joined = frame.join(more, on="question_id", how="left", maintain_order="left")
    longer = [pl.concat_list(name, pl.col(f"more_{name}").fill_null([])).alias(name) for name in lists]
    return joined.with_columns(longer).select(frame.columns)


def relabelled_table(rejected: pl.DataFrame, qa_pairs: pl.DataFrame, passages: pl.DataFrame) -> str:
    """Some of the passages that became positives, as Markdown for people to look at; texts are escaped."""
    found = rejected.filter(pl.col("reason") == RELABELLED)
    shown = (
        found.head(SHOWN)
        .join(qa_pairs.select("question_id", "question"), on="question_id", maintain_order="left")
        .join(passages.select("passage_id", "text"), on="passage_id", maintain_order="left")
    )
    rows = [
        (*(escaped(row[name], CHARS) for name in ("question", "passage_id", "text")), f"{row['score']:.3f}")
        for row in shown.iter_rows(named=True)
    ]
    return f"{found.height:,} in all.\n\n" + charts.table(("question", "passage", "its text", "cosine"), rows)
