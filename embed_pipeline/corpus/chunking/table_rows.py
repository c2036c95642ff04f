"""Tables in the text of a document, whose heading row goes with every passage that is cut from one.

The parsers write a table as one line a row, cells parted by `` | ``. A passage is a verbatim slice of its document, so
the row cannot be put into its text: it goes into its title, which every encoder reads before the text.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from embed_pipeline.records import TABLE_HEADING

_PIPE = re.compile(r"(?<![^ ])\|(?![^ ])")
_RULE = " \t|+:=-"
_LEAST_ROWS = 3
"""The heading and two more: two lines with a bar are a choice between commands as often as a table."""
_ALIKE = 0.7
"""Share of the rows that have as many cells as the heading; the others hold merged cells."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a document's text.

    Attributes:
        start: of the heading row.
        body: one past the heading row; a passage that begins from here on lacks it.
        end: of the last row.
    """

    start: int
    body: int
    end: int


def tables_of(text: str, start: int = 0, end: int | None = None) -> list[Table]:
    """The tables in ``text[start:end]``, in order: lines in a row that have cells, most of them as many as the first.

    A rule under the heading, as plain text has it (``|---|---|``), is no row.
    """
    end = len(text) if end is None else end
    found = []
    place = text.find("|", start, end)
    while place >= 0:
        table, after = _table_at(text, text.rfind("\n", start, place) + 1 or start, end)
        if table is not None:
            found.append(table)
        place = text.find("|", max(after, place + 1), end)
    return found


def _table_at(text: str, start: int, end: int) -> tuple[Table | None, int]:
    """The table whose heading row begins at ``start``, if there is one, and where its lines end, at least the first."""
    counts: Counter[int] = Counter()
    cells = body = last = 0
    place = start
    while place < end:
        line_end = text.find("\n", place, end)
        line_end = end if line_end < 0 else line_end
        line = text[place:line_end]
        found = 0 if line.endswith("\\") else sum(1 for _ in _PIPE.finditer(line))  # a command goes on in the next line
        if not found and not (counts and _is_rule(line)):
            last = last or line_end
            break
        if found and not _is_rule(line):
            counts[found] += 1
            cells, body = cells or found, body or line_end
        last, place = line_end, line_end + 1
    rows = counts.total()
    is_table = rows >= _LEAST_ROWS and counts[cells] >= _ALIKE * rows
    return Table(start, body, last) if is_table else None, last


def _is_rule(line: str) -> bool:
    return not line.strip(_RULE) and ("-" in line or "=" in line)


def table_at(tables: Sequence[Table], place: int) -> Table | None:
    """The table in whose body ``place`` stands, below its heading row."""
    index = bisect_right(tables, place, key=lambda table: table.start) - 1
    table = tables[index] if index >= 0 else None
    return table if table is not None and table.body <= place < table.end else None


def heading_row(text: str, table: Table) -> str:
    """The heading row on one line, as it stands in titles: without what a list or a quotation puts before it."""
    row = " ".join(text[table.start : table.body].split())
    return TABLE_HEADING + row.removeprefix("- ").removeprefix("| ").removesuffix(" |")


def shorter(row: str) -> str:
    """A heading row without its last cell; the same where it has only one."""
    cells = row.removeprefix(TABLE_HEADING).split(" | ")
    return TABLE_HEADING + " | ".join(cells[: max(1, len(cells) - 1)])
