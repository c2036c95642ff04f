"""Pieces of a page to lines in reading order: columns one after the other, a table's row on a line."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from statistics import median

from embed_pipeline.corpus.parsers.blocks import one_line
from embed_pipeline.corpus.parsers.pdf_page import Piece
from embed_pipeline.corpus.parsers.pdf_tables import NUMBER, table_lines

_SAME_ROW = 0.55  # of a line's height
_GUTTERS = ((1.7, 2), (0.85, 4))  # of a line's height (1 em is about 0.85), and rows that bear witness
_GUTTER, _GUTTER_ROWS = 0.45, 6  # between columns of prose
_MANY_ROWS = 4
_FEWEST_ROWS = 3
_NEXT_LINE = 1.8  # of a line's height: how far a column goes on alone below its neighbour
_SENTENCE_END = re.compile(r"[.!?:;。！？：；؟។]['\"”’)\]]*$")
_WORDS_OF_PROSE = 3
_FULL, _MOSTLY_FULL, _FLOWS = 0.75, 0.55, 0.4
_CASELESS = 10  # characters of a line in a script without capital letters

Interval = tuple[float, float]
Mend = Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in its column.

    Attributes:
        text: of it, without marks of notes.
        top: of the font's box in points, zero when unknown, as the others.
        left: where the line begins; ``begin`` and ``limit`` are where its column does and ends.
        is_row: of a table, or of a form.
    """

    text: str
    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0
    begin: float = 0.0
    limit: float = 0.0
    is_row: bool = False


@dataclass
class Band:
    """Rows beside and below one another whose pieces leave gutters free, and the place in the stream of each piece."""

    rows: list[list[int]]
    gutters: list[Interval]
    columns: list[list[int]] = field(default_factory=list)
    is_prose: bool = False


def lines_of(pieces: Sequence[Piece], mend: Mend) -> list[Line]:
    """Lines in reading order.

    The order of the content stream stands, but where it goes across columns, and for what was drawn out of its place.

    Args:
        mend: puts the lines of a table's cell together.
    """
    placed = [index for index, piece in enumerate(pieces) if piece.placed]
    rows = _rows(pieces, placed)
    units: list[tuple[int, list[Line]]] = []
    taken: set[int] = set()
    for band in _bands(pieces, rows):
        inside = [index for row in band.rows for index in row]
        taken.update(inside)
        units.append((min(inside), _band_lines(pieces, band, mend)))
    single = _glued(pieces, [index for index in range(len(pieces)) if index not in taken])
    units += [(part[0], [_line([pieces[index] for index in part])]) for part in single]
    limit = max((pieces[index].right for index in placed if index not in taken), default=0.0)
    begin = min((pieces[index].left for index in placed if index not in taken), default=0.0)
    return [_in_column(line, begin, limit) for _, lines in _in_order(units) for line in lines]


def _in_column(line: Line, begin: float, limit: float) -> Line:
    if line.limit:
        return line
    return Line(line.text, line.top, line.bottom, line.left, line.right, begin, limit, line.is_row)


def _in_order(units: Sequence[tuple[int, list[Line]]]) -> list[tuple[int, list[Line]]]:
    """In the order of the stream; from top to bottom, where what stands below comes first in it."""
    streamed = sorted(units, key=lambda unit: unit[0])
    if not all(lines[0].top for _, lines in streamed):
        return streamed
    jumps = [(before[1], after[1]) for before, after in pairwise(streamed) if _above(after[1], before[1])]
    if not jumps or not all(_one_column(*jump) for jump in jumps):
        return streamed
    return sorted(units, key=lambda unit: -max(line.top for line in unit[1]))


def _above(after: Sequence[Line], before: Sequence[Line]) -> bool:
    return min(line.bottom for line in after) > max(line.bottom for line in before) + 1


def _one_column(one: Sequence[Line], other: Sequence[Line]) -> bool:
    """Whether they stand below one another, not side by side."""
    left, right = (max(min(line.left for line in lines) for lines in (one, other))), 0.0
    right = min(max(line.right for line in lines) for lines in (one, other))
    widths = [max(line.right for line in lines) - min(line.left for line in lines) for lines in (one, other)]
    return right - left > 0.5 * min(widths)


def _rows(pieces: Sequence[Piece], placed: Sequence[int]) -> list[list[int]]:
    """Indices of the pieces on one line each, from top to bottom, from left to right."""
    rows: list[list[int]] = []
    for index in sorted(placed, key=lambda index: -pieces[index].bottom):
        piece = pieces[index]
        if rows and pieces[rows[-1][0]].bottom - piece.bottom < _SAME_ROW * piece.height:
            rows[-1].append(index)
        else:
            rows.append([index])
    return [sorted(row, key=lambda index: pieces[index].left) for row in rows]


def _bands(pieces: Sequence[Piece], rows: Sequence[Sequence[int]]) -> list[Band]:
    bands: list[Band] = []
    start = 0
    while start < len(rows):
        band = _band_at(pieces, rows, start) if len(rows[start]) > 1 else None
        if band is None:
            start += 1
            continue
        bands.append(band)
        start += len(band.rows)
    return bands


def _band_at(pieces: Sequence[Piece], rows: Sequence[Sequence[int]], start: int) -> Band | None:
    """The rows from ``start`` on that share gutters."""
    free = _free(pieces, rows[start])
    gutters = _gutters(pieces, rows[start : start + 1], free)
    end = start + 1
    while end < len(rows):
        narrower = _common(free, _free(pieces, rows[end]))
        left = _gutters(pieces, rows[start : end + 1], narrower)
        killed = sum(not any(_overlap(gutter, other) for other in left) for gutter in gutters)
        if not left or (killed and end > start + 1) or _is_far(pieces, rows, end):
            break
        free, gutters, end = narrower, left, end + 1
    while end > start and len(rows[end - 1]) < 2 and not _goes_on(pieces, rows, end - 1):
        end -= 1
    inside = [list(row) for row in rows[start:end]]
    free = reduce(_common, (_free(pieces, row) for row in inside))
    found = _gutters(pieces, inside, free)
    narrow = _band(pieces, inside, found, ((_GUTTER, _GUTTER_ROWS), *_GUTTERS))
    if narrow is not None and narrow.is_prose:
        return narrow
    return _band(pieces, inside, found, _GUTTERS)


def _band(
    pieces: Sequence[Piece],
    rows: list[list[int]],
    found: Sequence[Interval],
    witnesses: Sequence[tuple[float, int]],
) -> Band | None:
    gutters = [gutter for gutter in found if _is_borne_out(pieces, rows, gutter, witnesses)]
    if not gutters:
        return None
    band = Band(rows, gutters)
    band.columns = _columns(pieces, band)
    band.is_prose = all(_is_prose(pieces, column) for column in band.columns)
    return band


def _is_far(pieces: Sequence[Piece], rows: Sequence[Sequence[int]], row: int) -> bool:
    """Whether a single piece stands far below a band's last row; it is no part of a column then."""
    if len(rows[row]) > 1:
        return False
    above, below = pieces[rows[row - 1][0]], pieces[rows[row][0]]
    return above.bottom - below.bottom > 3 * below.height


def _goes_on(pieces: Sequence[Piece], rows: Sequence[Sequence[int]], row: int) -> bool:
    above, below = pieces[rows[row - 1][0]], pieces[rows[row][0]]
    return above.bottom - below.bottom < _NEXT_LINE * below.height


def _is_borne_out(
    pieces: Sequence[Piece],
    rows: Sequence[Sequence[int]],
    gutter: Interval,
    witnesses: Sequence[tuple[float, int]],
) -> bool:
    """Whether enough rows have text on both sides of a gutter, fewer of them where it is wide."""
    both = sum(
        any(pieces[index].right <= gutter[0] + 1 for index in row)
        and any(pieces[index].left >= gutter[1] - 1 for index in row)
        for row in rows
    )
    height = median(pieces[index].height for row in rows for index in row)
    return any(gutter[1] - gutter[0] >= width * height and both >= needed for width, needed in witnesses)


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


def _gutters(pieces: Sequence[Piece], rows: Sequence[Sequence[int]], free: Sequence[Interval]) -> list[Interval]:
    """The free strips with text on both sides, wide enough for a gutter."""
    every = [index for row in rows for index in row]
    height = median(pieces[index].height for index in every)
    least, most = min(pieces[index].left for index in every), max(pieces[index].right for index in every)
    return [(left, right) for left, right in free if left > least and right < most and right - left > _GUTTER * height]


def _columns(pieces: Sequence[Piece], band: Band) -> list[list[int]]:
    """Indices of the pieces of each column, from top to bottom."""
    columns: list[list[int]] = [[] for _ in range(len(band.gutters) + 1)]
    for row in band.rows:
        for index in row:
            columns[sum(pieces[index].left >= gutter[1] - 1 for gutter in band.gutters)].append(index)
    return [column for column in columns if column]


def _band_lines(pieces: Sequence[Piece], band: Band, mend: Mend) -> list[Line]:
    column_of = {index: number for number, column in enumerate(band.columns) for index in column}
    streamed = sorted(column_of)
    switches = sum(column_of[one] != column_of[other] for one, other in pairwise(streamed))
    several = sum(len({column_of[index] for index in row}) > 1 for row in band.rows)
    one_by_one = switches <= len(band.columns) - 1 + (several > 2 * _MANY_ROWS)
    if one_by_one and not _is_grid(pieces, band):
        return _text_columns(pieces, _by_stream(streamed, column_of))
    across = switches >= 0.8 * several * (len(band.columns) - 1)
    if across and band.is_prose:
        return _text_columns(pieces, band.columns)
    cells = [[pieces[index] for index in column] for column in band.columns]
    rows = table_lines(cells, mend)
    return [_row_line(text, row) for text, row in rows]


def _is_grid(pieces: Sequence[Piece], band: Band) -> bool:
    """Whether every row fills every column with something short, and there are many columns or one of numbers."""
    whole = all(len(column) == len(band.rows) for column in band.columns) and len(band.rows) >= _FEWEST_ROWS
    numbers = any(
        sum(bool(NUMBER.match(pieces[index].text.strip())) for index in column) > len(column) / 2
        for column in band.columns
    )
    if not whole or any(_is_prose(pieces, column) for column in band.columns):
        return False
    return numbers or len(band.columns) > 2


def _row_line(text: str, row: Sequence[Piece]) -> Line:
    left, right = min(piece.left for piece in row), max(piece.right for piece in row)
    top, bottom = max(piece.top for piece in row), min(piece.bottom for piece in row)
    return Line(text, top, bottom, left, right, left, right, is_row=True)


def _by_stream(streamed: Sequence[int], column_of: dict[int, int]) -> list[list[int]]:
    parts: list[list[int]] = []
    for index in streamed:
        if parts and column_of[parts[-1][-1]] == column_of[index]:
            parts[-1].append(index)
        else:
            parts.append([index])
    return parts


def _text_columns(pieces: Sequence[Piece], columns: Sequence[Sequence[int]]) -> list[Line]:
    lines = []
    for column in columns:
        begin, limit = min(pieces[index].left for index in column), max(pieces[index].right for index in column)
        parts = [[pieces[index] for index in part] for part in _glued(pieces, column)]
        lines += [_in_column(_line(part), begin, limit) for part in parts]
    return lines


def _is_prose(pieces: Sequence[Piece], column: Sequence[int]) -> bool:
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


def _glued(pieces: Sequence[Piece], indices: Sequence[int]) -> list[list[int]]:
    """Indices of the pieces of each line of the stream; what is between them has gone elsewhere."""
    parts: list[list[int]] = []
    for index in indices:
        alone = pieces[index].stands_alone
        if parts and pieces[index].glued and parts[-1][-1] == index - 1 and not alone:
            parts[-1].append(index)
        else:
            parts.append([index])
    return parts


def _line(part: Sequence[Piece]) -> Line:
    text = " ".join(piece.text for piece in part)
    if not all(piece.placed for piece in part):
        return Line(text, is_row=any(piece.stands_alone for piece in part))
    left, right = min(piece.left for piece in part), max(piece.right for piece in part)
    alone = any(piece.stands_alone for piece in part)
    return Line(text, part[0].top, part[-1].bottom, left, right, is_row=alone)
