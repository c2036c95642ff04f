"""The characters of a PDF page and their boxes, column by column: most of the time a PDF takes goes by here."""

import ctypes
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_ANGLE_SAMPLE = 40
_FLOATS = 4  # of a box: left, top, right, bottom
_BYTES = _FLOATS * ctypes.sizeof(ctypes.c_float)


@dataclass(frozen=True)
class Glyphs:
    """The characters of a page in the order of the content stream.

    Attributes:
        textpage: of pypdfium2, open.
        characters: one code point for each of PDFium's; white space and line breaks among them.
        left: in points from the left of the page as it is read, as the others; zero for white space.
        quarters: by which most of the page's text is turned, counter-clockwise; the boxes are turned back.
    """

    textpage: Any
    characters: str
    left: list[float]
    bottom: list[float]
    right: list[float]
    top: list[float]
    quarters: int

    def height(self, index: int) -> float:
        """Of the font's box, about 1.2 em."""
        return self.top[index] - self.bottom[index]

    def turned(self, index: int) -> float:
        """Quarters by which a character is turned, other than the most of the page; between -3 and 4."""
        return _angle(self.textpage, index) - self.quarters

    def baseline(self, index: int) -> float:
        """Height of the line on which a character stands; characters of turned pages count by their boxes."""
        import pypdfium2.raw as pdfium

        x, y = ctypes.c_double(), ctypes.c_double()
        found = pdfium.FPDFText_GetCharOrigin(self.textpage, index, ctypes.byref(x), ctypes.byref(y))
        bottom = self.bottom[index]
        return y.value if found and bottom - 1 <= y.value <= self.top[index] + 1 else bottom

    def text(self, part: list[int]) -> str:
        """Characters by their places; a place below zero stands for a space."""
        text = "".join([self.characters[index] if index >= 0 else " " for index in part])
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_glyphs(textpage: Any, width: float, height: float) -> Glyphs:
    """The characters of an open text page of pypdfium2.

    Args:
        width: of the page in points, before its text is turned back; ``height`` likewise.
    """
    characters = _characters(textpage)
    visible = [index for index, character in enumerate(characters) if not character.isspace()]
    quarters = _quarters(textpage, visible)
    boxes = _boxes(textpage, len(characters), visible)
    return Glyphs(textpage, characters, *_turned_back(boxes, quarters, width, height), quarters)


Boxes = tuple[list[float], list[float], list[float], list[float]]
"""Left, bottom, right and top of each character."""


def _characters(textpage: Any) -> str:
    """One code point a character of PDFium; a character beyond the first plane stands as two surrogates there."""
    import pypdfium2.raw as pdfium

    count = textpage.count_chars()
    text: str = textpage.get_text_range() if count else ""
    if len(text) == count:
        return text
    codes = (pdfium.FPDFText_GetUnicode(textpage, index) for index in range(count))
    return "".join(chr(code) if code < 0x110000 else "\ufffd" for code in codes)


def _boxes(textpage: Any, count: int, visible: Sequence[int]) -> Boxes:
    """All boxes in one piece of memory: a quarter of the time that an object for each takes."""
    import pypdfium2.raw as pdfium

    get_box = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
        ctypes.cast(pdfium.FPDFText_GetLooseCharBox, ctypes.c_void_p).value or 0
    )
    boxes = (ctypes.c_float * (_FLOATS * count))()
    page, start = ctypes.cast(textpage.raw, ctypes.c_void_p).value, ctypes.addressof(boxes)
    for index in visible:
        get_box(page, index, start + _BYTES * index)
    values = list(boxes)
    return values[0::_FLOATS], values[3::_FLOATS], values[2::_FLOATS], values[1::_FLOATS]


def _turned_back(boxes: Boxes, quarters: int, width: float, height: float) -> Boxes:
    left, bottom, right, top = boxes
    if quarters == 1:
        return bottom, [width - x for x in right], top, [width - x for x in left]
    if quarters == 2:
        return (
            [width - x for x in right],
            [height - y for y in top],
            [width - x for x in left],
            [height - y for y in bottom],
        )
    if quarters == 3:
        return [height - y for y in top], left, [height - y for y in bottom], right
    return boxes


def _quarters(textpage: Any, visible: Sequence[int]) -> int:
    """How the most of a page's text is turned, counter-clockwise."""
    sample = visible[:: max(len(visible) // _ANGLE_SAMPLE, 1)]
    turns = Counter(round(_angle(textpage, index)) % 4 for index in sample)
    return turns.most_common(1)[0][0] if turns else 0


def _angle(textpage: Any, index: int) -> float:
    """Quarters by which a character is turned, counter-clockwise; PDFium gives clockwise radians."""
    import pypdfium2.raw as pdfium

    return float(-pdfium.FPDFText_GetCharAngle(textpage, index) / (math.pi / 2)) % 4
