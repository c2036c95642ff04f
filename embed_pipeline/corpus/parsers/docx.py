"""Word documents: headings by style, lists, tables; content controls and tracked insertions included."""

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, one_line, table_rows

_MAX_UNPACKED = 1_000_000_000
_OLE = b"\xd0\xcf\x11\xe0"
_HEADING = re.compile(r"^heading (\d)$", re.IGNORECASE)
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_BREAKS = {f"{_WORD}tab": "\t", f"{_WORD}br": "\n", f"{_WORD}cr": "\n", f"{_WORD}noBreakHyphen": "-"}


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
    except (zipfile.BadZipFile, PackageNotFoundError, KeyError, ValueError) as error:
        raise UnreadableError("not a valid Word document (.docx)") from error
    blocks = list(_blocks(document.element.body, document))
    return Extracted(_join_list_items(blocks), one_line(document.core_properties.title or ""))


def _blocks(parent: Any, document: Any) -> Iterator[Block]:
    for element in parent:
        if element.tag == f"{_WORD}p":
            yield from _paragraph(element, document)
        elif element.tag == f"{_WORD}tbl":
            yield Block(_table(element))
        elif element.tag in (f"{_WORD}sdt", f"{_WORD}sdtContent", f"{_WORD}ins", f"{_WORD}customXml"):
            yield from _blocks(element, document)


def _paragraph(element: Any, document: Any) -> Iterator[Block]:
    """A paragraph, heading or list item; entries of a table of contents give nothing."""
    from docx.text.paragraph import Paragraph

    style = Paragraph(element, document).style
    name = (style.name or "") if style is not None else ""
    text = _text(element)
    if not text.strip() or name.lower().startswith("toc "):
        return
    heading = _HEADING.match(name)
    if heading or name.lower() == "title":
        yield Block(text, int(heading.group(1)) if heading else 1)
    elif name.lower().startswith("list ") or element.find(f"{_WORD}pPr/{_WORD}numPr") is not None:
        yield Block(f"- {one_line(text)}")
    else:
        yield Block(text)


def _join_list_items(blocks: list[Block]) -> list[Block]:
    """Neighbouring list items become one block, a line each."""
    joined: list[Block] = []
    for block in blocks:
        is_item = not block.level and block.text.startswith("- ")
        if is_item and joined and not joined[-1].level and joined[-1].text.startswith("- "):
            joined[-1] = Block(f"{joined[-1].text}\n{block.text}")
        else:
            joined.append(block)
    return joined


def _text(element: Any) -> str:
    """Text of a paragraph, deleted text and the fallback copies of drawings left out."""
    parts = []
    for node in element.iter(f"{_WORD}t", *_BREAKS):
        if node.tag == f"{_WORD}tab" and node.getparent().tag == f"{_WORD}tabs":
            continue
        if next(node.iterancestors(_FALLBACK), None) is None:
            parts.append(_BREAKS.get(node.tag) or node.text or "")
    return "".join(parts)


def _table(element: Any) -> str:
    """One line a row; cells continued from the row above are empty."""
    rows = []
    for row in element.iter(f"{_WORD}tr"):
        if next(row.iterancestors(f"{_WORD}tbl")) is element:
            cells = [cell for cell in row.iter(f"{_WORD}tc") if next(cell.iterancestors(f"{_WORD}tr")) is row]
            rows.append([" ".join(_text(paragraph) for paragraph in cell.iter(f"{_WORD}p")) for cell in cells])
    return table_rows(rows)
