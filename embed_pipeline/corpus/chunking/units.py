"""What a document is cut at: its sections, paragraphs, sentences and the rows of its tables, read one after the other.

Nothing longer than :data:`STRETCH` characters is looked at as a whole, so that a document of any length costs memory
and time in proportion to it.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from embed_pipeline.corpus.chunking.pieces import Span, sentences
from embed_pipeline.corpus.chunking.table_rows import Table, tables_of

STRETCH = 500_000
"""Characters of a paragraph; a longer one counts as several."""
_LEAD_IN_CHARS = 80
_LONG_ROW = 300
"""Characters of a row of a table above which its cells hold prose, which is cut between sentences."""
_TEXT = re.compile(r"\S")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_LINK = re.compile(r"(?:\w+:\s*)?https?://\S+\Z")
_SENTENCE_ENDS = tuple(".!?…。！？।؟")


def section_spans(document: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """(start, end of the heading, end) of the text before the first heading and of every section."""
    text, sections = document["text"], document["sections"]
    spans = [(0, 0, sections[0]["start"] if sections else len(text))]
    for section in sections:
        start, heading = section["start"], section["heading"]
        spans.append((start, start + len(heading) * text.startswith(heading, start), section["end"]))
    return spans


def paragraphs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of the paragraphs in ``text[start:end]``: lines between blank ones, without blank space around them."""
    while (first := _TEXT.search(text, start, end)) is not None:
        begin = first.start()
        blank = _BLANK_LINE.search(text, begin, end)
        stop = end if blank is None else blank.start()
        start = end if blank is None else blank.end()
        for low, high in _stretches(text, begin, stop):
            low, high = _stripped(text, low, high)
            if low < high:
                yield low, high


def _stretches(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A long paragraph in parts, parted at a line end, else after a sentence, else between words, else anywhere."""
    while end - start > STRETCH:
        least, most = start + STRETCH // 2, start + STRETCH
        places = (text.rfind(mark, least, most) + len(mark) for mark in ("\n", ". ", " "))
        cut = next((place for place in places if place > least), most)
        while cut < end - 1 and unicodedata.category(text[cut]).startswith("M"):
            cut += 1
        yield start, cut
        start = cut
    yield start, end


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while end > start and text[end - 1].isspace():
        end -= 1
    while start < end and text[start].isspace():
        start += 1
    return start, end


def units_of(index: int, document: Mapping[str, Any]) -> Iterator[tuple[bool, Span]]:
    """Sentences of a document, rows of its tables; a heading, or a short paragraph that leads in, is one with the next.

    A mere link under a heading ("Source: https://…") counts as part of the heading, and the heading row of a table is
    one with the row below it. The text before the first heading is section -1.

    Yields:
        Whether a paragraph begins with it, and the unit.
    """
    text, language = document["text"], document["language"]
    pending, held = -1, None
    for section, (start, body, end) in enumerate(section_spans(document), -1):
        if body > start and pending < 0:
            pending = start
        following = paragraphs(text, body, end)
        paragraph = next(following, None)
        while paragraph is not None:
            (first, last), paragraph = paragraph, next(following, None)
            bare_link = 0 <= pending < body and _LINK.match(text, first, last)
            if bare_link or (pending < 0 and paragraph is not None and _leads_in(text, first, last)):
                pending = pending if bare_link else first
                continue
            begins = True
            for begin, stop in _parts(text, first, last, language):
                if held is not None:
                    yield held
                held = begins, Span(index, section, pending if pending >= 0 else begin, stop)
                begins, pending = False, -1
    if pending >= 0:  # a heading with nothing below it
        held = (True, Span(index, 0, pending, len(text))) if held is None else (held[0], _up_to(held[1], len(text)))
    if held is not None:
        yield held


def sentences_of(document: Mapping[str, Any]) -> Iterator[Span]:
    """Every sentence of a document in its order; headings count as sentences."""
    text = document["text"]
    for section, (start, _, end) in enumerate(section_spans(document), -1):
        for first, last in paragraphs(text, start, end):
            for begin, stop in _sentences(text, first, last, document["language"]):
                yield Span(0, section, begin, stop, cost=stop - begin)


def _up_to(span: Span, end: int) -> Span:
    return replace(span, end=end)


def _leads_in(text: str, first: int, last: int) -> bool:
    """Whether a paragraph heads the next one: one short line that is no full sentence, or all capitals."""
    if last - first > _LEAD_IN_CHARS or text.find("\n", first, last) >= 0:
        return False
    paragraph = text[first:last]
    return paragraph.isupper() or not paragraph.endswith(_SENTENCE_ENDS)


def _parts(text: str, first: int, last: int, language: str) -> Iterator[tuple[int, int]]:
    """Sentences of a paragraph, and rows of the tables in it."""
    for table in tables_of(text, first, last):
        yield from _sentences(text, first, table.start, language)
        yield from _rows(text, table, language)
        first = table.end
    yield from _sentences(text, first, last, language)


def _sentences(text: str, first: int, last: int, language: str) -> Iterator[tuple[int, int]]:
    for begin, end in sentences(text[first:last], language):
        yield first + begin, first + end


def _rows(text: str, table: Table, language: str) -> Iterator[tuple[int, int]]:
    start, place = table.start, table.body + 1
    while start < table.end:
        end = text.find("\n", place, table.end)
        end = table.end if end < 0 else end + 1
        if end - place > _LONG_ROW:
            if start < place:  # the heading row stays with the beginning of the first
                parts = list(_sentences(text, place, end, language))
                yield start, parts[0][1]
                yield from parts[1:]
            else:
                yield from _sentences(text, place, end, language)
        else:
            yield start, end
        start = place = end
