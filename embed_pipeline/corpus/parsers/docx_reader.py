"""One walk through a Word document: paragraphs, lists, tables, text boxes, notes, formulas, and what was left out."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from embed_pipeline.corpus.parsers.blocks import Block, one_line, table_rows
from embed_pipeline.corpus.parsers.docx_line import Item, Line, form_value, raised
from embed_pipeline.corpus.parsers.docx_numbering import Numbering
from embed_pipeline.corpus.parsers.docx_styles import WORD, Styles, number_of, value_of
from embed_pipeline.corpus.parsers.formula import linear
from embed_pipeline.corpus.parsers.grid import repeated
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.pictures import alternative_text
from embed_pipeline.corpus.parsers.symbols import is_symbol_font, symbols

_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_COMPATIBILITY = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_CHARACTERS = {
    f"{WORD}tab": "\t",
    f"{WORD}ptab": "\t",
    f"{WORD}br": "\n",
    f"{WORD}cr": "\n",
    f"{WORD}noBreakHyphen": "-",
}
_PICTURES = frozenset({"pic", "imagedata", "OLEObject"})
_DESCRIPTIONS = {"docPr": "descr", "shape": "alt", "textpath": "string"}
_RELATIONSHIPS = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_MOST_COLUMNS = 63  # of Word
_NOTES = {f"{WORD}footnoteReference": "footnote", f"{WORD}endnoteReference": "endnote"}


class Parts(Protocol):
    """What a document holds beside its body."""

    styles: Styles
    numbering: Numbering
    notes: dict[tuple[str, str], Any]
    """By kind and id; each is taken out when it is read."""

    def chunk(self, relationship: str) -> Sequence[Block]:
        """Blocks of another document that is embedded."""

    def drawn(self, relationship: str) -> list[str]:
        """Paragraphs of a diagram or chart."""


class Reader:
    """Reads the body of a document, and its notes where they are pointed to.

    Args:
        parts: of the document.
        losses: where what is left out is told.
    """

    def __init__(self, parts: Parts, losses: Losses) -> None:
        self._parts = parts
        self._styles = parts.styles
        self._losses = losses
        self._read_notes = 0
        self._waiting: list[tuple[int, Any]] = []

    def read(self, body: Any) -> list[Block]:
        """Blocks in the order of the document; notes follow the paragraph or table that points to them."""
        blocks: list[Block] = []
        for block in self._blocks(body):
            blocks.append(block)
            blocks.extend(self._pending_notes())
        return [*blocks, *self._pending_notes()]

    def _pending_notes(self) -> Iterator[Block]:
        while self._waiting:
            number, note = self._waiting.pop(0)
            text = "\n".join(block.text for block in self._blocks(note))
            yield Block(f"[{number}] {text.strip()}")

    def _blocks(self, parent: Any) -> Iterator[Block]:
        for element in parent:
            if element.tag == f"{WORD}p":
                yield from self._paragraph(element)
            elif element.tag == f"{WORD}tbl":
                yield from self._table(element)
            elif element.tag == f"{WORD}altChunk":
                yield from self._parts.chunk(element.get(f"{_RELATIONSHIPS}id", ""))
            elif element.tag == f"{_MATH}oMathPara":
                yield Block(linear(element))
            elif element.tag == f"{_COMPATIBILITY}AlternateContent":
                yield from self._blocks(self._alternative(element))
            elif not self._is_left_out(element):
                yield from self._blocks(element)

    def _paragraph(self, element: Any) -> Iterator[Block]:
        """A paragraph, heading or list item, then the text boxes anchored in it; no entries of a table of contents."""
        line = Line()
        self._inline(element, line)
        text = line.text()
        name = self._styles.name(element)
        if name.startswith(("toc ", "table of figures")):
            self._losses.add("navigation", text)
            return
        if text.strip():
            level = self._styles.heading_level(element)
            place = self._styles.list_place(element)
            label = "" if place is None else self._parts.numbering.label(*place)
            if place is None:
                yield Block(text, level)
            elif level:
                yield Block(f"{'' if label in (None, '-') else label} {text}".strip(), level)
            else:
                words = [word for word in ("-" if label is None else label, one_line(text)) if word]
                yield Item("  " * place[1] + " ".join(words))
        yield from line.after

    def _inline(self, parent: Any, line: Line) -> None:
        """Text of what stands in a paragraph."""
        for element in parent:
            tag = element.tag
            if tag == f"{WORD}t":
                line.add(self._in_font(element.text or "", parent), raised(parent))
            elif tag in _CHARACTERS:
                line.add(_CHARACTERS[tag])
            elif tag == f"{WORD}sym":
                line.add(self._symbol(element))
            elif tag in _NOTES:
                self._note(_NOTES[tag], element, line)
            elif tag in (f"{_MATH}oMath", f"{_MATH}oMathPara"):
                line.add(linear(element))
            elif tag in (f"{WORD}drawing", f"{WORD}pict", f"{WORD}object"):
                self._drawing(element, line)
            elif tag == f"{_COMPATIBILITY}AlternateContent":
                self._inline(self._alternative(element), line)
            elif tag == f"{WORD}ruby":
                base, reading = (_shown(element.find(WORD + name)) for name in ("rubyBase", "rt"))
                line.add(f"{base}({reading})" if reading else base)
            elif tag == f"{WORD}fldChar":
                line.add(form_value(element))
            elif not self._is_left_out(element):
                self._inline(element, line)

    def _is_left_out(self, element: Any) -> bool:
        """Properties, deleted and hidden text, and text at the place that it was moved from."""
        tag = element.tag
        if not isinstance(tag, str) or tag.endswith("Pr") or tag in (f"{WORD}instrText", f"{WORD}txbxContent"):
            return True
        if tag == f"{WORD}del":
            self._losses.add("deleted", _shown(element, "delText", "t"))
        elif tag == f"{WORD}moveFrom":
            self._losses.add("repeated", _shown(element, "t", "delText"))
        elif tag == f"{WORD}r" and self._styles.hides(element):
            if _shown(element):
                self._losses.add("hidden", _shown(element))
        elif tag == f"{WORD}subDoc":
            self._losses.add("unresolved")
        else:
            return False
        return True

    def _alternative(self, element: Any) -> Any:
        """The first of the copies of a drawing for newer and older programs; the others are the same text again."""
        copies = list(element)
        chosen = next((copy for copy in copies if _shown(copy)), copies[0] if copies else element)
        for copy in copies:
            if copy is not chosen and _shown(copy):
                self._losses.add("repeated", _shown(copy))
        return chosen

    def _drawing(self, element: Any, line: Line) -> None:
        """Text boxes as blocks of their own, a line for each paragraph and row; a picture by its alternative text."""
        for node in _outside_boxes(element):
            name = node.tag.rpartition("}")[2]
            if name == "txbxContent":
                line.follow("\n".join(block.text for block in self._blocks(node)))
            elif name in _PICTURES:
                self._losses.add("picture")
            elif name == "chart":
                self._losses.add("picture", " ".join(self._parts.drawn(node.get(f"{_RELATIONSHIPS}id", ""))))
            elif name == "relIds":
                line.follow("\n".join(self._parts.drawn(node.get(f"{_RELATIONSHIPS}dm", ""))))
            if name in _DESCRIPTIONS:
                line.follow(alternative_text(node.get(_DESCRIPTIONS[name], "")))

    def _note(self, kind: str, element: Any, line: Line) -> None:
        note = self._parts.notes.pop((kind, element.get(f"{WORD}id", "")), None)
        if note is None:
            self._losses.add("unresolved", f"{kind} {element.get(f'{WORD}id', '')}")
            return
        self._read_notes += 1
        line.add(f" [{self._read_notes}]")
        self._waiting.append((self._read_notes, note))

    def _in_font(self, text: str, run: Any) -> str:
        fonts = run.find(f"{WORD}rPr/{WORD}rFonts")
        for name in ("ascii", "hAnsi") if fonts is not None else ():
            if is_symbol_font(fonts.get(WORD + name, "")):
                return self._mapped(text, fonts.get(WORD + name))
        return text

    def _symbol(self, element: Any) -> str:
        code, font = element.get(f"{WORD}char", ""), element.get(f"{WORD}font", "")
        try:
            character = chr(int(code, 16))
        except (ValueError, OverflowError):
            return ""
        return self._mapped(character, font) if is_symbol_font(font) else character

    def _mapped(self, text: str, font: str) -> str:
        shown = symbols(text, font)
        for _ in range(shown.count("\ufffd")):
            self._losses.add("picture")
        return shown.replace("\ufffd", "")

    def _table(self, table: Any) -> Iterator[Block]:
        """One line a row, every cell under its heading; a table of one column is read like the page."""
        rows = [_cells(row) for row in _own(table, "tr", "tbl")]
        if all(len(row) <= 1 for row in rows):
            for row in rows:
                for cell in row:
                    yield from self._blocks(cell)
            return
        grid: list[list[str]] = []
        for element, row in zip(_own(table, "tr", "tbl"), rows, strict=True):
            line = [""] * number_of(element, "trPr/gridBefore", 0, _MOST_COLUMNS)
            for cell in row:
                text = " ".join(one_line(block.text) for block in self._blocks(cell))
                merged = value_of(cell, "tcPr/vMerge")
                if merged in ("", "continue") and not text:
                    above = grid[-1][len(line)] if grid and len(line) < len(grid[-1]) else ""
                    text = repeated(above)
                span = number_of(cell, "tcPr/gridSpan", 1, _MOST_COLUMNS) if len(row) > 1 else 1
                line += [text, *[repeated(text)] * (span - 1)]
            grid.append(line)
        yield Block(table_rows(grid))


def _shown(element: Any, *tags: str) -> str:
    """Words of an element as they stand."""
    if element is None:
        return ""
    found = element.iter(*(WORD + tag for tag in tags or ("t",)), f"{_MATH}t")
    return "".join(node.text or "" for node in found).strip()


def _outside_boxes(drawing: Any) -> Iterator[Any]:
    """Elements of a drawing that stand in none of its text boxes and are no copy for older programs."""
    inner = (f"{WORD}txbxContent", f"{_COMPATIBILITY}Fallback")
    around = next(drawing.iterancestors(*inner), None)
    return (node for node in drawing.iter("*") if next(node.iterancestors(*inner), None) is around)


def _own(parent: Any, tag: str, holder: str) -> list[Any]:
    """Rows of a table, or cells of a row, without those of tables within."""
    found = parent.iter(WORD + tag)
    return [element for element in found if next(element.iterancestors(WORD + holder), None) is parent]


def _cells(row: Any) -> list[Any]:
    return _own(row, "tc", "tr")
