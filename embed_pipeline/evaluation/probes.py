"""Questions of other kinds than training saw, made without labels and without a language model.

They are no test set: what they say is whether the generated test may be believed (:mod:`evaluation.trust`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from embed_pipeline.records import RetrievalSet

MOST = 200
"""Headings, and queries of a log, that are asked."""
LEAST = 10
"""With fewer headings none is asked: one title of a whole corpus says nothing."""


@dataclass(frozen=True)
class Probes:
    """What is asked besides the test.

    Attributes:
        own_words: the generated test's questions as they were written, made of the words of their passages.
        other_words: the same in other words (:mod:`embed_pipeline.prep.rewording`).
        headings: headings of the corpus; their passages are those that stand below them.
        log: queries that people typed, without judgements; empty without ``eval.query_log``.
    """

    own_words: RetrievalSet
    other_words: RetrievalSet
    headings: RetrievalSet
    log: Mapping[str, str] = field(default_factory=dict)


def in_own_words(synthetic: RetrievalSet, written: Mapping[str, str]) -> RetrievalSet:
    """A generated test with its questions as they were generated.

    Args:
        written: question id -> the question.
    """
    return replace(synthetic, queries={one: written[one] for one in synthetic.queries})


def build_probes(own: RetrievalSet, other: RetrievalSet, passages: pl.DataFrame, log: Sequence[str] = ()) -> Probes:
    """Probes beside a generated test.

    Args:
        own: the generated test in the words of its passages.
        other: the same in other words.
        passages: :class:`embed_pipeline.tables.Passages`.
        log: queries that people typed.
    """
    asked = _chosen(set(log))
    return Probes(
        replace(own, name="own_words"),
        replace(other, name="other_words"),
        headings(own.passages, passages),
        {f"log-{number}": query for number, query in enumerate(asked)},
    )


def headings(texts: Mapping[str, str], passages: pl.DataFrame) -> RetrievalSet:
    """Every heading of a document as a question for the passages below it, 200 of them at most; none below ten.

    A heading that several documents share asks for the passages of all of them.

    Args:
        texts: passage id -> text as the encoder sees it.
        passages: :class:`embed_pipeline.tables.Passages`.
    """
    below: dict[str, dict[str, int]] = defaultdict(dict)
    document: dict[str, str] = {}
    rows = passages.select("passage_id", "doc_id", "title").sort("passage_id").iter_rows()
    for passage, doc, title in rows:
        if title and title.strip():
            below[title][passage] = 1
            document.setdefault(title, doc)
    chosen = _chosen(below) if len(below) >= LEAST else []
    named = {f"heading-{number}": title for number, title in enumerate(chosen)}
    return RetrievalSet(
        "headings",
        texts,
        named,
        {name: below[title] for name, title in named.items()},
        clusters={name: document[title] for name, title in named.items()},
        kind="synthetic",
    )


def _chosen(names: Collection[str]) -> list[str]:
    """Those with the lowest hashes, so that few change when the corpus does."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:MOST]
