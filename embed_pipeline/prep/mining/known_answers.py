"""Which passages answer a question besides its own positives, as far as anybody knows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from embed_pipeline.retrieval.search import Indices
from embed_pipeline.text.forms import same_text_key

NONE = np.zeros(0, np.int64)


class Groups:
    """Near-duplicate groups of passages.

    Args:
        codes: [passages]; equal numbers for the passages of a group.
    """

    def __init__(self, codes: Indices) -> None:
        self.codes = codes
        self._order = np.argsort(codes, kind="stable")
        self._sorted = codes[self._order]

    def of(self, rows: Indices) -> list[int]:
        """The groups of some passages."""
        return list(dict.fromkeys(self.codes[rows].tolist()))

    def members(self, groups: Sequence[int]) -> Indices:
        """The passages of some groups."""
        first, last = (np.searchsorted(self._sorted, groups, side) for side in ("left", "right"))
        parts = [self._order[start:end] for start, end in zip(first, last, strict=True)]
        return np.concatenate(parts) if parts else NONE


def near_duplicates(positives: Sequence[Indices], groups: Groups) -> list[Indices]:
    """Per question the passages of its positives' near-duplicate groups, the positives excepted."""
    return [np.setdiff1d(groups.members(groups.of(rows)), rows) for rows in positives]


def siblings(
    qa_pairs: pl.DataFrame, questions: Sequence[str], positives_of: Mapping[str, Indices], groups: Groups
) -> list[Indices]:
    """Per question the positives, and their near-duplicates, of the questions related to it.

    Related are questions with the same text, and questions that share a positive or a near-duplicate of one, as the
    hops of one multi-hop question do.

    Args:
        positives_of: of the questions in question; others are looked at no further.
    """
    marks = {name: set(groups.of(rows)) for name, rows in positives_of.items()}
    texts = dict(qa_pairs.select("question_id", "question").iter_rows())
    holders: dict[int | str, list[str]] = defaultdict(list)  # by group and by text
    for name, own in marks.items():
        holders[same_text_key(texts[name])].append(name)
        for mark in own:
            holders[mark].append(name)
    found = []
    for name in questions:
        keys: list[int | str] = [*marks[name], same_text_key(texts[name])]
        related = {group for key in keys for other in holders[key] for group in marks[other]} - marks[name]
        found.append(groups.members(sorted(related)))
    return found


def codes(values: Sequence[str], others: Sequence[str]) -> tuple[Indices, Indices]:
    """Equal numbers for equal values, over both lists."""
    number: dict[str, int] = {}
    first = np.array([number.setdefault(value, len(number)) for value in values], np.int64)
    second = np.array([number.setdefault(value, len(number)) for value in others], np.int64)
    return first, second
