"""What a language model is shown at once: consecutive passages of one document, or of a bundle of related ones."""

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from embed_pipeline.records import TableRow
from embed_pipeline.settings import QueryMix, SdgSettings

SHOWN = ("passage_id", "doc_id", "position", "title", "text", "token_count")


@dataclass(frozen=True)
class Window:
    """Passages that share a prompt.

    Attributes:
        name: what progress and lists of what is set aside call it.
        passages: rows with the columns :data:`SHOWN`; their numbers in the prompt count from 1.
        questions: how many are asked for.
    """

    name: str
    passages: Sequence[TableRow]
    questions: int

    @property
    def doc_ids(self) -> tuple[str, ...]:
        """Its documents, in the order of the passages."""
        return tuple(dict.fromkeys(row["doc_id"] for row in self.passages))

    @property
    def texts(self) -> list[str]:
        """Everything in it that nobody vouches for."""
        return [text for row in self.passages for text in (row["title"], row["text"])]

    def numbered(self) -> list[dict[str, Any]]:
        """The passages as the prompts show them; those of several documents are told apart by a number."""
        documents = {doc_id: number for number, doc_id in enumerate(self.doc_ids, 1)}
        several = len(documents) > 1
        return [
            {
                "number": number,
                "document": documents[row["doc_id"]] if several else None,
                "title": row["title"],
                "text": row["text"],
            }
            for number, row in enumerate(self.passages, 1)
        ]


def shown_passages(passages: pl.DataFrame, window_tokens: int) -> pl.DataFrame:
    """One passage of every near-duplicate group, in the order of the documents.

    A passage far longer than a window (a row of a BEIR corpus may be a whole book) is shown up to twice the
    window's tokens.
    """
    ordered = passages.sort("doc_id", "position", "passage_id").unique("group_id", keep="first", maintain_order=True)
    longest = 2 * window_tokens
    chars = pl.col("text").str.len_chars() * longest // pl.col("token_count").clip(1)
    cut = pl.when(pl.col("token_count") > longest).then(pl.col("text").str.slice(0, chars)).otherwise(pl.col("text"))
    return ordered.select(SHOWN).with_columns(text=cut, token_count=pl.col("token_count").clip(0, longest))


def document_windows(shown: pl.DataFrame, settings: SdgSettings) -> Iterator[Window]:
    """Every document whole, or in as few even windows of about ``window_tokens`` as it takes.

    A document gets ``questions_per_1000_tokens`` and at least ``min_questions_per_document``, divided among
    its windows by their length.

    Args:
        shown: see :func:`shown_passages`.
    """
    for (doc_id,), part in shown.group_by("doc_id", maintain_order=True):
        rows = part.to_dicts()
        tokens = sum(row["token_count"] for row in rows)
        wanted = max(settings.min_questions_per_document, round(settings.questions_per_1000_tokens * tokens / 1000))
        done = asked = 0
        for cut in _cut(rows, settings.window_tokens):
            done += sum(row["token_count"] for row in cut)
            share = max(1, round(wanted * done / max(1, tokens)) - asked)
            asked += share
            yield Window(f"{doc_id} (passages {cut[0]['position']}-{cut[-1]['position']})", cut, share)


def _cut(rows: list[dict[str, Any]], window_tokens: int) -> Iterator[list[dict[str, Any]]]:
    tokens = [row["token_count"] for row in rows]
    target = max(1, sum(tokens)) / max(1, math.ceil(sum(tokens) / window_tokens))
    ends = itertools.accumulate(tokens)
    window_of = [int((end - size / 2) / target) for end, size in zip(ends, tokens, strict=True)]
    for _, part in itertools.groupby(zip(window_of, rows, strict=True), key=lambda pair: pair[0]):
        yield [row for _, row in part]


def query_type_counts(window: Window, mix: QueryMix, max_hops: int) -> dict[str, int]:
    """How many of the window's questions are of each type; the sum is ``window.questions``.

    Whole shares of ``mix`` first, the rest by systematic sampling from a place that the window's own text
    decides, so that over many small windows the shares come out right, and one window's plan does not depend
    on any other. Across documents, and only there, every question is multi_hop (where hops allow it).
    """
    weights = {name: getattr(mix, name) for name in QueryMix.model_fields}
    if max_hops < 2:
        weights["multi_hop"] = 0.0
    elif len(window.doc_ids) > 1:
        weights = {"multi_hop": 1.0}
    if not sum(weights.values()):
        weights = {"contextual": 1.0}
    total = sum(weights.values())
    digest = hashlib.sha256("\0".join(row["text"] for row in window.passages).encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    counts, reached, taken = {}, 0.0, 0
    for name, weight in weights.items():
        reached += window.questions * weight / total
        until = math.floor(reached + place + 1e-9)
        counts[name] = until - taken
        taken = until
    last = max(weights, key=lambda name: (weights[name], name))
    counts[last] += window.questions - taken
    return {name: count for name, count in counts.items() if count > 0}
