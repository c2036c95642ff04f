"""Documents to passages: whole sentences packed up to a token budget, section by section."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any

import polars as pl

from embed_pipeline.batched import batched
from embed_pipeline.corpus.chunking.kept_cuts import Cut, KeptCuts
from embed_pipeline.corpus.chunking.pack import halve_too_long, pack, runs
from embed_pipeline.corpus.chunking.pieces import CountTokens, Span, within_budget
from embed_pipeline.corpus.chunking.table_rows import Table, heading_row, shorter, table_at, tables_of
from embed_pipeline.corpus.chunking.units import sentences_of, units_of
from embed_pipeline.progress import task
from embed_pipeline.records import TITLE_SEPARATOR
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import Passages, empty, validate

SLAB = 1_000_000
"""Characters cut at once. A longer document is cut slab by slab, parted between paragraphs."""
_DOCUMENTS_AT_ONCE = 200

PassageRow = dict[str, Any]


def chunk_documents(
    documents: pl.DataFrame,
    count_tokens: CountTokens,
    settings: CorpusSettings,
    uncut: bool = False,
    chunks: pl.DataFrame | None = None,
    kept: KeptCuts | None = None,
) -> pl.DataFrame:
    """Cut documents into passages, each a verbatim slice of its document's text.

    With ``chunking`` *tokens* a passage never crosses a section unless the section has fewer than
    ``min_passage_tokens``, and never is a heading alone (unless the document is nothing else). Texts in scripts
    unknown to the tokenizer are bounded by characters as well, see
    :func:`~embed_pipeline.corpus.chunking.pieces.cost_of`. With *sentences* it is ``sentences_per_passage`` sentences
    in a row, over paragraphs and sections and however long, as in the reference recipe.

    Args:
        documents: :class:`~embed_pipeline.tables.Documents`.
        count_tokens: texts to token counts, see :func:`~embed_pipeline.corpus.chunking.tokens.token_counter`.
        settings: ``chunking``, ``passage_tokens``, ``min_passage_tokens``, ``sentences_per_passage`` are used.
        uncut: one passage per document, whatever its length, with the document's id (BEIR, training data).
        chunks: :class:`~embed_pipeline.tables.Chunks`: passages given ready-made (SDG records); nothing is cut.
        kept: where documents were cut before; for these settings and ``count_tokens``.

    Returns:
        :class:`~embed_pipeline.tables.Passages` in the order of the documents; ``group_id`` is the passage's
        own id until :func:`~embed_pipeline.corpus.near_duplicates.group_near_duplicates` has run.
    """
    given = _spans_by_document(chunks) if chunks is not None else {}
    frames = [empty(Passages)]
    with task("cut the documents into passages", documents.height) as running:
        for batch in _batches(documents):
            if uncut:
                parts: Iterable[list[PassageRow]] = [_counted(_uncut(batch), count_tokens)]
            elif chunks is not None:
                parts = [_counted(_given(batch, given), count_tokens)]
            elif kept is not None:
                parts = _cut_or_kept(batch, count_tokens, settings, kept)
            else:
                parts = _cut(batch, count_tokens, settings)
            frames.extend(pl.DataFrame(rows, schema=frames[0].schema) for rows in parts)
            running.advance(len(batch))
    return validate(Passages, pl.concat(frames))


def _batches(documents: pl.DataFrame) -> Iterator[list[PassageRow]]:
    """Documents as rows: as many as make up a slab, at least one."""
    texts = documents["text"]
    lengths = [_size(texts[place]) for place in range(len(texts))]  # polars would copy all of them
    start = 0
    while start < len(lengths):
        stop, size = start + 1, lengths[start]
        while stop < len(lengths) and stop - start < _DOCUMENTS_AT_ONCE and size + lengths[stop] <= SLAB:
            size += lengths[stop]
            stop += 1
        yield documents.slice(start, stop - start).to_dicts()
        start = stop


def _size(text: str) -> int:
    """Bytes of a text, or any number beyond a slab."""
    return len(text) if len(text) > SLAB else len(text.encode("utf-8"))


def _cut(
    batch: Sequence[PassageRow], count_tokens: CountTokens, settings: CorpusSettings
) -> Iterator[list[PassageRow]]:
    """Rows in the order of the documents, some at a time."""
    if settings.chunking == "sentences":
        for rows in _groups_of_sentences(batch, settings.sentences_per_passage):
            yield _counted(rows, count_tokens)
    else:
        yield from _packed(batch, count_tokens, settings)


def _cut_or_kept(
    batch: Sequence[PassageRow], count_tokens: CountTokens, settings: CorpusSettings, kept: KeptCuts
) -> Iterator[list[PassageRow]]:
    """Rows in the order of the documents; what was cut before is not cut again."""
    keys = kept.keys(batch)
    known = kept.known(keys)
    new = {document["doc_id"]: key for document, key in zip(batch, keys, strict=True) if key not in known}
    rows_of: dict[str, list[PassageRow]] = {document["doc_id"]: [] for document in batch}
    for rows in _cut([document for document in batch if document["doc_id"] in new], count_tokens, settings):
        for row in rows:
            rows_of[row["doc_id"]].append(row)
    kept.keep(new, [row for doc_id in new for row in rows_of[doc_id]])
    for document, key in zip(batch, keys, strict=True):
        if document["doc_id"] not in new:
            rows_of[document["doc_id"]] = [_as_cut(document, cut) for cut in known[key]]
    yield [row for document in batch for row in rows_of[document["doc_id"]]]


def _as_cut(document: PassageRow, cut: Cut) -> PassageRow:
    position, start, end, title, tokens = cut
    return {**_passage(document, position, start, end, title), "token_count": tokens}


def _counted(rows: Sequence[PassageRow], count_tokens: CountTokens) -> list[PassageRow]:
    counts = count_tokens([row["text"] for row in rows])
    return [{**row, "token_count": tokens} for row, tokens in zip(rows, counts, strict=True)]


def _uncut(batch: Iterable[PassageRow]) -> list[PassageRow]:
    rows = [_passage(document, 0, 0, len(document["text"]), document["title"]) for document in batch]
    return [{**row, "passage_id": row["doc_id"], "group_id": row["doc_id"]} for row in rows]


def _spans_by_document(chunks: pl.DataFrame) -> dict[str, list[tuple[int, int, int]]]:
    spans: dict[str, list[tuple[int, int, int]]] = {}
    for doc_id, *span in chunks.select("doc_id", "position", "start", "end").sort("doc_id", "position").iter_rows():
        spans.setdefault(doc_id, []).append((span[0], span[1], span[2]))
    return spans


def _given(batch: Iterable[PassageRow], spans: Mapping[str, Sequence[tuple[int, int, int]]]) -> list[PassageRow]:
    return [_passage(document, *span, document["title"]) for document in batch for span in spans[document["doc_id"]]]


def _groups_of_sentences(batch: Iterable[PassageRow], size: int) -> Iterator[list[PassageRow]]:
    for document in batch:
        tables = tables_of(document["text"])
        spans = sentences_of(document)
        position = 0
        for group in batched(spans, size * _DOCUMENTS_AT_ONCE):
            rows = []
            for some in batched(group, size):
                title = _title(document, some, _heading(document["text"], tables, some[0].start))
                rows.append(_passage(document, position, some[0].start, some[-1].end, title))
                position += 1
            yield rows


def _packed(
    batch: Sequence[PassageRow], count_tokens: CountTokens, settings: CorpusSettings
) -> Iterator[list[PassageRow]]:
    cutter = _Cutter(batch, count_tokens, settings)
    for units in _slabs(batch):
        yield cutter.cut(units)


def _slabs(batch: Sequence[PassageRow]) -> Iterator[list[Span]]:
    """The units of the documents, one after the other, at most about a slab at once; a document of several slabs is
    parted where a paragraph begins.
    """
    slab: list[Span] = []
    for begins, unit in chain.from_iterable(units_of(index, document) for index, document in enumerate(batch)):
        same = slab and slab[0].document == unit.document
        if begins and same and unit.end - slab[0].start > SLAB:
            yield slab
            slab = []
        slab.append(unit)
    if slab:
        yield slab


class _Cutter:
    """Cuts the units of some documents, and numbers the passages of each."""

    def __init__(self, batch: Sequence[PassageRow], count_tokens: CountTokens, settings: CorpusSettings) -> None:
        self._batch, self._count = batch, count_tokens
        self._budget, self._smallest = settings.passage_tokens, settings.min_passage_tokens
        self._texts = {index: document["text"] for index, document in enumerate(batch)}
        self._tables = {index: tables_of(text) for index, text in self._texts.items()}
        self._headings: dict[tuple[int, int], tuple[str, int]] = {}
        self._next = [0] * len(batch)

    def cut(self, units: Sequence[Span]) -> list[PassageRow]:
        # A piece leaves room for a small neighbour, so that none is left alone.
        limit = max(self._budget - self._smallest, self._budget // 2, 1)
        pieces = within_budget(units, self._texts, self._count, lambda span: max(limit - self._lead(span), 1))
        groups = [
            group
            for _, of_document in groupby(pieces, key=lambda piece: piece.document)
            for run in runs(list(of_document), self._smallest)
            for group in pack(run, self._budget, self._lead)
        ]
        halved = halve_too_long(groups, self._texts, self._count, self._budget, self._lead)
        return [self._row(group, tokens) for group, tokens in halved]

    def _row(self, group: Sequence[Span], tokens: int) -> PassageRow:
        index = group[0].document
        document, position = self._batch[index], self._next[index]
        self._next[index] += 1
        title = _title(document, group, self._heading(group[0])[0])
        return {**_passage(document, position, group[0].start, group[-1].end, title), "token_count": tokens}

    def _lead(self, span: Span) -> int:
        """Tokens of the heading row that goes with a passage which begins with this piece."""
        return self._heading(span)[1]

    def _heading(self, span: Span) -> tuple[str, int]:
        """That row, and its tokens: at most half of the budget, further cells are left out."""
        tables = self._tables[span.document]
        table = table_at(tables, span.start) if tables else None
        if table is None:
            return "", 0
        key = span.document, table.start
        if key not in self._headings:
            self._headings[key] = self._fitting(heading_row(self._texts[span.document], table))
        return self._headings[key]

    def _fitting(self, row: str) -> tuple[str, int]:
        (tokens,) = self._count([row])
        while tokens > self._budget // 2 and shorter(row) != row:
            row = shorter(row)
            (tokens,) = self._count([row])
        return (row, tokens) if tokens <= self._budget // 2 else ("", 0)


def _heading(text: str, tables: Sequence[Table], place: int) -> str:
    table = table_at(tables, place)
    return heading_row(text, table) if table is not None else ""


def _passage(document: PassageRow, position: int, start: int, end: int, title: str) -> PassageRow:
    """A row without its token count; the span is narrowed to the text without blank space around it."""
    raw = document["text"][start:end]
    start += len(raw) - len(raw.lstrip())
    text = raw.strip()
    passage_id = f"{document['doc_id']}#{position:04d}"
    return {
        "passage_id": passage_id,
        "doc_id": document["doc_id"],
        "position": position,
        "start": start,
        "end": start + len(text),
        "title": title,
        "text": text,
        "group_id": passage_id,
        "language": document["language"],
    }


def _title(document: PassageRow, group: Sequence[Span], heading_row: str) -> str:
    """Document title, the heading of the section that most of the passage stands in, and the heading row of the table
    that the passage goes on with.
    """
    shares: dict[int, int] = {}
    for piece in group:
        shares[piece.section] = shares.get(piece.section, 0) + piece.cost
    section = max(shares, key=lambda index: (shares[index], -index))
    heading = document["sections"][section]["heading"] if section >= 0 else ""
    parts = [document["title"], heading if heading != document["title"] else "", heading_row]
    return TITLE_SEPARATOR.join(part for part in parts if part)
