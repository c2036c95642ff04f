"""Lines of a PDF to paragraphs, over columns and pages."""

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from embed_pipeline.corpus.parsers.blocks import one_line
from embed_pipeline.corpus.parsers.pdf_hyphens import Hyphens, is_parted
from embed_pipeline.corpus.parsers.pdf_layout import Line

_BULLET = re.compile(
    r"^\s*(?:[•▪●○◦■□‣⁃*–—-]\s+|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)]\s+\S|\((?:\d{1,3}|[a-z]|[ivx]{1,5})\)\S"
    r"|\d{1,3}(?:\.\d{1,3})*\.\s*[A-Z]\w|\d{1,3}(?:\.\d{1,3})+(?:\s+\S|[A-Z]))"
)
_SENTENCE_END = re.compile(r"[.!?:;。！？：；؟។]['\"”’)\]]*$")
_PARAGRAPH_GAP = 1.6
_SHORT_LINE = 0.75
_OTHER_SIZE = 1.2


def paragraphs(pages: Sequence[Sequence[Line]], headings: set[str], hyphens: Hyphens) -> list[str]:
    """Join wrapped lines, across columns and pages too; the rows of a table are one paragraph of a line each.

    Args:
        headings: in lower case on one line; they stand alone.
    """
    lines_of: list[list[Line]] = []
    previous: Line | None = None
    for lines in pages:
        pitch = _pitch(lines)
        fresh = True
        for line in lines:
            if previous is None or _starts_paragraph(previous, line, 0.0 if fresh else pitch, headings):
                lines_of.append([])
            lines_of[-1].append(line)
            previous, fresh = line, False
    return [text for text in (_paragraph(lines, hyphens) for lines in lines_of) if text]


def _paragraph(lines: Sequence[Line], hyphens: Hyphens) -> str:
    if lines[0].is_row:
        return "\n".join(line.text.strip() for line in lines)
    return hyphens.mend([line.text for line in lines])


def _pitch(lines: Sequence[Line]) -> float:
    """Usual distance of two lines of a page, zero when unknown."""
    placed = [line for line in lines if line.top and not line.is_row]
    steps = [above.bottom - below.bottom for above, below in pairwise(placed)]
    return median([step for step in steps if step > 0] or [0.0])


def _starts_paragraph(previous: Line, line: Line, pitch: float, headings: set[str]) -> bool:
    """Whether ``line`` begins a paragraph; ``pitch`` is zero across a page break."""
    if previous.is_row or line.is_row:
        return not (previous.is_row and line.is_row and _same_table(previous, line))
    if one_line(line.text).casefold() in headings or one_line(previous.text).casefold() in headings:
        return True
    if _BULLET.match(line.text):
        return True
    step = previous.bottom - line.bottom
    same_column = previous.begin == line.begin and previous.limit == line.limit
    if pitch and previous.top and line.top and same_column and not -pitch / 2 < step < pitch * _PARAGRAPH_GAP:
        return True
    if _other_size(previous, line):
        return True
    ended = bool(_SENTENCE_END.search(previous.text.rstrip()))
    if previous.limit and previous.right:
        begin = min(previous.left, line.left) if same_column else previous.begin
        short = previous.right - previous.left < _SHORT_LINE * (previous.limit - begin)
        begins = not (line.text.lstrip()[:1].islower() or is_parted(previous.text))
        return (short and (ended or begins)) or (not pitch and begins and _had_room(previous, line))
    return ended


def _other_size(above: Line, below: Line) -> bool:
    sizes = sorted((above.top - above.bottom, below.top - below.bottom))
    return sizes[0] > 0 and sizes[1] > _OTHER_SIZE * sizes[0]


def _had_room(above: Line, below: Line) -> bool:
    """Whether the first word below would have stood on the line above, had its text gone on."""
    text = below.text.strip()
    word = text.split(maxsplit=1)[0]
    return above.limit - above.right > (below.right - below.left) * (len(word) + 2) / len(text)


def _same_table(above: Line, below: Line) -> bool:
    height = above.top - above.bottom
    return -height < above.bottom - below.top < 2 * max(height, below.top - below.bottom)
