"""One walk through a page: blocks in reading order, and what was left out. As deep as the page, without recursion."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from lxml import etree

from embed_pipeline.corpus.parsers.blocks import Block, list_item, one_line, table_rows, unwrap
from embed_pipeline.corpus.parsers.formula import linear, plain_tex
from embed_pipeline.corpus.parsers.grid import Cell, spread
from embed_pipeline.corpus.parsers.html_parts import (
    CODE,
    HEADINGS,
    VERBATIM,
    Parts,
    class_names,
    names,
    shown_texts,
)
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.pictures import alternative_text
from embed_pipeline.corpus.parsers.scripts import subscript, superscript

_BREAK = "\x1e"
_EDGE = "\x1d"
_EDGES = re.compile("\n?(?:\x1d\n?)+")
_BLOCKS = names(
    "address article aside blockquote body center dd details dialog div dt fieldset figcaption figure footer form "
    "header hgroup hr html legend li main p search section summary tbody td tfoot th thead tr table caption option"
)
_LISTS = names("ul ol menu dir")
_MOST_COLUMNS = 50
_BEFORE_CHARS = 40
_OFFSET = re.compile(r"\s*(\d+)")


class _Frame:
    """Text of an element that becomes one piece: inline text until a block starts or ends, and the blocks so far."""

    def __init__(self, element: Any) -> None:
        self.element = element
        self.tag = element.tag
        self.blocks: list[Block] = []
        self.inline: list[str] = []

    def flush(self) -> None:
        """End the running paragraph."""
        if self.inline:
            lines = (unwrap("\n".join(map(str.strip, line.split("\n")))) for line in "".join(self.inline).split(_BREAK))
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
        return "".join(parts).replace(_BREAK, "\n")


class _Verbatim(_Frame):
    """Preformatted text: white space as it stands, a line for each block within."""

    def flush(self) -> None:
        self.inline.append(_EDGE)

    def text(self) -> str:
        text = "".join(self.inline).replace(_BREAK, "\n")
        return (_EDGES.sub("\n", text) if _EDGE in text else text).strip("\n")


class _List(_Frame):
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


class _Definitions(_Frame):
    """Terms, and what is said of them indented below."""


class _Table(_Frame):
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


class Reader:
    """Reads one page or a piece of one.

    Args:
        parts: says what is content.
        losses: where the rest is told.
        tree: makes a tree of source that the parser left as text, as in ``noframes``.
    """

    def __init__(self, parts: Parts, losses: Losses, tree: Callable[[str], Any]) -> None:
        self._parts = parts
        self._losses = losses
        self._tree = tree
        self._frames: list[_Frame] = []

    @property
    def _top(self) -> _Frame:
        return self._frames[-1]

    def read(self, root: Any) -> list[Block]:
        """Blocks of an element."""
        self._frames = [_Frame(root)]
        walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
        for event, element in walk:
            if event == "start":
                if not self._start(element):
                    walk.skip_subtree()
                continue
            if event == "end":
                self._end(element)
            else:
                self._losses.add("comment" if event == "comment" else "code", element.text or "")
            if element is not root:
                self._top.inline.append(element.tail or "")
        self._top.flush()
        return self._top.blocks

    def leave_out(self, kind: str, element: Any) -> None:
        """Tell of an element that is not read; scripts and comments within are told as such."""
        for node in element.iter():
            if not isinstance(node.tag, str):
                self._losses.add("comment", node.text or "")
            elif node.tag in CODE and kind != "code":
                self._losses.add("code", node.text or "")
        texts = [element.text or ""] if kind == "code" else [*shown_texts(element), element.get("value", "")]
        if kind in ("picture", "code") or any(text.strip() for text in texts):
            self._losses.add(kind, " ".join(texts))

    def _start(self, element: Any) -> bool:
        """Take in an element's beginning; whether its inside is read."""
        tag = element.tag
        kind = self._parts.left_out(element)
        if kind:
            self.leave_out(kind, element)
            return False
        if self._is_whole(element):
            return False
        frame = self._frame(element)
        if frame is not None:
            if tag not in ("sup", "sub", "rt"):
                self._top.flush()
            self._frames.append(frame)
        elif tag in _BLOCKS:
            self._top.flush()
            if isinstance(self._top, _Table):
                self._start_row(tag)
        self._top.inline.append(element.text or "")
        return True

    def _is_whole(self, element: Any) -> bool:
        """Elements that are read at once: line breaks, pictures, formulas."""
        tag = element.tag
        if tag == "br":
            self._top.inline.append(_BREAK)
        elif tag == "img":
            self._losses.add("picture")
            self._top.inline.append(_alternative(element))
        elif tag in ("title", "rp"):  # the page's title is read from its head
            return True
        elif tag in ("math", "script") or class_names(element) & {"katex-mathml"}:
            self._top.inline.append(self._formula(element))
        elif tag in ("noframes", "noembed") and (element.text or "").strip():  # the parser leaves its inside as text
            self._top.flush()
            for block in Reader(self._parts, self._losses, self._tree).read(self._tree(element.text)):
                self._top.add(block.text, block.level)
        else:
            return False
        return True

    def _formula(self, element: Any) -> str:
        """The formula once: its source where the page has it, else its notation on a line."""
        if element.tag == "script":
            return plain_tex(element.text or "")
        sources = [note for note in element.iter("annotation") if "tex" in note.get("encoding", "").lower()]
        source = "".join(sources[0].itertext()) if sources else element.get("alttext", "")
        notation = linear(element if element.tag == "math" else next(element.iter("math"), element))
        if not source.strip():
            return notation
        self._losses.add("repeated", notation)
        return plain_tex(source)

    def _frame(self, element: Any) -> _Frame | None:
        """A frame for what becomes one piece; within preformatted text nothing does."""
        tag, top = element.tag, self._top
        if isinstance(top, _Verbatim):
            return None
        if tag in HEADINGS or tag in ("sup", "sub", "rt"):
            return _Frame(element)
        if tag in VERBATIM:
            return _Verbatim(element)
        if tag in _LISTS:
            return _List(element)
        if tag == "dl":
            return _Definitions(element)
        if tag == "table":
            return None if _is_layout(element, self._parts) else _Table(element)
        within = {"li": _List, "dt": _Definitions, "dd": _Definitions, "td": _Table, "th": _Table}.get(tag)
        return _Frame(element) if within is not None and isinstance(top, within) else None

    def _start_row(self, tag: str) -> None:
        assert isinstance(self._top, _Table)
        if tag in ("thead", "tbody", "tfoot"):
            self._top.sections.append([])
        elif tag == "tr":
            self._top.sections[-1].append([])

    def _end(self, element: Any) -> None:
        if len(self._frames) > 1 and self._top.element is element:
            frame = self._frames.pop()
            self._deliver(frame)
        elif element.tag in _BLOCKS:
            self._top.flush()

    def _deliver(self, frame: _Frame) -> None:
        """Hand a piece that ended to the one around it."""
        tag, top, text = frame.tag, self._top, frame.text()
        if tag == "sup":
            top.inline.append(superscript(top.before(), text, frame.element.tail or ""))
        elif tag == "sub":
            top.inline.append(subscript(top.before(), text))
        elif tag == "rt":
            top.inline.append(f"({text})" if text.strip() else "")
        elif tag in HEADINGS:
            top.add(one_line(text), HEADINGS[tag])
        elif tag == "li" and isinstance(top, _List):
            top.add_item(text, frame.element.get("value"))
        elif tag == "dd":
            top.add(list_item("  ", text) if text.strip() else "")
        elif tag in ("td", "th") and isinstance(top, _Table):
            top.add_cell(frame.element, text)
        elif tag in _LISTS and isinstance(top, _List):
            top.add_list(text)
        else:
            top.add(text)


def _number(value: str | None, default: int) -> int:
    found = _OFFSET.match(value or "")
    return int(found.group(1)[:6]) if found else default


def _alternative(picture: Any) -> str:
    """What stands for a picture, unless it repeats the caption."""
    text = alternative_text(plain_tex(picture.get("alt", "")))
    if picture.get("aria-hidden") == "true" or "fallback" in picture.get("class", ""):  # stands beside its text
        return ""
    figure = next(picture.iterancestors("figure"), None)
    captions: Sequence[Any] = [] if figure is None else list(figure.iter("figcaption"))
    return "" if any(text in one_line("".join(caption.itertext())) for caption in captions) else text


def _is_layout(table: Any, parts: Parts) -> bool:
    """A table that only arranges the page: it holds headings, or tables but no head cell, or a single column."""
    if next(table.iter("h1", "h2", "h3", "h4"), None) is not None or table.get("role") in ("presentation", "none"):
        return True
    if any(inner is not table for inner in table.iter("table")) and next(table.iter("th"), None) is None:
        return True
    return all(
        sum(cell.tag in ("td", "th") and parts.left_out(cell) != "furniture" for cell in row) <= 1
        for row in table.iter("tr")
    )
