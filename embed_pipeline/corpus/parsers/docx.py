"""Word documents: headings, lists, tables, text boxes, notes and formulas; tracked changes as if accepted."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from lxml import etree

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, one_line
from embed_pipeline.corpus.parsers.docx_numbering import Numbering
from embed_pipeline.corpus.parsers.docx_reader import Item, Reader
from embed_pipeline.corpus.parsers.docx_styles import WORD, Styles
from embed_pipeline.corpus.parsers.html import parse_html
from embed_pipeline.corpus.parsers.losses import Losses

_MAX_UNPACKED = 1_000_000_000
_OLE = b"\xd0\xcf\x11\xe0"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_NO_TITLES = frozenset({"word document", "document", "untitled", "title"})


def parse_docx(data: bytes) -> Extracted:
    """Paragraphs, headings and tables in the order of the document.

    Raises:
        UnreadableError: not a .docx file, encrypted, or damaged.
    """
    import docx
    from docx.opc.exceptions import PackageNotFoundError

    if data.startswith(_OLE):
        raise UnreadableError("an encrypted Word document, or one of the old .doc format")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_UNPACKED:
                raise UnreadableError("unpacks to more than 1 GB")
        document = docx.Document(io.BytesIO(data))
    except (zipfile.BadZipFile, PackageNotFoundError, KeyError, ValueError, etree.XMLSyntaxError) as error:
        raise UnreadableError("not a valid Word document (.docx)") from error
    losses = Losses()
    parts = _Parts(document.part, losses)
    blocks = Reader(parts, losses).read(document.element.body)
    parts.tell_rest()
    title = one_line(document.core_properties.title or "")
    return Extracted(_join_list_items(blocks), "" if title.lower() in _NO_TITLES else title, losses.told())


class _Parts:
    """What a document holds beside its body."""

    def __init__(self, main: Any, losses: Losses) -> None:
        self._main = main
        self._losses = losses
        self.styles = Styles(next(self._roots("styles+xml"), None))
        self.numbering = Numbering(next(self._roots("numbering+xml"), None))
        self.notes = {
            (kind, note.get(f"{WORD}id", "")): note
            for kind in ("footnote", "endnote")
            for root in self._roots(f"{kind}s+xml")
            for note in root.iter(WORD + kind)
            if note.get(f"{WORD}type", "normal") == "normal"  # the others are the lines above the notes
        }

    def chunk(self, relationship: str) -> Sequence[Block]:
        """Blocks of a document that Word takes in when it opens this one."""
        part = self._main.related_parts.get(relationship)
        content_type = "" if part is None else part.content_type
        if "html" in content_type or content_type.endswith(".main+xml"):
            extracted = parse_html(part.blob) if "html" in content_type else parse_docx(part.blob)
            self._losses.take(extracted.losses)
            return extracted.blocks
        self._losses.add("unresolved", f"{relationship} {content_type}")
        return []

    def drawn(self, relationship: str) -> list[str]:
        """Paragraphs of a diagram or chart."""
        part = self._main.related_parts.get(relationship)
        if part is None:
            return []
        paragraphs = etree.fromstring(part.blob, _parser()).iter(f"{_DRAWING}p")
        texts = ("".join(node.text or "" for node in one.iter(f"{_DRAWING}t")) for one in paragraphs)
        return [text for text in texts if text.strip()]

    def tell_rest(self) -> None:
        """Tell of headers, footers, comments, and the notes that no text pointed to."""
        for note in self.notes.values():
            self._losses.add("unresolved", _words(note))
        for content_type in ("header+xml", "footer+xml"):
            for root in self._roots(content_type):
                self._tell("furniture", root)
        for root in self._roots("comments+xml"):
            for comment in root:
                self._tell("comment", comment)

    def _tell(self, kind: str, element: Any) -> None:
        text = _words(element)
        if text:
            self._losses.add(kind, text)

    def _roots(self, content_type: str) -> Iterator[Any]:
        """Roots of the parts whose content type ends so."""
        for part in self._main.package.iter_parts():
            if part.content_type.endswith(f".{content_type}"):
                yield etree.fromstring(part.blob, _parser())


def _parser() -> Any:
    return etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)


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
