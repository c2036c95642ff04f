"""Lines of a PDF page with their place, and the paragraphs they form."""

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from embed_pipeline.corpus.parsers.blocks import clean_text, one_line, unwrap

_SOFT_HYPHENS = "\x02\xad\ufffe"
_HYPHENATED = re.compile(rf"(?<=[^\W\d_])(?:-|[{_SOFT_HYPHENS}])$")
_JOINED = re.compile(rf"(?<=[^\W\d_])[{_SOFT_HYPHENS}]([^\W\d_])")
_BULLET = re.compile(
    r"^\s*(?:[•▪●○◦■□‣⁃*–—-]\s+|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)]\s+\S|\((?:\d{1,3}|[a-z]|[ivx]{1,5})\)\S"
    r"|\d{1,3}(?:\.\d{1,3})*\.\s*[A-Z]\w|\d{1,3}(?:\.\d{1,3})+(?:\s+\S|[A-Z]))"
)
_SENTENCE_END = re.compile(r"[.!?:;。！？：；؟។]['\"”’)\]]*$")
_RULE = re.compile(r"^(?=.*\S)[-_=.*~\s]{3,}$")
_PARAGRAPH_GAP = 1.6
_SHORT_LINE = 0.75


@dataclass(frozen=True)
class Line:
    """A line of text; ``top``, ``bottom``, ``left``, ``right`` in points, zero when unknown."""

    text: str
    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0


@dataclass(frozen=True)
class Page:
    """Lines in reading order; ``width`` is where the longest of them ends."""

    lines: Sequence[Line]
    width: float


def read_page(document: Any, number: int) -> Page:
    """Lines of a page of a pypdfium2 document."""
    page = document[number]
    textpage = page.get_textpage()
    try:
        text = textpage.get_text_range()
        placed = len(text) == textpage.count_chars()
        matches = [match for match in re.finditer(r"[^\r\n]+", text) if not _RULE.match(match.group())]
        lines = [_place(textpage, match) if placed else Line(match.group()) for match in matches]
    finally:
        textpage.close()
        page.close()
    return Page(lines, max((line.right for line in lines), default=0.0))


def _place(textpage: Any, match: re.Match[str]) -> Line:
    text = match.group()
    first = match.start() + len(text) - len(text.lstrip())
    last = match.start() + max(len(text.rstrip()) - 1, 0)
    if first > last:
        return Line(text)
    left, bottom, _, top = _box(textpage, first)
    _, last_bottom, right, last_top = _box(textpage, last)
    return Line(text, max(top, last_top), min(bottom, last_bottom), left, right)


def _box(textpage: Any, index: int) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of a character's box, font height included; zeros when there is none."""
    import pypdfium2.raw as pdfium

    rectangle = pdfium.FS_RECTF()
    if not pdfium.FPDFText_GetLooseCharBox(textpage, index, ctypes.byref(rectangle)):
        return 0.0, 0.0, 0.0, 0.0
    return rectangle.left, rectangle.bottom, rectangle.right, rectangle.top


def paragraphs(pages: Sequence[Page], headings: set[str]) -> list[str]:
    """Join wrapped lines, across pages too; ``headings`` (lower case, one line) stand alone."""
    lines_of: list[list[str]] = []
    previous: Line | None = None
    for page in pages:
        pitch = _pitch(page)
        fresh = True
        for line in page.lines:
            if not line.text.strip():
                previous = None
                continue
            if previous is None or _starts_paragraph(previous, line, page, 0.0 if fresh else pitch, headings):
                lines_of.append([])
            lines_of[-1].append(line.text)
            previous, fresh = line, False
    return [text for text in map(_mend, lines_of) if text]


def _pitch(page: Page) -> float:
    """Usual distance of two lines of a page, zero when unknown."""
    lines = [line for line in page.lines if line.top]
    steps = [above.bottom - below.bottom for above, below in pairwise(lines)]
    return median([step for step in steps if step > 0] or [0.0])


def _starts_paragraph(previous: Line, line: Line, page: Page, pitch: float, headings: set[str]) -> bool:
    """Whether ``line`` begins a paragraph; ``pitch`` is zero across a page break."""
    if one_line(line.text).casefold() in headings or one_line(previous.text).casefold() in headings:
        return True
    if _BULLET.match(line.text):
        return True
    step = previous.bottom - line.bottom
    if pitch and previous.top and line.top and not -pitch / 2 < step < pitch * _PARAGRAPH_GAP:
        return True
    ended = bool(_SENTENCE_END.search(previous.text.rstrip()))
    if page.width and previous.right:
        short = previous.right - previous.left < _SHORT_LINE * (page.width - min(previous.left, line.left))
        return short and (ended or not line.text.lstrip()[:1].islower())
    return ended


def _mend(lines: Sequence[str]) -> str:
    """One paragraph of its lines, words hyphenated at a line end put together ("Co-" and "Branded" with the hyphen)."""
    parts: list[str] = []
    for line in lines:
        text = line.strip()
        if parts and _HYPHENATED.search(parts[-1]) and (text[:1].islower() or text[:1].isupper()):
            parts[-1] = _HYPHENATED.sub(_hyphen_before(text[0]), parts[-1]) + text
        else:
            parts.append(text)
    whole = unwrap("\n".join(parts))  # PDFium has joined some words itself and left a mark
    whole = _JOINED.sub(lambda match: _hyphen_before(match.group(1)) + match.group(1), whole)
    return re.sub(r" {2,}", " ", clean_text(whole))


def _hyphen_before(letter: str) -> str:
    return "-" if letter.isupper() else ""
