"""A PDF page as pieces of lines with their place: what PDFium gives, mended where it parts or joins lines wrongly."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import sub
from typing import Any, NamedTuple

from embed_pipeline.corpus.parsers.pdf_glyphs import Glyphs, read_glyphs
from embed_pipeline.corpus.parsers.pdf_raised import is_small, with_marks

HYPHEN_MARK = "\x02"
"""What PDFium writes for a hyphen at the end of a line."""
_MARKS = "\x02\xad\ufffe"
_LINE_BREAKS = "\r\n"
_RTL = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
ENUMERATOR = re.compile(
    r"^\s*(?:[•▪●○◦■□‣⁃*–—·§o-]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\d{1,3}(?:\.\d{1,3})+\.?)\s*$"
)
_PART = 0.5  # of a line's height, more than a space between words: a wider one parts pieces
_BELOW = 0.8
_UPRIGHT = 0.05  # quarters
_CLOSE = 0.4  # not worth a closer look
_NEAR = 0.6


@dataclass(frozen=True, slots=True)
class Piece:
    """A line, or what stands of one between wide spaces.

    Attributes:
        text: in logical order.
        left: in points from the left of the page as it is read, as the others; all zero where the place is unknown.
        bottom: of the font's box, as ``top``.
        glued: it follows the piece before it on the same line of the content stream.
        stands_alone: it goes on in no other line, as a field of a form.
        lost: marks of notes that its text leaves out.
    """

    text: str
    left: float = 0.0
    bottom: float = 0.0
    right: float = 0.0
    top: float = 0.0
    glued: bool = False
    stands_alone: bool = False
    lost: tuple[str, ...] = ()

    @property
    def height(self) -> float:
        """Of the font's box, about 1.2 em."""
        return self.top - self.bottom

    @property
    def placed(self) -> bool:
        """Whether it stands upright at a known place."""
        return self.height > 0 and self.right - self.left > 0.1 * self.height


class RawPage(NamedTuple):
    """Pieces in the order of the content stream; size in points as the page is read."""

    pieces: Sequence[Piece]
    width: float
    height: float


def read_pieces(page: Any) -> RawPage:
    """The pieces of an open page of pypdfium2."""
    width, height = page.get_size()
    if page.get_rotation() % 180:
        width = height
    textpage = page.get_textpage()
    try:
        glyphs = read_glyphs(textpage, width, height)
        pieces = [_piece(glyphs, part, glued) for part, glued in _parts(glyphs)]
    finally:
        textpage.close()
    if glyphs.quarters % 2:
        width, height = height, width
    return RawPage(_shifted([piece for piece in pieces if piece.text.strip()]), width, height)


def _shifted(pieces: Sequence[Piece]) -> list[Piece]:
    """A page box need not begin at zero; nothing depends on where it does, but zero means unknown."""
    return [replace(piece, left=piece.left + 1e-6) if piece.left == 0 else piece for piece in pieces]


def _parts(glyphs: Glyphs) -> Iterator[tuple[list[int], bool]]:
    """Places of the characters of each piece, and whether it is glued to the one before.

    A place below zero is a space: the complement of the place of the character before it.
    """
    part: list[int] = []
    last, last_bottom, last_right = 0, 0.0, 0.0
    broken = space = glued = False
    straight: bool | None = None  # as the most of the page, not as a note along its margin
    columns = zip(glyphs.characters, glyphs.left, glyphs.bottom, glyphs.right, glyphs.top, strict=True)
    for index, (character, left, bottom, right, top) in enumerate(columns):
        if character.isspace():
            broken = broken or character in _LINE_BREAKS
            space = space or character not in _LINE_BREAKS
            continue
        if part:
            near = not broken and bottom == last_bottom and -1 < left - last_right < _CLOSE * (top - bottom)
            apart = False if near else _is_apart(glyphs, part, index, broken)
            if not near and apart != broken:
                straight = abs(glyphs.turned(part[0])) < _UPRIGHT if straight is None else straight
                apart = apart if straight else broken
            if apart:
                yield part, glued
                part, straight, glued = [], None, not broken and glyphs.characters[last] not in _MARKS
            elif space:
                part.append(~last)
        part.append(index)
        last, last_bottom, last_right = index, bottom, right
        broken = space = False
    if part:
        yield part, glued


def _is_apart(glyphs: Glyphs, part: Sequence[int], index: int, broken: bool) -> bool:
    """Whether a piece ends before a character; ``broken``: PDFium has ended its line there."""
    characters, left, bottom, right, top = (glyphs.characters, glyphs.left, glyphs.bottom, glyphs.right, glyphs.top)
    last = part[-1]
    before = [place if place >= 0 else ~place for place in part[-8:]]
    heights = [top[place] - bottom[place] for place in before]
    tallest, own = max(heights), top[index] - bottom[index]
    line = before[heights.index(tallest)]
    height = max(tallest, own, 0.1)
    apart = max(left[index] - right[last], left[last] - right[index])
    level = bottom[index] < top[line] - 0.25 * height and top[index] > bottom[line] + 0.25 * height
    if characters[last] in _MARKS:
        return not level or apart > height
    if not broken:
        if not level:  # letters of turned text stand nearer
            return bottom[last] - bottom[index] > _BELOW * height and left[index] < right[last]
        if _RTL.match(characters[last]) or _RTL.match(characters[index]):
            return False
        if apart <= _PART * height:
            return False
        return characters[index].isdecimal() or not ENUMERATOR.match(
            "".join([characters[place] if place >= 0 else " " for place in part[:12]])
        )
    small = min(own, heights[-1]) < 0.9 * height
    return not (level and small and right[last] - 0.3 * height < left[index] < right[last] + _NEAR * height)


def _piece(glyphs: Glyphs, part: list[int], glued: bool) -> Piece:
    seen = [index for index in part if index >= 0] if min(part) < 0 else part
    begin, end = seen[0], seen[-1] + 1
    if len(seen) == end - begin:
        columns = (column[begin:end] for column in (glyphs.left, glyphs.bottom, glyphs.right, glyphs.top))
    else:
        columns = ([column[at] for at in seen] for column in (glyphs.left, glyphs.bottom, glyphs.right, glyphs.top))
    left, bottom, right, top = columns
    heights = list(map(sub, top, bottom))
    smallest = min(heights)
    if smallest == max(heights):
        return Piece(glyphs.text(part), min(left), bottom[0], max(right), top[0], glued)
    main, usual = _main(heights)
    raised = not glyphs.quarters and is_small(smallest, usual) and abs(glyphs.turned(seen[main])) < _UPRIGHT
    text, lost = with_marks(glyphs, part, seen[main], usual) if raised else (glyphs.text(part), ())
    return Piece(text, min(left), bottom[main], max(right), top[main], glued, lost=lost)


def _main(heights: Sequence[float]) -> tuple[int, float]:
    """The place of the first character of a piece's own size, and that size, to a tenth of a point: the usual one."""
    tenths = {height: round(height, 1) for height in set(heights)}
    rounded = [tenths[height] for height in heights]
    counts = {height: rounded.count(height) for height in set(rounded)}
    usual = max(counts, key=lambda height: (counts[height], height))
    return rounded.index(usual), usual
