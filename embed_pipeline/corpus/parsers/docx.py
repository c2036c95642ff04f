"""Word documents: headings, lists, tables, text boxes, notes and formulas; tracked changes as if accepted."""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from lxml import etree

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, one_line
from embed_pipeline.corpus.parsers.docx_reader import Reader
from embed_pipeline.corpus.parsers.docx_styles import WORD, Styles
from embed_pipeline.corpus.parsers.html import parse_html
from embed_pipeline.corpus.parsers.losses import Losses

_MAX_UNPACKED = 1_000_000_000
_OLE = b"\xd0\xcf\x11\xe0"
_ITEM = re.compile(r"^\s*- ")
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
    parts = _Parts(document.part)
    notes = parts.notes()
    styles = next((root for _, root in parts.of("styles+xml")), None)
    blocks = Reader(Styles(styles), notes, losses, lambda name: _chunk(document.part, name, losses)).read(
        document.element.body
    )
    for note in notes.values():
        losses.add("unresolved", _words(note))
    for kind, content_type in (("furniture", "header+xml"), ("furniture", "footer+xml"), ("comment", "comments+xml")):
        for _, root in parts.of(content_type):
            for text in filter(None, map(_words, root if kind == "comment" else [root])):
                losses.add(kind, text)
    title = one_line(document.core_properties.title or "")
    return Extracted(_join_list_items(blocks), "" if title.lower() in _NO_TITLES else title, losses.told())


class _Parts:
    """The parts of a document by what they hold."""

    def __init__(self, main: Any) -> None:
        self._main = main

    def of(self, content_type: str) -> Iterator[tuple[str, Any]]:
        """Name and root of every part whose content type ends so."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
        for part in self._main.package.iter_parts():
            if part.content_type.endswith(f".{content_type}"):
                yield str(part.partname), etree.fromstring(part.blob, parser)

    def notes(self) -> dict[tuple[str, str], Any]:
        """Footnotes and endnotes by kind and id, without the lines that separate them from the text."""
        found = {}
        for kind in ("footnote", "endnote"):
            for _, root in self.of(f"{kind}s+xml"):
                for note in root.iter(WORD + kind):
                    if note.get(f"{WORD}type", "normal") == "normal":
                        found[kind, note.get(f"{WORD}id", "")] = note
        return found


def _words(element: Any) -> str:
    """Text of an element, a space between paragraphs; copies of drawings for older programs left out."""
    fallback = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
    paragraphs = [
        "".join(node.text or "" for node in paragraph.iter(f"{WORD}t"))
        for paragraph in element.iter(f"{WORD}p")
        if next(paragraph.iterancestors(f"{WORD}p", fallback), None) is None
    ]
    return " ".join(filter(None, paragraphs))


def _chunk(main: Any, name: str, losses: Losses) -> Sequence[Block]:
    """Blocks of a document that Word was to take in when it is opened next."""
    part = main.related_parts.get(name)
    if part is None:
        losses.add("unresolved", name)
        return []
    if "html" in part.content_type:
        return parse_html(part.blob).blocks
    if part.content_type.endswith(".main+xml"):
        return parse_docx(part.blob).blocks
    losses.add("unresolved", f"{part.partname} ({part.content_type})")
    return []


def _join_list_items(blocks: list[Block]) -> list[Block]:
    """Neighbouring list items become one block, a line each."""
    joined: list[Block] = []
    for block in blocks:
        is_item = not block.level and _ITEM.match(block.text)
        if is_item and joined and not joined[-1].level and _ITEM.match(joined[-1].text):
            joined[-1] = Block(f"{joined[-1].text}\n{block.text}")
        else:
            joined.append(block)
    return joined
