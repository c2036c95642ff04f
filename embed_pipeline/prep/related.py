"""Which passages answer a question besides its own positives, as far as anybody knows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from embed_pipeline.prep.text import normalise
from embed_pipeline.search import Indices

NONE = np.zeros(0, np.int64)


def near_duplicates(positives: Sequence[Indices], groups: Sequence[str]) -> list[Indices]:
    """Per question the passages of its positives' near-duplicate groups, the positives excepted."""
    members = rows_by(groups)
    found = []
    for rows in positives:
        near = np.concatenate([members[groups[row]] for row in rows.tolist()])
        found.append(np.setdiff1d(near, rows))
    return found


def siblings(
    qa_pairs: pl.DataFrame, questions: Sequence[str], positives_of: Mapping[str, Indices], groups: Sequence[str]
) -> list[Indices]:
    """Per question the positives, and their near-duplicates, of the questions related to it.

    Related are questions with the same text, and questions that share a positive or a near-duplicate of one, as the
    hops of one multi-hop question do.

    Args:
        positives_of: of the questions in question; others are looked at no further.
    """
    members = rows_by(groups)
    marks = {name: {groups[row] for row in rows.tolist()} for name, rows in positives_of.items()}
    texts = dict(qa_pairs.select("question_id", "question").iter_rows())
    holders: dict[str, list[str]] = defaultdict(list)
    for name, own in marks.items():
        for mark in (*own, f"text {normalise(texts[name])}"):
            holders[mark].append(name)
    found = []
    for name in questions:
        keys = (*marks[name], f"text {normalise(texts[name])}")
        related = {group for key in keys for other in holders[key] for group in marks[other]} - marks[name]
        found.append(np.concatenate([members[group] for group in sorted(related)]) if related else NONE)
    return found


def rows_by(values: Sequence[str]) -> dict[str, Indices]:
    """Value -> the rows that have it."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, value in enumerate(values):
        rows[value].append(row)
    return {value: np.array(found, np.int64) for value, found in rows.items()}


def codes(values: Sequence[str], others: Sequence[str]) -> tuple[Indices, Indices]:
    """Equal numbers for equal values, over both lists."""
    number: dict[str, int] = {}
    first = np.array([number.setdefault(value, len(number)) for value in values], np.int64)
    second = np.array([number.setdefault(value, len(number)) for value in others], np.int64)
    return first, second
