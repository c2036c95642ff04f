"""A PDF page as pieces of lines with their place: what PDFium gives, mended where it parts or joins lines wrongly."""

import ctypes
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from embed_pipeline.corpus.parsers.pdf_raised import Glyph, with_marks

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
_ANGLE_SAMPLE = 40


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


class _Turn(NamedTuple):
    """Quarters by which a page's text is turned, and the size of the page before it is turned back."""

    quarters: int
    width: float
    height: float

    def box(self, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
        if self.quarters == 1:
            return bottom, self.width - right, top, self.width - left
        if self.quarters == 2:
            return self.width - right, self.height - top, self.width - left, self.height - bottom
        if self.quarters == 3:
            return self.height - top, left, self.height - bottom, right
        return left, bottom, right, top


def read_pieces(page: Any) -> RawPage:
    """The pieces of an open page of pypdfium2."""
    textpage = page.get_textpage()
    try:
        characters = _characters(textpage)
        turn = _Turn(_quarters(textpage, characters), *page.get_size())
        if page.get_rotation() % 180:
            turn = turn._replace(width=turn.height, height=turn.width)
        pieces = [_piece(textpage, glyphs, glued, turn) for glyphs, glued in _parts(textpage, characters, turn)]
    finally:
        textpage.close()
    width, height = (turn.height, turn.width) if turn.quarters % 2 else (turn.width, turn.height)
    return RawPage(_shifted([piece for piece in pieces if piece.text.strip()]), width, height)


def _shifted(pieces: Sequence[Piece]) -> list[Piece]:
    """A page box need not begin at zero; nothing depends on where it does, but zero means unknown."""
    return [replace(piece, left=piece.left + 1e-6) if piece.left == 0 else piece for piece in pieces]


def _characters(textpage: Any) -> str:
    """One code point a character of PDFium; a character beyond the first plane stands as two surrogates there."""
    import pypdfium2.raw as pdfium

    count = textpage.count_chars()
    text: str = textpage.get_text_range() if count else ""
    if len(text) == count:
        return text
    codes = (pdfium.FPDFText_GetUnicode(textpage, index) for index in range(count))
    return "".join(chr(code) if code < 0x110000 else "\ufffd" for code in codes)


def _quarters(textpage: Any, characters: str) -> int:
    """How the most of a page's text is turned, counter-clockwise."""
    visible = [index for index, character in enumerate(characters) if not character.isspace()]
    sample = visible[:: max(len(visible) // _ANGLE_SAMPLE, 1)]
    turns = Counter(round(_angle(textpage, index)) % 4 for index in sample)
    return turns.most_common(1)[0][0] if turns else 0


def _angle(textpage: Any, index: int) -> float:
    """Quarters by which a character is turned, counter-clockwise; PDFium gives clockwise radians."""
    import math

    import pypdfium2.raw as pdfium

    return float(-pdfium.FPDFText_GetCharAngle(textpage, index) / (math.pi / 2)) % 4


def _parts(textpage: Any, characters: str, turn: _Turn) -> Iterator[tuple[list[Glyph], bool]]:
    """Glyphs of each piece, and whether it is glued to the one before."""
    import pypdfium2.raw as pdfium

    rectangle = pdfium.FS_RECTF()
    reference, get_box = ctypes.byref(rectangle), pdfium.FPDFText_GetLooseCharBox
    part: list[Glyph] = []
    last = Glyph("", 0, 0, 0, 0, -1)
    broken = space = glued = False
    straight = True  # as the most of the page, not as a note along its margin
    for index, character in enumerate(characters):
        if character in _LINE_BREAKS:
            broken = True
            continue
        if character.isspace():
            space = True
            continue
        found = get_box(textpage, index, reference)
        left, bottom, right, top = rectangle.left, rectangle.bottom, rectangle.right, rectangle.top
        if turn.quarters:
            left, bottom, right, top = turn.box(left, bottom, right, top)
        glyph = Glyph(character, left, bottom, right, top, index) if found else Glyph(character, 0, 0, 0, 0, index)
        near = not broken and bottom == last.bottom and -1 < left - last.right < _CLOSE * (top - bottom)
        if part and not near and (_is_apart(part, glyph, broken) if straight else broken):
            yield part, glued
            part, space, glued = [], False, not broken and last.character not in _MARKS
        elif space and part:
            part.append(Glyph(" ", last.right, last.bottom, last.right, last.top, -1))
        if not part:
            straight = abs(_angle(textpage, index) - turn.quarters) < _UPRIGHT
        part.append(glyph)
        last = glyph
        broken = space = False
    if part:
        yield part, glued


def _is_apart(part: Sequence[Glyph], glyph: Glyph, broken: bool) -> bool:
    """Whether a piece ends before ``glyph``; ``broken``: PDFium has ended its line there."""
    last = part[-1]
    line = max(part[-8:], key=lambda one: one.top - one.bottom)
    height = max(line.top - line.bottom, glyph.top - glyph.bottom, 0.1)
    apart = max(glyph.left - last.right, last.left - glyph.right)
    level = glyph.bottom < line.top - 0.25 * height and glyph.top > line.bottom + 0.25 * height
    if last.character in _MARKS:
        return not level or apart > height
    if not broken:
        if not level:  # letters of turned text stand nearer
            return last.bottom - glyph.bottom > _BELOW * height and glyph.left < last.right
        if _RTL.match(last.character) or _RTL.match(glyph.character):
            return False
        if apart <= _PART * height:
            return False
        return glyph.character.isdecimal() or not ENUMERATOR.match("".join(one.character for one in part[:12]))
    small = min(glyph.top - glyph.bottom, last.top - last.bottom) < 0.9 * height
    return not (level and small and last.right - 0.3 * height < glyph.left < last.right + _NEAR * height)


def _piece(textpage: Any, glyphs: Sequence[Glyph], glued: bool, turn: _Turn) -> Piece:
    heights = Counter([round(glyph.top - glyph.bottom, 1) for glyph in glyphs if glyph.place >= 0])
    usual = max(heights, key=lambda height: (heights[height], height))
    main = next(glyph for glyph in glyphs if glyph.place >= 0 and round(glyph.top - glyph.bottom, 1) == usual)
    upright = len(heights) > 1 and abs(_angle(textpage, main.place) - turn.quarters) < _UPRIGHT
    text, lost = with_marks(textpage, glyphs, main, usual) if upright and not turn.quarters else (_joined(glyphs), ())
    left, right = min([glyph.left for glyph in glyphs]), max([glyph.right for glyph in glyphs])
    return Piece(text, left, main.bottom, right, main.top, glued, lost=lost)


def _joined(glyphs: Sequence[Glyph]) -> str:
    return "".join(glyph.character for glyph in glyphs).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
