"""Word documents: headings, lists, tables, text boxes, notes and formulas; tracked changes as if accepted."""

from collections.abc import Sequence
from typing import Any

from embed_pipeline.corpus.parsers.blocks import Block, Extracted
from embed_pipeline.corpus.parsers.docx_line import Item
from embed_pipeline.corpus.parsers.docx_numbering import Numbering
from embed_pipeline.corpus.parsers.docx_package import Package
from embed_pipeline.corpus.parsers.docx_reader import Reader
from embed_pipeline.corpus.parsers.docx_styles import WORD, Styles
from embed_pipeline.corpus.parsers.html import parse_html
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.metadata import About
from embed_pipeline.corpus.parsers.office_properties import tell_properties

_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"


def parse_docx(data: bytes) -> Extracted:
    """Paragraphs, headings and tables in the order of the document.

    Raises:
        UnreadableError: not a .docx file, encrypted, or damaged.
    """
    package = Package(data)
    losses = Losses()
    parts = _Parts(package, losses)
    blocks = Reader(parts, losses).read(package.root(package.main))
    parts.tell_rest()
    about = About(losses)
    title = tell_properties(package.roots("core-properties+xml"), about)
    return Extracted(_join_list_items(blocks), title, losses.told(), about.told())


class _Parts:
    """What a document holds beside its body."""

    def __init__(self, package: Package, losses: Losses) -> None:
        self._package = package
        self._losses = losses
        self.styles = Styles(next(self._package.roots("styles+xml"), None))
        self.numbering = Numbering(next(self._package.roots("numbering+xml"), None))
        self.notes = {
            (kind, note.get(f"{WORD}id", "")): note
            for kind in ("footnote", "endnote")
            for root in self._package.roots(f"{kind}s+xml")
            for note in root.iter(WORD + kind)
            if note.get(f"{WORD}type", "normal") == "normal"  # the others are the lines above the notes
        }

    def chunk(self, relationship: str) -> Sequence[Block]:
        """Blocks of a document that Word takes in when it opens this one."""
        name = self._package.target(relationship)
        content_type = "" if name is None else self._package.content_type(name)
        if name is not None and ("html" in content_type or content_type.endswith(".main+xml")):
            data = self._package.data(name)
            extracted = parse_html(data) if "html" in content_type else parse_docx(data)
            self._losses.take(extracted.losses)
            return extracted.blocks
        self._losses.add("unresolved", f"{relationship} {content_type}")
        return []

    def drawn(self, relationship: str) -> list[str]:
        """Paragraphs of a diagram or chart."""
        name = self._package.target(relationship)
        if name is None:
            return []
        paragraphs = self._package.root(name).iter(f"{_DRAWING}p")
        texts = ("".join(node.text or "" for node in one.iter(f"{_DRAWING}t")) for one in paragraphs)
        return [text for text in texts if text.strip()]

    def tell_rest(self) -> None:
        """Tell of headers, footers, comments, and the notes that no text pointed to."""
        for note in self.notes.values():
            self._losses.add("unresolved", _words(note))
        for content_type in ("header+xml", "footer+xml"):
            for root in self._package.roots(content_type):
                self._tell("furniture", root)
        for root in self._package.roots("comments+xml"):
            for comment in root:
                self._tell("comment", comment)

    def _tell(self, kind: str, element: Any) -> None:
        text = _words(element)
        if text:
            self._losses.add(kind, text)


def _words(element: Any) -> str:
    """Text of an element, a space between paragraphs; copies of drawings for older programs left out."""
    paragraphs = [
        "".join(node.text or "" for node in paragraph.iter(f"{WORD}t"))
        for paragraph in element.iter(f"{WORD}p")
        if next(paragraph.iterancestors(f"{WORD}p", _FALLBACK), None) is None
    ]
    return " ".join(filter(None, paragraphs))


def _join_list_items(blocks: list[Block]) -> list[Block]:
    """Neighbouring list items become one block, a line each."""
    joined: list[Block] = []
    for block in blocks:
        if isinstance(block, Item) and joined and isinstance(joined[-1], Item):
            joined[-1] = Item(f"{joined[-1].text}\n{block.text}")
        else:
            joined.append(block)
    return joined
