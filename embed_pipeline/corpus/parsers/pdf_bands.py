"""Bands of a PDF page: rows below one another whose pieces leave gutters free, as columns and tables do."""

import re
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from statistics import median

from embed_pipeline.corpus.parsers.blocks import one_line
from embed_pipeline.corpus.parsers.pdf_page import Piece

_SAME_ROW = 0.55  # of a line's height
_GUTTERS = ((1.7, 2), (0.85, 4))  # of a line's height (1 em is about 0.85), and rows that bear witness
_GUTTER, _GUTTER_ROWS = 0.45, 6  # between columns of prose
_NEXT_LINE = 1.8  # of a line's height: how far a column goes on alone below its neighbour
_SENTENCE_END = re.compile(r"[.!?:;。！？：；؟។]['\"”’)\]]*$")
_WORDS_OF_PROSE = 3
_FULL, _MOSTLY_FULL, _FLOWS = 0.75, 0.55, 0.4
_CASELESS = 10  # characters of a line in a script without capital letters

Interval = tuple[float, float]


@dataclass
class Band:
    """Rows beside and below one another whose pieces leave gutters free, and the place in the stream of each piece."""

    rows: list[list[int]]
    gutters: list[Interval]
    columns: list[list[int]] = field(default_factory=list)
    is_prose: bool = False


class _Extent:
    """Rows as they are added: where their pieces begin and end, and the median of their heights."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._heights: list[float] = []
        self._least, self._most = float("inf"), float("-inf")

    def add(self, row: Sequence[int]) -> None:
        """One row more."""
        for index in row:
            piece = self._pieces[index]
            insort(self._heights, piece.height)
            self._least, self._most = min(self._least, piece.left), max(self._most, piece.right)

    def gutters(self, free: Sequence[Interval]) -> list[Interval]:
        """The free strips with text on both sides, wide enough for a gutter."""
        half = len(self._heights) // 2
        odd = len(self._heights) % 2
        height = self._heights[half] if odd else (self._heights[half - 1] + self._heights[half]) / 2
        least, most = self._least, self._most
        return [one for one in free if one[0] > least and one[1] < most and one[1] - one[0] > _GUTTER * height]


def rows_of(pieces: Sequence[Piece], placed: Sequence[int]) -> list[list[int]]:
    """Indices of the pieces on one line each, from top to bottom, from left to right."""
    rows: list[list[int]] = []
    for index in sorted(placed, key=lambda index: -pieces[index].bottom):
        piece = pieces[index]
        if rows and pieces[rows[-1][0]].bottom - piece.bottom < _SAME_ROW * piece.height:
            rows[-1].append(index)
        else:
            rows.append([index])
    return [sorted(row, key=lambda index: pieces[index].left) for row in rows]


def bands_of(pieces: Sequence[Piece], rows: Sequence[Sequence[int]]) -> list[Band]:
    """The bands among rows that go from top to bottom; a row is in one at most."""
    free = [_free(pieces, row) for row in rows]
    bands: list[Band] = []
    start = 0
    while start < len(rows):
        band = _band_at(pieces, rows, free, start) if len(rows[start]) > 1 else None
        if band is None:
            start += 1
            continue
        bands.append(band)
        start += len(band.rows)
    return bands


def _band_at(
    pieces: Sequence[Piece], rows: Sequence[Sequence[int]], free_of: Sequence[Sequence[Interval]], start: int
) -> Band | None:
    """The rows from ``start`` on that share gutters; ``free_of``: what each row leaves free."""
    end, gutters = _shared(pieces, rows, free_of, start)
    inside = [list(row) for row in rows[start:end]]
    narrow = _band(pieces, inside, gutters, ((_GUTTER, _GUTTER_ROWS), *_GUTTERS))
    if narrow is not None and narrow.is_prose:
        return narrow
    return _band(pieces, inside, gutters, _GUTTERS)


def _shared(
    pieces: Sequence[Piece], rows: Sequence[Sequence[int]], free_of: Sequence[Sequence[Interval]], start: int
) -> tuple[int, list[Interval]]:
    """Where the rows from ``start`` on that share gutters end, and these gutters."""
    extent = _Extent(pieces)
    extent.add(rows[start])
    free = free_of[start]
    gutters = extent.gutters(free)
    end = start + 1
    while end < len(rows):
        extent.add(rows[end])
        narrower = _common(free, free_of[end])
        left = extent.gutters(narrower)
        killed = sum(not any(_overlap(gutter, other) for other in left) for gutter in gutters)
        if not left or (killed and end > start + 1) or _is_far(pieces, rows, end):
            break
        free, gutters, end = narrower, left, end + 1
    while end > start and len(rows[end - 1]) < 2 and not _goes_on(pieces, rows, end - 1):
        end -= 1
    whole = _Extent(pieces)
    for row in rows[start:end]:
        whole.add(row)
    return end, whole.gutters(reduce(_common, free_of[start:end]))


def _band(
    pieces: Sequence[Piece],
    rows: list[list[int]],
    found: Sequence[Interval],
    witnesses: Sequence[tuple[float, int]],
) -> Band | None:
    gutters = _borne_out(pieces, rows, found, witnesses)
    if not gutters:
        return None
    band = Band(rows, gutters)
    band.columns = _columns(pieces, band)
    band.is_prose = all(is_prose(pieces, column) for column in band.columns)
    return band


def _borne_out(
    pieces: Sequence[Piece],
    rows: Sequence[Sequence[int]],
    gutters: Sequence[Interval],
    witnesses: Sequence[tuple[float, int]],
) -> list[Interval]:
    """The gutters with text on both sides in enough rows, in fewer of them where they are wide."""
    if not gutters:
        return []
    ends = [min([pieces[index].right for index in row]) for row in rows]
    begins = [max([pieces[index].left for index in row]) for row in rows]
    height = median(pieces[index].height for row in rows for index in row)
    found = []
    for left, right in gutters:
        both = sum(end <= left + 1 and begin >= right - 1 for end, begin in zip(ends, begins, strict=True))
        if any(right - left >= width * height and both >= needed for width, needed in witnesses):
            found.append((left, right))
    return found


def _is_far(pieces: Sequence[Piece], rows: Sequence[Sequence[int]], row: int) -> bool:
    """Whether a single piece stands far below a band's last row; it is no part of a column then."""
    if len(rows[row]) > 1:
        return False
    above, below = pieces[rows[row - 1][0]], pieces[rows[row][0]]
    return above.bottom - below.bottom > 3 * below.height


def _goes_on(pieces: Sequence[Piece], rows: Sequence[Sequence[int]], row: int) -> bool:
    above, below = pieces[rows[row - 1][0]], pieces[rows[row][0]]
    return above.bottom - below.bottom < _NEXT_LINE * below.height


def _free(pieces: Sequence[Piece], row: Sequence[int]) -> list[Interval]:
    """What the pieces of a row leave free of the page's width."""
    free, at = [], float("-inf")
    for index in row:
        if pieces[index].left > at:
            free.append((at, pieces[index].left))
        at = max(at, pieces[index].right)
    return [*free, (at, float("inf"))]


def _common(some: Sequence[Interval], others: Sequence[Interval]) -> list[Interval]:
    common = [(max(one[0], other[0]), min(one[1], other[1])) for one in some for other in others]
    return [(left, right) for left, right in common if right > left]


def _overlap(one: Interval, other: Interval) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _columns(pieces: Sequence[Piece], band: Band) -> list[list[int]]:
    """Indices of the pieces of each column, from top to bottom."""
    columns: list[list[int]] = [[] for _ in range(len(band.gutters) + 1)]
    for row in band.rows:
        for index in row:
            columns[sum(pieces[index].left >= gutter[1] - 1 for gutter in band.gutters)].append(index)
    return [column for column in columns if column]


def is_prose(pieces: Sequence[Piece], column: Sequence[int]) -> bool:
    """Whether the lines of a column are one text: most of them full, words running on from one to the next."""
    texts = [one_line(pieces[index].text) for index in column]
    widths = [pieces[index].right - pieces[index].left for index in column]
    if len(texts) < 3:
        return False
    full = sum(width >= _FULL * max(widths) for width in widths) / len(widths)
    if not any(character.isupper() or character.islower() for text in texts for character in text):
        return full >= _FULL and median(map(len, texts)) >= _CASELESS
    flows = [not _SENTENCE_END.search(one) and not other[:1].isupper() for one, other in pairwise(texts)]
    words = median(len(text.split()) for text in texts)
    return words >= _WORDS_OF_PROSE and full >= _MOSTLY_FULL and sum(flows) >= _FLOWS * len(flows)
