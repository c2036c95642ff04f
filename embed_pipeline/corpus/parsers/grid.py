"""Tables whose cells span rows or columns, as a plain grid."""

from collections.abc import Sequence
from typing import NamedTuple

_REPEATED_CHARS = 80
"""Longer cells stand once; the places they span are empty."""
_REPEATS, _REPEATS_OF_CELL = 10_000, 10
"""Places below spanning cells that are filled at most, and so many more for every cell: spans cost a file nothing."""


class Cell(NamedTuple):
    """Text, how many columns it spans, and how many rows; 0 rows: to the end of the table."""

    text: str
    columns: int = 1
    rows: int = 1


def spread(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """The grid, so that every cell stands under its heading: a short cell repeated wherever it spans, a long one once.

    A row of a single cell is that cell, however wide it is.
    """
    width = max((sum(max(cell.columns, 1) for cell in row) for row in rows if len(row) > 1), default=1)
    grid: list[list[str]] = []
    hanging: dict[int, tuple[str, int]] = {}
    room = _REPEATS + _REPEATS_OF_CELL * sum(map(len, rows))
    for index, row in enumerate(rows):
        cells: dict[int, str] = {column: text for column, (text, last) in hanging.items() if last >= index}
        room -= len(cells)
        hanging = {column: held for column, held in hanging.items() if held[1] > index and room > 0}
        if len(row) == 1 and not cells and row[0].columns > 1:
            row = [row[0]._replace(columns=1)]
        column = 0
        for cell in row:
            while column in cells:
                column += 1
            last = index + cell.rows - 1 if cell.rows else len(rows) - 1
            for place in range(column, min(column + max(cell.columns, 1), max(width, column + 1))):
                if place != column and place in cells:
                    break
                cells[place] = cell.text if place == column else repeated(cell.text)
                if last > index:
                    hanging[place] = (repeated(cell.text), last)
            column += 1
        grid.append([cells.get(place, "") for place in range(max(cells, default=-1) + 1)])
    return grid


def repeated(text: str) -> str:
    """What stands in the further places of a cell that spans several: a short text again, nothing for a long one."""
    return text if len(text) <= _REPEATED_CHARS else ""
