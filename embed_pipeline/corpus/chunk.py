"""Documents to passages: whole sentences packed up to a token budget, section by section."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from embed_pipeline.corpus.pieces import CountTokens, Span, cost_of, halves, sentences, within_budget
from embed_pipeline.encoder import EncoderSpec
from embed_pipeline.errors import ModelAccessError
from embed_pipeline.progress import task
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import Passages, empty, validate

TITLE_SEPARATOR = " › "
_DOCUMENTS_AT_ONCE = 200
_TEXTS_AT_ONCE = 4096
_LEAD_IN_CHARS = 80
_PARAGRAPH = re.compile(r"\S(?:.*\S)?(?:\n.*\S)*")
_LINK = re.compile(r"(?:\w+:\s*)?https?://\S+\Z")
_SENTENCE_ENDS = tuple(".!?…。！？।؟")

Row = dict[str, Any]


def token_counter(spec: EncoderSpec) -> Callable[[Sequence[str]], list[int]]:
    """A function that counts the model's tokens of each text, special tokens not included.

    Raises:
        ModelAccessError: the model folder has no readable tokenizer.json.
    """
    from tokenizers import Tokenizer

    path = Path(spec.model) / "tokenizer.json"
    if not path.is_file():
        raise ModelAccessError(f"{path}: missing; passages are measured in tokens of the base model's tokenizer.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises a bare Exception
        raise ModelAccessError(f"{path}: not a readable tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = list(texts[start : start + _TEXTS_AT_ONCE])
            counts.extend(len(found.ids) for found in tokenizer.encode_batch_fast(part, add_special_tokens=False))
        return counts

    return count


def chunk_documents(
    documents: pl.DataFrame, count_tokens: CountTokens, settings: CorpusSettings, whole: bool = False
) -> pl.DataFrame:
    """Cut documents into passages.

    A passage never crosses a section unless the section has fewer than ``min_passage_tokens``, never is a
    heading alone (unless the document is nothing else), and its text is a verbatim slice of the document's.
    Texts in scripts unknown to the tokenizer are bounded by characters as well, see
    :func:`~embed_pipeline.corpus.pieces.cost_of`.

    Args:
        documents: :class:`~embed_pipeline.tables.Documents`.
        count_tokens: texts to token counts, see :func:`token_counter`.
        settings: ``passage_tokens`` and ``min_passage_tokens`` are used.
        whole: one passage per document, whatever its length, with the document's id (BEIR).

    Returns:
        :class:`~embed_pipeline.tables.Passages` in the order of the documents; ``group_id`` is the passage's
        own id until :func:`~embed_pipeline.corpus.dedup.group_near_duplicates` has run.
    """
    rows: list[Row] = []
    with task("cut the documents into passages", documents.height) as running:
        for part in documents.iter_slices(_DOCUMENTS_AT_ONCE):
            batch = part.to_dicts()
            rows.extend(_whole(batch, count_tokens) if whole else _chunk(batch, count_tokens, settings))
            running.advance(len(batch))
    if not rows:
        return empty(Passages)
    return validate(Passages, pl.DataFrame(rows, infer_schema_length=None))


def _whole(batch: Sequence[Row], count_tokens: CountTokens) -> list[Row]:
    counts = count_tokens([document["text"].strip() for document in batch])
    rows = []
    for document, tokens in zip(batch, counts, strict=True):
        passage = _passage(document, 0, 0, len(document["text"]), document["title"])
        rows.append(
            {**passage, "passage_id": document["doc_id"], "group_id": document["doc_id"], "token_count": tokens}
        )
    return rows


def _chunk(batch: Sequence[Row], count_tokens: CountTokens, settings: CorpusSettings) -> list[Row]:
    budget, smallest = settings.passage_tokens, settings.min_passage_tokens
    texts = {index: document["text"] for index, document in enumerate(batch)}
    spans = [span for index, document in enumerate(batch) for span in _units(index, document)]
    # A piece leaves room for a small neighbour, so that none is left alone.
    pieces = within_budget(spans, texts, count_tokens, max(budget - smallest, budget // 2, 1))
    groups = [
        group
        for _, of_document in groupby(pieces, key=lambda piece: piece.document)
        for run in _runs(list(of_document), smallest)
        for group in _pack(run, budget)
    ]
    rows: list[Row] = []
    for group, tokens in _halve_too_long(groups, texts, count_tokens, budget):
        document = batch[group[0].document]
        position = rows[-1]["position"] + 1 if rows and rows[-1]["doc_id"] == document["doc_id"] else 0
        passage = _passage(document, position, group[0].start, group[-1].end, _passage_title(document, group))
        rows.append({**passage, "token_count": tokens})
    return rows


def _passage(document: Row, position: int, start: int, end: int, title: str) -> Row:
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


def _passage_title(document: Row, group: Sequence[Span]) -> str:
    """Document title, and the heading of the section that most of the passage stands in."""
    shares: dict[int, int] = {}
    for piece in group:
        shares[piece.section] = shares.get(piece.section, 0) + piece.cost
    section = max(shares, key=lambda index: (shares[index], -index))
    heading = document["sections"][section]["heading"] if section >= 0 else ""
    parts = [document["title"]] if heading in ("", document["title"]) else [document["title"], heading]
    return TITLE_SEPARATOR.join(part for part in parts if part)


def _units(index: int, document: Row) -> list[Span]:
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


def _section_spans(document: Row) -> list[tuple[int, int, int]]:
    """(start, end of the heading, end) of the text before the first heading and of every section."""
    text, sections = document["text"], document["sections"]
    spans = [(0, 0, sections[0]["start"] if sections else len(text))]
    for section in sections:
        start, heading = section["start"], section["heading"]
        spans.append((start, start + len(heading) * text.startswith(heading, start), section["end"]))
    return spans


def _runs(pieces: Sequence[Span], smallest: int) -> list[list[Span]]:
    """Pieces that may share passages: one section, joined by the next ones while it is too small."""
    runs: list[list[Span]] = []
    for _, of_section in groupby(pieces, key=lambda piece: piece.section):
        section = list(of_section)
        if runs and _cost(runs[-1]) < smallest:
            runs[-1].extend(section)
        else:
            runs.append(section)
    if len(runs) > 1 and _cost(runs[-1]) < smallest:
        last = runs.pop()
        runs[-1].extend(last)
    return runs


def _cost(pieces: Sequence[Span]) -> int:
    return sum(piece.cost for piece in pieces)


def _pack(pieces: Sequence[Span], budget: int) -> list[list[Span]]:
    """Fill passages one after the other; a last one under half the budget shares with the one before."""
    groups: list[list[Span]] = [[]]
    used = 0
    for piece in pieces:
        if groups[-1] and used + piece.cost > budget:
            groups.append([])
            used = 0
        groups[-1].append(piece)
        used += piece.cost
    if len(groups) > 1 and used < budget // 2:
        both = groups[-2] + groups[-1]
        groups[-2:] = _even_halves(both, budget)
    return groups


def _even_halves(pieces: Sequence[Span], budget: int) -> list[list[Span]]:
    """Two groups as equal as the pieces allow, each within the budget where that is possible."""
    total, left = _cost(pieces), 0
    best, best_excess = 1, (float("inf"), float("inf"))
    for place in range(1, len(pieces)):
        left += pieces[place - 1].cost
        larger = max(left, total - left)
        excess = (max(larger - budget, 0), larger)
        if excess <= best_excess:
            best, best_excess = place, excess
    return [list(pieces[:best]), list(pieces[best:])]


def _halve_too_long(
    groups: Sequence[list[Span]], texts: Mapping[int, str], count_tokens: CountTokens, budget: int
) -> list[tuple[list[Span], int]]:
    """Groups in order with the tokens of their text; where joining pieces cost more than their sum, halved."""
    done: list[tuple[list[Span], int]] = []
    waiting = list(groups)
    while waiting:
        passages = [texts[group[0].document][group[0].start : group[-1].end].strip() for group in waiting]
        counted = list(zip(waiting, passages, count_tokens(passages), strict=True))
        waiting = []
        for group, text, tokens in counted:
            if cost_of(text, tokens) <= budget or len(text) == 1:
                done.append((group, tokens))
            elif len(group) > 1:
                waiting.extend(_even_halves(group, budget))
            else:
                waiting.extend([half] for half in halves(group[0], texts[group[0].document]))
    return sorted(done, key=lambda item: (item[0][0].document, item[0][0].start))
