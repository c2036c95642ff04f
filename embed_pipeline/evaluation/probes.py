"""Questions of other kinds than training saw, made without labels and without a language model.

They are no test set: what they say is whether the generated test may be believed (:mod:`evaluation.trust`).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from embed_pipeline.files import sha256_text
from embed_pipeline.records import RetrievalSet, heading_of

MOST = 200
"""Headings, and queries of a log, that are asked."""
LEAST = 10
"""With fewer headings none is asked: one title of a whole corpus says nothing."""


@dataclass(frozen=True)
class Probes:
    """What is asked besides the test, of the same passages.

    Attributes:
        written: the generated test's questions as they were written, made of the words of their passages.
        reworded: the same reworded (:mod:`embed_pipeline.prep.rewording`).
        headings: headings of the corpus; their passages are those that stand below them.
        log: queries that people typed, without judgements; none without ``eval.query_log``.
    """

    written: RetrievalSet
    reworded: RetrievalSet
    headings: RetrievalSet
    log: RetrievalSet


def as_written(synthetic: RetrievalSet, written: Mapping[str, str]) -> RetrievalSet:
    """A generated test with its questions as they were generated.

    Args:
        written: question id -> the question.
    """
    return replace(synthetic, queries={one: written[one] for one in synthetic.queries})


def build_probes(
    written: RetrievalSet, reworded: RetrievalSet, passages: pl.DataFrame, log: Sequence[str] = ()
) -> Probes:
    """Probes beside a generated test.

    Args:
        written: the generated test in the words of its passages.
        reworded: the same reworded.
        passages: :class:`embed_pipeline.tables.Passages`.
        log: queries that people typed.
    """
    asked = dict(enumerate(_chosen(set(log))))
    return Probes(
        replace(written, name="written"),
        replace(reworded, name="reworded"),
        headings(written.passages, passages),
        RetrievalSet("log", written.passages, {str(number): query for number, query in asked.items()}, {}),
    )


def headings(texts: Mapping[str, str], passages: pl.DataFrame) -> RetrievalSet:
    """Every heading of a document as a question for the passages below it, 200 of them at most; none of fewer than ten.

    A heading that several documents share asks for the passages of all of them.

    Args:
        texts: passage id -> text as the encoder sees it.
        passages: :class:`embed_pipeline.tables.Passages`.
    """
    below: dict[str, dict[str, int]] = defaultdict(dict)
    for passage, title in passages.select("passage_id", "title").sort("passage_id").iter_rows():
        heading = heading_of(title or "").strip()
        if heading:
            below[heading][passage] = 1
    chosen = _chosen(below) if len(below) >= LEAST else []
    asked = {str(number): title for number, title in enumerate(chosen)}
    return RetrievalSet("headings", texts, asked, {name: below[title] for name, title in asked.items()})


def _chosen(names: Collection[str]) -> list[str]:
    """Those with the lowest hashes, so that few change when the corpus does."""
    return sorted(names, key=sha256_text)[:MOST]
