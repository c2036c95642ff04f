"""The pieces of a page as they grow: paragraphs, lists, tables, preformatted text."""

import re
from typing import Any

from embed_pipeline.corpus.parsers.blocks import Block, list_item, one_line, table_rows, unwrap
from embed_pipeline.corpus.parsers.grid import Cell, spread

BREAK = "\x1e"
"""A line break within a paragraph."""
_EDGE = "\x1d"
_EDGES = re.compile("\n?(?:\x1d\n?)+")
_MOST_COLUMNS = 50
_BEFORE_CHARS = 40
_OFFSET = re.compile(r"\s*(\d+)")


class Frame:
    """Text of an element that becomes one piece: inline text until a block starts or ends, and the blocks so far."""

    def __init__(self, element: Any) -> None:
        self.element = element
        self.tag = element.tag
        self.blocks: list[Block] = []
        self.inline: list[str] = []

    def say(self, text: str) -> None:
        """More of the running paragraph."""
        if text:
            self.inline.append(text)

    def flush(self) -> None:
        """End the running paragraph."""
        if self.inline:
            lines = (unwrap("\n".join(map(str.strip, line.split("\n")))) for line in "".join(self.inline).split(BREAK))
            self.inline.clear()
            self.add("\n".join(" ".join(line.split()) for line in lines if line.strip()))

    def add(self, text: str, level: int = 0) -> None:
        """A piece that is ready."""
        if text.strip():
            self.blocks.append(Block(text, level))

    def text(self) -> str:
        """All of it, blocks on lines of their own."""
        self.flush()
        return "\n".join(block.text for block in self.blocks)

    def before(self) -> str:
        """The end of the running paragraph."""
        parts: list[str] = []
        for part in reversed(self.inline):
            parts.insert(0, part)
            if sum(map(len, parts)) >= _BEFORE_CHARS:
                break
        return "".join(parts).replace(BREAK, "\n")


class Verbatim(Frame):
    """Preformatted text: white space as it stands, a line for each block within."""

    def flush(self) -> None:
        self.inline.append(_EDGE)

    def text(self) -> str:
        text = "".join(self.inline).replace(BREAK, "\n")
        return (_EDGES.sub("\n", text) if _EDGE in text else text).strip("\n")


class List(Frame):
    """Items; what stands between them is an item, too, and a list within belongs to the item before it."""

    def __init__(self, element: Any) -> None:
        super().__init__(element)
        self._next = _number(element.get("start"), 1)
        self._entries: list[tuple[str, str]] = []

    def add(self, text: str, level: int = 0) -> None:
        self.add_item(text, None)

    def add_item(self, text: str, value: str | None) -> None:
        """One more item, numbered by ``value`` if it says so."""
        if text.strip():
            number = _number(value, self._next)
            self._entries.append((f"{number}. " if self.tag == "ol" else "- ", text))
            self._next = number + 1

    def add_list(self, text: str) -> None:
        """A list that stands in this one outside of its items."""
        marker, item = self._entries.pop() if self._entries else ("", "")
        self._entries.append((marker, f"{item}\n{text}" if item else text))

    def text(self) -> str:
        self.flush()
        return "\n".join(list_item(marker, text) for marker, text in self._entries)


class Definitions(Frame):
    """Terms, and what is said of them indented below."""


class Table(Frame):
    """Rows of cells; text outside of them stands before the table."""

    def __init__(self, element: Any) -> None:
        super().__init__(element)
        self.sections: list[list[list[Cell]]] = [[]]

    def add_cell(self, cell: Any, text: str) -> None:
        """A cell of the last row."""
        rows = self.sections[-1] or [[]]
        self.sections[-1] = rows
        columns = min(_number(cell.get("colspan"), 1), _MOST_COLUMNS)
        rows[-1].append(Cell(one_line(text), columns, _number(cell.get("rowspan"), 1)))

    def text(self) -> str:
        outside = super().text()
        rows = [row for section in self.sections for row in spread(section)]
        return "\n".join(text for text in (outside, table_rows(rows)) if text.strip())


def _number(value: str | None, default: int) -> int:
    found = _OFFSET.match(value or "")
    return int(found.group(1)[:6]) if found else default
