"""Documents to passages: whole sentences packed up to a token budget, section by section."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import polars as pl

from embed_pipeline.corpus.chunking.pack import halve_too_long, pack, runs
from embed_pipeline.corpus.chunking.pieces import CountTokens, Span, sentences, within_budget
from embed_pipeline.progress import task
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import Passages, empty, validate

TITLE_SEPARATOR = " › "
_DOCUMENTS_AT_ONCE = 200
_LEAD_IN_CHARS = 80
_PARAGRAPH = re.compile(r"\S(?:.*\S)?(?:\n.*\S)*")
_LINK = re.compile(r"(?:\w+:\s*)?https?://\S+\Z")
_SENTENCE_ENDS = tuple(".!?…。！？।؟")

PassageRow = dict[str, Any]


def chunk_documents(
    documents: pl.DataFrame,
    count_tokens: CountTokens,
    settings: CorpusSettings,
    uncut: bool = False,
    chunks: pl.DataFrame | None = None,
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

    Returns:
        :class:`~embed_pipeline.tables.Passages` in the order of the documents; ``group_id`` is the passage's
        own id until :func:`~embed_pipeline.corpus.near_duplicates.group_near_duplicates` has run.
    """
    given = _spans_by_document(chunks) if chunks is not None else {}
    frames = [empty(Passages)]
    with task("cut the documents into passages", documents.height) as running:
        for part in documents.iter_slices(_DOCUMENTS_AT_ONCE):
            batch = part.to_dicts()
            if uncut:
                rows = _uncut(batch)
            elif chunks is not None:
                rows = _given(batch, given)
            elif settings.chunking == "sentences":
                rows = _groups_of_sentences(batch, settings.sentences_per_passage)
            else:
                rows = _packed(batch, count_tokens, settings)
            frames.append(_counted(rows, count_tokens))
            running.advance(len(batch))
    return validate(Passages, pl.concat(frames))


def _counted(rows: Sequence[PassageRow], count_tokens: CountTokens) -> pl.DataFrame:
    """A table of the rows; tokens are counted where they are not yet known."""
    if rows and "token_count" not in rows[0]:
        counts = count_tokens([row["text"] for row in rows])
        rows = [{**row, "token_count": tokens} for row, tokens in zip(rows, counts, strict=True)]
    return pl.DataFrame(rows, schema=empty(Passages).schema)


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


def _groups_of_sentences(batch: Iterable[PassageRow], size: int) -> list[PassageRow]:
    rows: list[PassageRow] = []
    for document in batch:
        text = document["text"]
        spans = [
            Span(0, section, match.start() + begin, match.start() + end, cost=end - begin)
            for section, (start, _, stop) in enumerate(_section_spans(document), -1)
            for match in _PARAGRAPH.finditer(text, start, stop)
            for begin, end in sentences(match.group(), document["language"])
        ]
        for position, place in enumerate(range(0, len(spans), size)):
            group = spans[place : place + size]
            title = _passage_title(document, group)
            rows.append(_passage(document, position, group[0].start, group[-1].end, title))
    return rows


def _packed(batch: Sequence[PassageRow], count_tokens: CountTokens, settings: CorpusSettings) -> list[PassageRow]:
    budget, smallest = settings.passage_tokens, settings.min_passage_tokens
    texts = {index: document["text"] for index, document in enumerate(batch)}
    spans = [span for index, document in enumerate(batch) for span in _units(index, document)]
    # A piece leaves room for a small neighbour, so that none is left alone.
    pieces = within_budget(spans, texts, count_tokens, max(budget - smallest, budget // 2, 1))
    groups = [
        group
        for _, of_document in groupby(pieces, key=lambda piece: piece.document)
        for run in runs(list(of_document), smallest)
        for group in pack(run, budget)
    ]
    rows: list[PassageRow] = []
    for group, tokens in halve_too_long(groups, texts, count_tokens, budget):
        document = batch[group[0].document]
        position = rows[-1]["position"] + 1 if rows and rows[-1]["doc_id"] == document["doc_id"] else 0
        passage = _passage(document, position, group[0].start, group[-1].end, _passage_title(document, group))
        rows.append({**passage, "token_count": tokens})
    return rows


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


def _passage_title(document: PassageRow, group: Sequence[Span]) -> str:
    """Document title, and the heading of the section that most of the passage stands in."""
    shares: dict[int, int] = {}
    for piece in group:
        shares[piece.section] = shares.get(piece.section, 0) + piece.cost
    section = max(shares, key=lambda index: (shares[index], -index))
    heading = document["sections"][section]["heading"] if section >= 0 else ""
    parts = [document["title"]] if heading in ("", document["title"]) else [document["title"], heading]
    return TITLE_SEPARATOR.join(part for part in parts if part)


def _units(index: int, document: PassageRow) -> list[Span]:
    """Sentences of a document; a heading, or a short paragraph that leads in, is one with the next sentence.

    A mere link under a heading ("Source: https://…") counts as part of the heading.
    The text before the first heading is section -1.
    """
    text, language = document["text"], document["language"]
    units, pending = list[Span](), -1
    for section, (start, body, end) in enumerate(_section_spans(document), -1):
        if body > start and pending < 0:
            pending = start
        paragraphs = [match.span() for match in _PARAGRAPH.finditer(text, body, end)]
        for first, last in paragraphs:
            bare_link = 0 <= pending < body and _LINK.match(text, first, last)
            if bare_link or (pending < 0 and last < paragraphs[-1][1] and _leads_in(text[first:last])):
                pending = pending if bare_link else first
                continue
            for begin, stop in sentences(text[first:last], language):
                units.append(Span(index, section, pending if pending >= 0 else first + begin, first + stop))
                pending = -1
    if pending >= 0 and units:
        units[-1] = replace(units[-1], end=len(text))
    elif pending >= 0:
        units.append(Span(index, 0, pending, len(text)))
    return units


def _leads_in(paragraph: str) -> bool:
    """Whether a paragraph heads the next one: one short line that is no full sentence, or all capitals."""
    if len(paragraph) > _LEAD_IN_CHARS or "\n" in paragraph:
        return False
    return paragraph.isupper() or not paragraph.endswith(_SENTENCE_ENDS)


def _section_spans(document: PassageRow) -> list[tuple[int, int, int]]:
    """(start, end of the heading, end) of the text before the first heading and of every section."""
    text, sections = document["text"], document["sections"]
    spans = [(0, 0, sections[0]["start"] if sections else len(text))]
    for section in sections:
        start, heading = section["start"], section["heading"]
        spans.append((start, start + len(heading) * text.startswith(heading, start), section["end"]))
    return spans
