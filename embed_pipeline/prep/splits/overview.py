"""What a user sees of the splits: numbers, tables of questions by split, lines about what is out of the ordinary."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from embed_pipeline import charts
from embed_pipeline.prep.splits.balance import TOTAL_SLACK
from embed_pipeline.prep.splits.spread import FAIR_PART, LEAST_GROUPS
from embed_pipeline.records import SPLITS
from embed_pipeline.settings import PrepSettings

TABLES = {"questions by query type": "query_type", "questions by hops": "hop_count"}


@dataclass(frozen=True)
class SplitOverview:
    """Attributes:
    summary: plain numbers, to be plotted over time.
    charts: name -> Markdown.
    lines: what the user should be told.
    """

    summary: dict[str, int]
    charts: dict[str, str]
    lines: list[str]


def split_overview(
    splits: pl.DataFrame, qa_pairs: pl.DataFrame, settings: PrepSettings, previous: pl.DataFrame | None
) -> SplitOverview:
    """Describe finished splits.

    Args:
        splits: rows of :class:`embed_pipeline.tables.Splits`.
        qa_pairs: the questions that were split.
        settings: the ratios asked for.
        previous: the splits these grew from.
    """
    items = {kind: splits.filter(item_type=kind) for kind in ("question", "document")}
    summary = {
        f"{split}_{kind}s": items[kind].filter(split=split).height
        for kind in ("question", "document")
        for split in SPLITS
    }
    moved = _moved(items["document"], previous)
    groups = items["question"].group_by("component", "split").len()
    in_test = groups.filter(split="test").height
    summary |= {
        "components": splits["component"].n_unique(),
        "test_components": in_test,
        "documents_moved": moved.height,
    }
    joined = qa_pairs.join(items["question"], left_on="question_id", right_on="item_id")
    shown = {name: _table(joined, column) for name, column in TABLES.items()}
    lines = _off_share(summary, settings)
    if settings.test_ratio and in_test < LEAST_GROUPS:
        lines.append(_too_few_groups(in_test, groups["len"].to_list(), settings, previous is not None))
    if moved.height:
        to_train = moved.filter(split="train", split_before="test").height
        lines.append(
            f"splits: {moved.height} documents of before changed their split, {to_train} of them from test to train: "
            "groups of documents were joined by new text, evidence or questions, or a split had become empty"
        )
    return SplitOverview(summary, shown, lines)


def _moved(documents: pl.DataFrame, previous: pl.DataFrame | None) -> pl.DataFrame:
    """Documents that are in another split than before: split, split_before."""
    before = documents.clear() if previous is None else previous.filter(item_type="document")
    both = documents.join(before, on="item_id", suffix="_before")
    return both.filter(pl.col("split") != pl.col("split_before"))


def _off_share(summary: dict[str, int], settings: PrepSettings) -> list[str]:
    """A line for each held-out split whose share of the questions is out of tolerance."""
    total = sum(summary[f"{split}_questions"] for split in SPLITS)
    lines = []
    for split, ratio in (("validation", settings.validation_ratio), ("test", settings.test_ratio)):
        have, target = summary[f"{split}_questions"], ratio * total
        if ratio and abs(have - target) > max(1.0, TOTAL_SLACK * target):
            lines.append(
                f"splits: {split} holds {have} of {total} questions, {100 * have / total:.1f} % where "
                f"prep.{split}_ratio asks for {100 * ratio:g} %: groups of documents that share text, evidence or "
                "questions stay together, and documents stay where they were before (another prep.seed splits anew)"
            )
    return lines


def _too_few_groups(in_test: int, sizes: Sequence[int], settings: PrepSettings, grown: bool) -> str:
    """What to do where the test questions are about too few groups; ``sizes``: questions of every group."""
    advice = ["add documents"]
    ratio = math.ceil(100 * sum(sorted(sizes)[:LEAST_GROUPS]) / sum(sizes)) / 100  # held by the ten smallest
    train = round(1 - settings.validation_ratio - ratio, 9)
    if len(sizes) * FAIR_PART >= LEAST_GROUPS and settings.test_ratio < ratio < train:
        advice.append(f"hold out more (prep.test_ratio {ratio:g}, prep.train_ratio {train:g})")
    if grown:
        advice.append("split all documents anew (another prep.seed), since those of before stay where they were")
    return (
        f"splits: the test questions are about {in_test} independent groups of documents, and without a gold set a "
        f"verdict takes {LEAST_GROUPS}; groups with few questions were preferred as far as the share allows. "
        f"To have more, {', or '.join(advice)}"
    )


def _table(questions: pl.DataFrame, column: str) -> str:
    """Questions of each split and their share of the row, for every value of ``column`` and in all."""
    values = questions[column].unique().sort().to_list()
    rows = [_row(charts.escaped(value), questions.filter(pl.col(column) == value)) for value in values]
    return charts.table([column.replace("_", " "), *SPLITS, "questions"], [_row("all", questions), *rows])


def _row(name: str, questions: pl.DataFrame) -> list[object]:
    counts = dict(questions["split"].value_counts().iter_rows())
    shares = [f"{counts.get(split, 0):,} ({100 * counts.get(split, 0) / questions.height:.1f} %)" for split in SPLITS]
    return [name, *shares, questions.height]
