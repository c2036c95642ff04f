"""Cells of a PDF's table to rows: what wraps within a cell, what begins a row."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from embed_pipeline.corpus.parsers.pdf_page import ENUMERATOR, Piece

_CLOSER = 1.25  # a step between lines of one cell is less than this many of the smallest steps
_WORDS = 3  # of a line that tells by its length whether it was full
_ENDED = re.compile(r"[.:;!?]\s*$")
_LABEL = re.compile(r"^\w[\w /-]{0,25}:")
NUMBER = re.compile(r"^[\W_]*\d[\d.,'\s]*\W*\w{0,3}$")

Row = list[list[Piece]]


def table_lines(
    columns: Sequence[Sequence[Piece]], mend: Callable[[Sequence[str]], str]
) -> list[tuple[str, list[Piece]]]:
    """A line for each row with its pieces, cells parted by `` | ``; a label that ends in a colon by a space.

    Args:
        columns: pieces of each, from top to bottom.
        mend: puts the lines of a cell together.
    """
    lines = []
    for row in _rows(columns):
        cells = [mend([piece.text for piece in cell]) for cell in row]
        lines.append((_joined(cells), [piece for cell in row for piece in cell]))
    return lines


def _joined(cells: Sequence[str]) -> str:
    filled = [cell for cell in cells if cell]
    label_and_value = len(filled) == 2 and filled[0].endswith(":") and ":" not in filled[1]
    if len(filled) == 1 or label_and_value or ENUMERATOR.match(cells[0]):
        return " ".join(filled)
    return " | ".join(cells).rstrip(" |")


def _rows(columns: Sequence[Sequence[Piece]]) -> list[Row]:
    """Rows of cells of pieces."""
    spans = [_as_row(span, columns) for span in _spans([piece for column in columns for piece in column])]
    widths = [max(piece.right for piece in column) - min(piece.left for piece in column) for column in columns]
    gaps = [_middle(above) - _middle(below) for above, below in pairwise(spans)]
    spaced = bool(gaps) and max(gaps) > _CLOSER * min(gaps)
    rows = spans[:1]
    above = spans[0]
    for gap, span in zip(gaps, spans[1:], strict=True):
        near = gap <= _CLOSER * min(gaps)
        goes_on = near and (_carries_on(above, span, widths) if spaced else _continues(above, span))
        if goes_on:
            rows[-1] = [[*up, *down] for up, down in zip(rows[-1], span, strict=True)]
        else:
            rows.append(span)
        above = [down or up for up, down in zip(above, span, strict=True)] if goes_on else span
    return rows


def _as_row(span: Sequence[Piece], columns: Sequence[Sequence[Piece]]) -> Row:
    inside = {id(piece) for piece in span}
    return [[piece for piece in column if id(piece) in inside] for column in columns]


def _spans(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces on one height, from top to bottom."""
    spans: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: -piece.bottom):
        if spans and piece.top - 0.5 * piece.height > min(one.bottom for one in spans[-1]):
            spans[-1].append(piece)
        else:
            spans.append([piece])
    return spans


def _middle(row: Row) -> float:
    first = next(piece for cell in row for piece in cell)
    return (first.top + first.bottom) / 2


def _carries_on(above: Row, row: Row, widths: Sequence[float]) -> bool:
    """Whether a row that stands nearer than others carries on the text above it."""
    pairs = [(up[-1], down[0], width) for up, down, width in zip(above, row, widths, strict=True) if up and down]
    if not pairs:
        return True
    if any(NUMBER.match(down.text.strip()) for _, down, _ in pairs):
        return False
    going_on = [_goes_on(*pair) for pair in pairs]
    if above[0] and row[0] and not going_on[0]:
        return False
    return sum(going_on) > len(going_on) / 2


def _goes_on(up: Piece, down: Piece, width: float) -> bool:
    """Whether the text of a cell goes on in the line below."""
    if _LABEL.match(down.text) or _ENDED.search(up.text):
        return False
    return down.text.strip()[:1].islower() or (len(up.text.split()) >= _WORDS and _is_full(up, down, width))


def _is_full(up: Piece, down: Piece, width: float) -> bool:
    """Whether the first word below would not have had room above."""
    word = down.text.split()[0]
    room = width - (up.right - up.left)
    return room < (down.right - down.left) * (len(word) + 1) / max(len(down.text), 1)


def _continues(above: Row, row: Row) -> bool:
    """Whether a row only carries on the text of cells above it, where all rows are equally far apart."""
    if row[0] or not above[0]:
        return False
    pairs = [(up, down) for up, down in zip(above, row, strict=True) if down]
    texts = [down[0].text.strip() for _, down in pairs]
    if any(NUMBER.match(text) for text in texts) or not all(up for up, _ in pairs):
        return False
    fewer = len(pairs) < sum(bool(cell) for cell in above) - 1
    return fewer or not any(text[:1].isupper() for text in texts)
