"""The nouns every stage shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

QUERY_TYPES = ("multi_hop", "structural", "contextual", "keyword", "paraphrase", "inverse_cloze", "imported")
REASONING_TYPES = ("factual", "relational", "inferential", "temporal", "procedural", "causal", "visual")
SPLITS = ("train", "validation", "test")
SetKind = Literal["gold", "synthetic", "general", "validation"]
"""Judged by people; generated with its answers; general knowledge, which shows what was forgotten; for choosing."""
TableRow = Mapping[str, Any]
"""A row of one of the pipeline's tables (:mod:`embed_pipeline.tables`): column -> value."""


def passage_text(title: str, text: str) -> str:
    """What an encoder or BM25 sees of a passage: title, a space, text, as BEIR joins them.

    Source: beir.retrieval.search.dense, ``(title + sep + text).strip()`` with ``sep=" "``.
    """
    return f"{title} {text}".strip()


TITLE_SEPARATOR = " › "
TABLE_HEADING = "| "
"""Begins the part of a title that is the heading row of the table which the passage goes on with."""


def heading_of(title: str) -> str:
    """A passage's title without the heading row of a table in it: what people would call it."""
    parts = title.split(TITLE_SEPARATOR)
    rows = [place for place, part in enumerate(parts) if part.startswith(TABLE_HEADING)]
    return TITLE_SEPARATOR.join(parts[: rows[0]]) if rows else title


@dataclass(frozen=True)
class RetrievalSet:
    """A corpus, queries and relevance judgements, as in a BEIR folder.

    Attributes:
        name: "gold" or the name of a gold set, "synthetic", "validation".
        passages: id -> text as the encoder sees it (:func:`passage_text`).
        queries: id -> text.
        qrels: query id -> {passage id: relevance >= 1}. Every query has at least one.
        query_slices: query id -> {slice name: value}, for example {"query_type": "keyword"}.
        clusters: query id -> what it shares with others that makes them depend on one another: the component of the
            splits, or the document of its passage. A query that is missing stands alone.
        kind: where the judgements come from.
        titles: passage id -> the title with which its text begins, as far as they are known.
        pieces: passage id -> the texts that an encoder reads instead of a passage which it would not see to its end;
            the passage is as near to a query as the nearest of them.
    """

    name: str
    passages: Mapping[str, str]
    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]
    query_slices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)
    kind: SetKind = "gold"
    titles: Mapping[str, str] = field(default_factory=dict)
    pieces: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingRow:
    """One (question, positive) with its hard negatives; texts are as the encoder sees them.

    ``positive_group`` and ``negative_groups`` are the near-duplicate groups of the passages. ``component`` is the
    leak-proof group of the question; its passages are never mined as negatives for it. ``evidence_ids`` are other
    passages of the training set that hold the question's evidence word for word.

    ``document`` is that of the positive. ``evidence_start`` and ``evidence_end`` are the characters of ``positive``
    that the question is about, the same number twice where they were cut out, None where they are not known;
    ``title_length`` is how many of its first characters are its title.
    """

    row_id: str
    question_id: str
    question: str
    positive_id: str
    positive: str
    positive_group: str
    negative_ids: Sequence[str]
    negatives: Sequence[str]
    negative_groups: Sequence[str]
    component: str
    evidence_ids: Sequence[str] = ()
    document: str = ""
    evidence_start: int | None = None
    evidence_end: int | None = None
    title_length: int = 0


CRITERIA = ("relevance", "accuracy", "context_support", "clarity")
"""What a judge scores, 1 to 10 each."""
