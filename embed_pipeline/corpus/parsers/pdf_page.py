"""A PDF page as pieces of lines with their place: what PDFium gives, mended where it parts or joins lines wrongly."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from embed_pipeline.corpus.parsers.pdf_glyphs import Glyphs, read_glyphs
from embed_pipeline.corpus.parsers.pdf_raised import has_small, with_marks

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
    left, bottom, right, top = glyphs.left, glyphs.bottom, glyphs.right, glyphs.top
    part: list[int] = []
    last = 0
    broken = space = glued = False
    straight: bool | None = None  # as the most of the page, not as a note along its margin
    for index, character in enumerate(glyphs.characters):
        if character.isspace():
            broken = broken or character in _LINE_BREAKS
            space = space or character not in _LINE_BREAKS
            continue
        if part:
            base = bottom[index]
            near = not broken and base == bottom[last] and -1 < left[index] - right[last] < _CLOSE * (top[index] - base)
            apart = False if near else _is_apart(glyphs, part, index, broken)
            if not near and apart != broken:
                straight = abs(glyphs.turned(part[0])) < _UPRIGHT if straight is None else straight
                apart = apart if straight else broken
            if apart:
                yield part, glued
                part, straight, glued = [], None, not broken and glyphs.characters[last] not in _MARKS
            elif space:
                part.append(~last)
        space = space and bool(part)
        part.append(index)
        last = index
        broken = space = False
    if part:
        yield part, glued


def _is_apart(glyphs: Glyphs, part: Sequence[int], index: int, broken: bool) -> bool:
    """Whether a piece ends before a character; ``broken``: PDFium has ended its line there."""
    characters, left, bottom, right, top = (glyphs.characters, glyphs.left, glyphs.bottom, glyphs.right, glyphs.top)
    last = part[-1]
    line = max([place if place >= 0 else ~place for place in part[-8:]], key=glyphs.height)
    height = max(glyphs.height(line), glyphs.height(index), 0.1)
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
    small = min(glyphs.height(index), glyphs.height(last)) < 0.9 * height
    return not (level and small and right[last] - 0.3 * height < left[index] < right[last] + _NEAR * height)


def _piece(glyphs: Glyphs, part: list[int], glued: bool) -> Piece:
    left, right, bottom, top = glyphs.left, glyphs.right, glyphs.bottom, glyphs.top
    exact = Counter([top[index] - bottom[index] for index in part if index >= 0])
    heights: Counter[float] = Counter()
    for height, count in exact.items():
        heights[round(height, 1)] += count
    usual = max(heights, key=lambda height: (heights[height], height))
    main = next(index for index in part if index >= 0 and round(top[index] - bottom[index], 1) == usual)
    raised = not glyphs.quarters and has_small(exact, usual) and abs(glyphs.turned(main)) < _UPRIGHT
    text, lost = with_marks(glyphs, part, main, usual) if raised else (glyphs.text(part), ())
    begin = min([left[index] if index >= 0 else right[~index] for index in part])
    end = max([right[index] for index in part if index >= 0])
    return Piece(text, begin, bottom[main], end, top[main], glued, lost=lost)
