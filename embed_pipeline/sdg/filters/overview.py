"""What the filters kept and refused, as Markdown for the web UI; every text in it is untrusted and escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, zip_longest
from typing import Any

import polars as pl

from embed_pipeline import charts
from embed_pipeline.charts import escaped
from embed_pipeline.records import CRITERIA
from embed_pipeline.sdg.filters.select import REASONS, Selection

SAMPLES = 20
SHOWN_DOCUMENTS = 50
MOST_BYTES = 28_000
"""Of one Markdown text."""
QUESTION_CHARS, ANSWER_CHARS, EVIDENCE_CHARS, NAME_CHARS = 400, 300, 300, 120
COUNTED = {
    "hop counts": "hop_count",
    "query types": "query_type",
    "reasoning types": "reasoning_type",
    "complexity": "complexity",
}


@dataclass(frozen=True)
class Overview:
    """What a user sees of the pairs.

    Attributes:
        summary: plain numbers, to be plotted over time.
        charts: name -> Markdown.
        coverage: see :func:`coverage`.
    """

    summary: dict[str, int]
    charts: dict[str, str]
    coverage: pl.DataFrame


def overview(selection: Selection, passages: pl.DataFrame) -> Overview:
    """Numbers, charts and coverage of a selection.

    Args:
        passages: :class:`embed_pipeline.tables.Passages`, those the questions are about.
    """
    covered = coverage(passages, selection.pairs)
    summary = {
        "questions": selection.pairs.height,
        "imported_questions": selection.pairs.filter(generator="imported").height,
        "rejected": selection.rejected.height,
        "passages_asked_about": selection.pairs["passage_ids"].explode(empty_as_null=False).n_unique(),
        "passages_without_question": int((covered["passages"] - covered["asked_passages"]).sum()),
        "documents_without_question": covered.filter(pl.col("questions") == 0).height,
        **{f"rejected_{reason}": selection.funnel[reason] for reason in REASONS},
    }
    shown = {
        "funnel": charts.bars("funnel", {name: float(count) for name, count in selection.funnel.items()}, "questions"),
        "filters": funnel_table(selection.funnel),
        "sources": sources_table(selection),
        **_score_chart(selection),
        **{name: _count_chart(name, selection.pairs[column]) for name, column in COUNTED.items()},
        "sample pairs": sample_pairs(selection.pairs),
        "coverage": coverage_table(covered),
    }
    return Overview(summary, shown, covered)


def _score_chart(selection: Selection) -> dict[str, str]:
    scores = {"kept": selection.pairs["score"], "rejected": selection.rejected["score"]}
    values = {name: column.drop_nulls().to_list() for name, column in scores.items()}
    return {"judge scores": charts.histogram("judge scores", values, "score")} if any(values.values()) else {}


def _count_chart(name: str, column: pl.Series) -> str:
    counted = column.value_counts().sort(column.name)
    return charts.bars(name, {str(value): float(count) for value, count in counted.iter_rows()}, "questions")


def funnel_table(funnel: Mapping[str, int]) -> str:
    """How many questions each filter took, and what it looks for."""
    total = funnel["candidates"]

    def line(name: str, meaning: str) -> list[object]:
        return [name, funnel[name], f"{100 * funnel[name] / total:.1f} %" if total else "", meaning]

    rows = [
        line("candidates", "every question written or imported"),
        *(line(name, meaning) for name, meaning in REASONS.items()),
        line("pairs", "passed every filter"),
    ]
    return charts.table(["", "questions", "of candidates", "meaning"], rows)


def sources_table(selection: Selection) -> str:
    """Where the questions come from: of each source how many there were and how many are left."""
    kept = dict(selection.pairs["generator"].value_counts().iter_rows())
    refused = dict(selection.rejected["generator"].value_counts().iter_rows())
    rows = []
    for name in sorted(kept.keys() | refused.keys()):
        left = kept.get(name, 0)
        share = f"{100 * left / selection.pairs.height:.1f} %" if left else ""
        rows.append((escaped(name, NAME_CHARS), left + refused.get(name, 0), left, share))
    return charts.table(("source", "candidates", "pairs", "of all pairs"), rows)


# -- sample ------------------------------------------------------------------------------------------------


def sample_pairs(pairs: pl.DataFrame) -> str:
    """Some pairs with their evidence, spread over the query types; the same ones for the same pairs."""
    if pairs.is_empty():
        return "No pairs."
    return _within(
        [_pair(number, row) for number, row in enumerate(spread(pairs.to_dicts(), SAMPLES), 1)], "pairs", "\n\n"
    )


def spread(rows: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """``count`` rows, the query types in turn, within each by the hash of the question id."""
    by_type: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: sha256(str(row["question_id"]).encode()).digest()):
        by_type.setdefault(row["query_type"], []).append(row)
    turns = zip_longest(*(by_type[name] for name in sorted(by_type)))
    return [row for row in chain.from_iterable(turns) if row is not None][:count]


def _pair(number: int, row: Mapping[str, Any]) -> str:
    kind = f"{row['query_type']}, {row['reasoning_type']}, complexity {row['complexity']}, {row['generator']}"
    lines = [
        f"**{number}. {escaped(row['question'], QUESTION_CHARS)}**",
        f"- {escaped(kind)}; {_scores(row)}",
        f"- answer: {escaped(row['answer'], ANSWER_CHARS)}",
    ]
    for hop in row["hops"]:
        evidence = escaped(hop["evidence"], EVIDENCE_CHARS) or "(not known)"
        lines.append(f"- passage {escaped(hop['passage_id'], NAME_CHARS)}: {evidence}")
    return "\n".join([lines[0], "", *lines[1:]])


def _scores(row: Mapping[str, Any]) -> str:
    if row["score"] is None:
        return "not judged"
    given = ", ".join(f"{name} {row[name]:g}" for name in CRITERIA if row[name] is not None)
    return f"score {row['score']:.4g}" + (f" ({escaped(given)})" if given else "")


# -- coverage ----------------------------------------------------------------------------------------------


def coverage(passages: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """How far the questions reach, one row per document: doc_id, passages, asked_passages, questions.

    A near-duplicate of a passage that is asked about counts as asked about. Documents with the most passages
    left out come first, then by id.
    """
    asked = pairs.select("question_id", passage_id="passage_ids").explode("passage_id", empty_as_null=False)
    placed = asked.join(passages.select("passage_id", "doc_id", "group_id"), on="passage_id", how="inner")
    questions = placed.group_by("doc_id").agg(questions=pl.col("question_id").n_unique().cast(pl.Int64))
    covered = pl.col("group_id").is_in(placed["group_id"].unique().to_list())
    counted = passages.group_by("doc_id").agg(
        passages=pl.len().cast(pl.Int64), asked_passages=covered.sum().cast(pl.Int64)
    )
    return (
        counted.join(questions, on="doc_id", how="left")
        .with_columns(pl.col("questions").fill_null(0))
        .sort(pl.col("asked_passages") - pl.col("passages"), "doc_id")
    )


def coverage_table(covered: pl.DataFrame) -> str:
    """The documents of :func:`coverage` with the most passages left out."""
    uncovered = covered.filter((pl.col("asked_passages") < pl.col("passages")) | (pl.col("questions") == 0))
    silent = covered.filter(pl.col("questions") == 0).height
    asked, passages = int(covered["asked_passages"].sum()), int(covered["passages"].sum())
    head = (
        f"{asked:,} of {passages:,} passages are asked about (near-duplicates of one that is count); "
        f"{silent:,} of {covered.height:,} documents have no question. All of them: coverage.parquet."
    )
    if uncovered.is_empty():
        return head
    shown = [
        (escaped(row["doc_id"], NAME_CHARS), row["passages"] - row["asked_passages"], row["passages"], row["questions"])
        for row in uncovered.head(SHOWN_DOCUMENTS).iter_rows(named=True)
    ]
    lines = charts.table(["document", "passages left out", "passages", "questions"], shown).splitlines()
    start = "\n".join([f"{head}\n", *lines[:2]])
    return _within(lines[2:], "documents", "\n", start, uncovered.height)


def _within(parts: Sequence[str], name: str, between: str, start: str = "", total: int | None = None) -> str:
    """As many of the parts as fit, and how many more there are."""
    text, left = start, total if total is not None else len(parts)
    for part in parts:
        longer = f"{text}{between}{part}" if text else part
        if len(longer.encode()) > MOST_BYTES:
            break
        text, left = longer, left - 1
    return f"{text}\n\nand {left:,} more {name}" if left else text
