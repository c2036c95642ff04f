"""Which passages a chunk of the reference recipe stands for.

Where the corpus was read from the records, a chunk is a passage. Where it was read from the documents
themselves and cut otherwise, the chunk's text is searched in its document, and the passages that hold it count.
"""

import functools
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import polars as pl

from embed_pipeline.formats.sdg_records import ChunkPlace
from embed_pipeline.text.quotations import as_in, find_spans

LEAST_SHARE = 0.3
"""Besides the passage that holds most of a chunk, those that hold this share of it count."""
LEAST_TOGETHER = 0.5
"""Passages that hold less of a chunk than this do not stand for it."""


class NotFoundError(Exception):
    """Why a chunk stands for no passage."""


class Quotation(NamedTuple):
    """A passage, and what of the chunk stands in it, word for word."""

    passage_id: str
    text: str


class _Passage(NamedTuple):
    passage_id: str
    position: int
    start: int
    end: int
    text: str


class ChunkFinder:
    """Finds passages; holds no copy of the tables, and keeps only the last few documents at hand.

    Attributes:
        doc_of: passage id -> document id of every passage found so far.
    """

    def __init__(self, passages: pl.DataFrame, documents: pl.DataFrame) -> None:
        ordered = passages.sort("doc_id", "position", "passage_id")
        self._passages = ordered.select("passage_id", "position", "start", "end", "text")
        counts = ordered.group_by("doc_id", maintain_order=True).len()
        starts = counts["len"].cum_sum() - counts["len"]
        self._rows = dict(zip(counts["doc_id"], zip(starts, counts["len"], strict=True), strict=True))
        self._texts = documents["text"]
        self._row_of = {doc_id: row for row, doc_id in enumerate(documents["doc_id"])}
        self._named: dict[str, list[str]] = defaultdict(list)
        for doc_id in self._row_of:
            self._named[posixpath.basename(doc_id)].append(doc_id)
        self._passages_of = functools.lru_cache(maxsize=32)(self._read_passages)
        self.doc_of: dict[str, str] = {}

    def document(self, name: str) -> str:
        """The document that a record calls ``name``: by its id, else by a path of which one ends with the other.

        Raises:
            NotFoundError: none, or several.
        """
        if name in self._row_of:
            return name
        path = posixpath.normpath(name.replace("\\", "/")).lstrip("/")
        alike = [
            doc_id
            for doc_id in self._named.get(posixpath.basename(path), [])
            if f"/{doc_id}".endswith(f"/{path}") or f"/{path}".endswith(f"/{doc_id}")
        ]
        if path in alike:
            return path
        if len(alike) != 1:
            raise NotFoundError(f"document {name} is {'ambiguous' if alike else 'not in the corpus'}")
        return alike[0]

    def find(self, chunk: ChunkPlace, place: float) -> list[Quotation]:
        """The passages that a chunk stands for, in their order.

        Args:
            place: about where the chunk begins, as a share of its document; decides among several places.

        Raises:
            NotFoundError: the document is unknown, the text does not stand in it, or is torn over many passages.
        """
        doc_id = self.document(chunk.doc_id)
        text = chunk.text.strip()
        quotations = [
            Quotation(passage.passage_id, text)
            for passage in self._passages_of(doc_id)
            if passage.position == chunk.position and passage.text == text
        ]
        quotations = quotations or list(self._holding(chunk, doc_id, place))
        self.doc_of.update((quotation.passage_id, doc_id) for quotation in quotations)
        return quotations

    def _read_passages(self, doc_id: str) -> list[_Passage]:
        first, count = self._rows.get(doc_id, (0, 0))
        return [_Passage(*row) for row in self._passages.slice(first, count).iter_rows()]

    def _holding(self, chunk: ChunkPlace, doc_id: str, place: float) -> Iterator[Quotation]:
        text = self._texts[self._row_of[doc_id]]
        spans = find_spans(text, chunk.text) or find_spans(text, as_in(text, chunk.text) or "")
        if not spans:
            raise NotFoundError(f"chunk {chunk.chunk_id} does not stand word for word in document {doc_id}")
        start, end = min(spans, key=lambda span: abs(span[0] - place * len(text)))
        overlaps = [
            (min(end, passage.end) - max(start, passage.start), passage) for passage in self._passages_of(doc_id)
        ]
        most = max((size for size, _ in overlaps), default=0)
        kept = [
            (size, passage) for size, passage in overlaps if size > 0 and size >= min(most, LEAST_SHARE * (end - start))
        ]
        if sum(size for size, _ in kept) < LEAST_TOGETHER * (end - start):
            raise NotFoundError(
                f"chunk {chunk.chunk_id} of document {doc_id} is spread over many passages; let corpus.path name "
                "the records, or raise corpus.passage_tokens"
            )
        for _, passage in kept:
            part = text[max(start, passage.start) : min(end, passage.end)].strip()
            if part:
                yield Quotation(passage.passage_id, part)


class RecordChunks:
    """The chunks of one record; each is searched once, when it is first cited."""

    def __init__(self, finder: ChunkFinder, chunks: Sequence[ChunkPlace]) -> None:
        self._finder = finder
        self._chunks = {chunk.chunk_id: chunk for chunk in chunks}
        self._place_of = dict(_places(chunks))
        self._quotations_of: dict[int, list[Quotation]] = {}

    def cited(self, chunk_id: int) -> list[Quotation]:
        """See :meth:`ChunkFinder.find`.

        Raises:
            NotFoundError: also for an id that no chunk has.
        """
        if chunk_id not in self._chunks:
            raise NotFoundError(f"it cites segment {chunk_id}, which is no chunk of its record")
        if chunk_id not in self._quotations_of:
            self._quotations_of[chunk_id] = self._finder.find(self._chunks[chunk_id], self._place_of[chunk_id])
        return self._quotations_of[chunk_id]


def _places(chunks: Iterable[ChunkPlace]) -> Iterator[tuple[int, float]]:
    """About where each chunk begins in its document, from 0 to 1, by the lengths of those before it."""
    of_document: dict[str, list[ChunkPlace]] = defaultdict(list)
    for chunk in chunks:
        of_document[chunk.doc_id].append(chunk)
    for group in of_document.values():
        total = sum(len(chunk.text) for chunk in group) or 1
        before = 0
        for chunk in group:
            yield chunk.chunk_id, before / total
            before += len(chunk.text)
