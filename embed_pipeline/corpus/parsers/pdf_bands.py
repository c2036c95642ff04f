"""Bands of a PDF page: rows below one another whose pieces leave gutters free, as columns and tables do."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from statistics import median
from typing import NamedTuple

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


class _Room(NamedTuple):
    """What a row leaves free of the page's width, where its pieces begin and end, and their heights."""

    free: list[Interval]
    left: float
    first_end: float
    last_begin: float
    right: float
    heights: list[float]

    @classmethod
    def of(cls, pieces: Sequence[Piece], row: Sequence[int]) -> "_Room":
        lefts, rights = [pieces[index].left for index in row], [pieces[index].right for index in row]
        heights = [pieces[index].height for index in row]
        return cls(_free(pieces, row), lefts[0], min(rights), max(lefts), max(rights), heights)


class _Extent:
    """Rows as they are added: where they begin and end, and the median of the heights of their pieces."""

    def __init__(self, rows: Iterable[_Room]) -> None:
        self._heights: list[float] = []
        self._left, self._right = float("inf"), float("-inf")
        for row in rows:
            self.add(row)

    def add(self, row: _Room) -> None:
        """One row more."""
        self._heights += row.heights
        self._left, self._right = min(self._left, row.left), max(self._right, row.right)

    def gutters(self, free: Sequence[Interval]) -> list[Interval]:
        """The free strips with text on both sides, wide enough for a gutter."""
        self._heights.sort()  # most of it is sorted already
        middle = len(self._heights) // 2
        height = sum(self._heights[middle - 1 + len(self._heights) % 2 : middle + 1]) / (2 - len(self._heights) % 2)
        first, last = self._left, self._right
        return [
            (left, right) for left, right in free if left > first and right < last and right - left > _GUTTER * height
        ]


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
    rooms = [_Room.of(pieces, row) for row in rows]
    bands: list[Band] = []
    start = 0
    while start < len(rows):
        band = _band_at(pieces, rows, rooms, start) if len(rows[start]) > 1 else None
        if band is None:
            start += 1
            continue
        bands.append(band)
        start += len(band.rows)
    return bands


def _band_at(pieces: Sequence[Piece], rows: Sequence[Sequence[int]], rooms: Sequence[_Room], start: int) -> Band | None:
    """The rows from ``start`` on that share gutters."""
    end, gutters = _shared(pieces, rows, rooms, start)
    if not gutters:
        return None
    inside = [list(row) for row in rows[start:end]]
    borne_out = _borne_out(rooms[start:end], gutters)
    narrow = _band(pieces, inside, borne_out, ((_GUTTER, _GUTTER_ROWS), *_GUTTERS))
    if narrow is not None and narrow.is_prose:
        return narrow
    return _band(pieces, inside, borne_out, _GUTTERS)


def _shared(
    pieces: Sequence[Piece], rows: Sequence[Sequence[int]], rooms: Sequence[_Room], start: int
) -> tuple[int, list[Interval]]:
    """Where the rows from ``start`` on that share gutters end, and these gutters."""
    extent = _Extent(rooms[start : start + 1])
    free = rooms[start].free
    gutters = extent.gutters(free)
    end = start + 1
    while end < len(rows):
        extent.add(rooms[end])
        narrower = _common(free, rooms[end].free)
        left = extent.gutters(narrower)
        killed = sum(not any(_overlap(gutter, other) for other in left) for gutter in gutters)
        if not left or (killed and end > start + 1) or _is_far(pieces, rows, end):
            break
        free, gutters, end = narrower, left, end + 1
    while end > start and len(rows[end - 1]) < 2 and not _goes_on(pieces, rows, end - 1):
        end -= 1
    shared = reduce(_common, (room.free for room in rooms[start:end]))
    return end, _Extent(rooms[start:end]).gutters(shared)


def _band(
    pieces: Sequence[Piece],
    rows: list[list[int]],
    borne_out: Sequence[tuple[Interval, float, int]],
    witnesses: Sequence[tuple[float, int]],
) -> Band | None:
    """The band with the gutters that enough rows bear out, fewer of them where a gutter is wide."""
    gutters = [
        gutter
        for gutter, height, both in borne_out
        if any(gutter[1] - gutter[0] >= width * height and both >= needed for width, needed in witnesses)
    ]
    if not gutters:
        return None
    band = Band(rows, gutters)
    band.columns = _columns(pieces, band)
    band.is_prose = all(is_prose(pieces, column) for column in band.columns)
    return band


def _borne_out(rows: Sequence[_Room], gutters: Sequence[Interval]) -> list[tuple[Interval, float, int]]:
    """Gutters, the usual height of a line, and how many rows have text on both sides."""
    height = median([height for row in rows for height in row.heights])
    ends = [(row.first_end, row.last_begin) for row in rows]
    return [
        ((left, right), height, sum([end <= left + 1 and begin >= right - 1 for end, begin in ends]))
        for left, right in gutters
    ]


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
    """What both leave free; the intervals of each are sorted and apart, as are those of the result."""
    common = []
    one, other = 0, 0
    while one < len(some) and other < len(others):
        left, right = some[one]
        begin, end = others[other]
        if right < end:
            one += 1
        else:
            other += 1
        first, last = left if left > begin else begin, right if right < end else end
        if first < last:
            common.append((first, last))
    return common


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
