"""Pieces of a page to lines in reading order: columns one after the other, a table's row on a line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from embed_pipeline.corpus.parsers.pdf_bands import Band, bands_of, is_prose, rows_of
from embed_pipeline.corpus.parsers.pdf_page import Piece
from embed_pipeline.corpus.parsers.pdf_tables import NUMBER, table_lines

_MANY_ROWS = 4
_FEWEST_ROWS = 3

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


def lines_of(pieces: Sequence[Piece], mend: Mend) -> list[Line]:
    """Lines in reading order.

    The order of the content stream stands, but where it goes across columns, and for what was drawn out of its place.

    Args:
        mend: puts the lines of a table's cell together.
    """
    placed = [index for index, piece in enumerate(pieces) if piece.placed]
    rows = rows_of(pieces, placed)
    units: list[tuple[int, list[Line]]] = []
    taken: set[int] = set()
    for band in bands_of(pieces, rows):
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
    if not whole or any(is_prose(pieces, column) for column in band.columns):
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
