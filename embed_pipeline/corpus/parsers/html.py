"""HTML: the main content with its headings, lists, tables and code; navigation and page furniture left out."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lxml import etree, html

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, list_item, one_line, table_rows
from embed_pipeline.corpus.parsers.text import decode


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w-]+)", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_BREAK = "\x1e"
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NEVER = _names(
    "head script style noscript template nav svg iframe object embed audio video canvas button select input "
    "textarea datalist"
)
_FURNITURE_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "menu", "menubar", "toolbar"})
_FURNITURE_NAMES = _names(
    "nav navbar navigation sidebar breadcrumb breadcrumbs footer site-footer page-footer site-header menu toc "
    "table-of-contents cookie-banner cookie-consent skip-link pagination sphinxsidebar related wy-nav-side "
    "wy-breadcrumbs rst-footer-buttons"
)
_LINK_MARKS = frozenset({"headerlink", "anchor-link", "hash-link", "header-anchor", "heading-anchor"})
_CONTENT = frozenset({"html", "body", "main", "article"})
_BLOCKS = _names(
    "address article aside blockquote body center dd details dialog div dt fieldset figcaption figure footer form "
    "header hgroup html legend li main p search section summary tbody td tfoot th thead tr caption"
)
_MUCH_TOO_LITTLE = 0.25


def parse_html(data: bytes) -> Extracted:
    """The main content, else everything but navigation when that would lose most of the text.

    Raises:
        UnreadableError: there is no HTML in the file.
    """
    declared = _CHARSET.search(data[:4096])
    tree = _tree(decode(data, declared.group(1).decode("ascii") if declared else None))
    everything = _read(tree, main_only=False)
    body = tree.xpath("//main|//*[@role='main']") or tree.xpath("//article")
    chosen = _read(body[0] if len(body) == 1 else tree, main_only=True)
    if _size(chosen) < _MUCH_TOO_LITTLE * _size(everything):
        chosen = everything
    return Extracted(chosen, one_line("".join(tree.xpath("(//title)[1]//text()"))))


def fragment_text(source: str) -> str:
    """Text of a piece of HTML, blocks on lines of their own; comments give nothing."""
    source = _COMMENT.sub("", source)
    if not source.strip():
        return ""
    return "\n".join(block.text for block in _read(_tree(f"<div>{source}</div>"), main_only=False))


def _tree(text: str) -> Any:
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        return html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        raise UnreadableError("there is no HTML in it") from error


def _size(blocks: Iterable[Block]) -> int:
    return sum(len(block.text) for block in blocks)


def _read(element: Any, main_only: bool) -> list[Block]:
    reader = _Reader(main_only)
    reader.read(element)
    reader.flush()
    return reader.blocks


class _Reader:
    """Walks a tree, gathering inline text until a block-level element starts or ends."""

    def __init__(self, main_only: bool) -> None:
        self.blocks: list[Block] = []
        self._main_only = main_only
        self._inline: list[str] = []

    def flush(self) -> None:
        """End the running paragraph."""
        lines = (" ".join(line.split()) for line in "".join(self._inline).split(_BREAK))
        self._add("\n".join(line for line in lines if line))
        self._inline.clear()

    def read(self, element: Any) -> None:
        """One element without the text that follows it."""
        tag = element.tag
        if not isinstance(tag, str) or self._is_furniture(element):
            return
        if tag == "br":
            self._inline.append(_BREAK)
        elif tag == "noframes" and (element.text or "").strip():  # its content is not parsed
            self.flush()
            self.blocks += _read(_tree(element.text), self._main_only)
        elif tag in _HEADINGS:
            self._block(one_line(self._text(element)), _HEADINGS[tag])
        elif tag == "pre":
            self._block(_verbatim(element))
        elif tag in ("ul", "ol", "menu", "dir"):
            self._block(self._list(element))
        elif tag == "dl":
            self._block(self._definitions(element))
        elif tag == "table" and not _is_layout(element):
            self._block(self._table(element))
        elif tag in _BLOCKS or tag == "table":
            self.flush()
            self._children(element)
            self.flush()
        else:
            self._children(element)

    def _block(self, text: str, level: int = 0) -> None:
        self.flush()
        self._add(text, level)

    def _add(self, text: str, level: int = 0) -> None:
        if text.strip():
            self.blocks.append(Block(text, level))

    def _children(self, element: Any) -> None:
        self._inline.append(element.text or "")
        for child in element:
            self.read(child)
            self._inline.append(child.tail or "")

    def _text(self, element: Any) -> str:
        """Text of an element's inside, blocks on lines of their own."""
        reader = _Reader(self._main_only)
        reader._children(element)
        reader.flush()
        return "\n".join(block.text for block in reader.blocks)

    def _list(self, element: Any) -> str:
        ordered = element.tag == "ol"
        texts = [text for text in (self._text(item) for item in element if isinstance(item.tag, str)) if text.strip()]
        return "\n".join(list_item(f"{n}. " if ordered else "- ", text) for n, text in enumerate(texts, 1))

    def _definitions(self, element: Any) -> str:
        lines = []
        for item in element.iter("dt", "dd"):
            if next(item.iterancestors("dl")) is element:
                text = self._text(item)
                lines.append(text if item.tag == "dt" else list_item("  ", text))
        return "\n".join(line for line in lines if line.strip())

    def _table(self, element: Any) -> str:
        rows: Sequence[Sequence[str]] = [
            [self._text(cell) for cell in row if cell.tag in ("td", "th")]
            for row in element.iter("tr")
            if next(row.iterancestors("table")) is element
        ]
        captions = [self._text(caption) for caption in element.iterchildren("caption")]
        return "\n".join(text for text in (*captions, table_rows(rows)) if text.strip())

    def _is_furniture(self, element: Any) -> bool:
        """Not content: scripts, controls, navigation; page header, footer and the like if asked for."""
        names = {*element.get("class", "").lower().split(), element.get("id", "").lower()}
        if element.tag in _NEVER or "hidden" in element.attrib or names & _LINK_MARKS:
            return True
        if "display:none" in element.get("style", "").replace(" ", "").lower():
            return True
        if not self._main_only or element.tag in _CONTENT:
            return False
        if element.tag in ("header", "footer"):
            return not any(True for _ in element.iterancestors("article", "main", "section"))
        return element.get("role") in _FURNITURE_ROLES or bool(names & _FURNITURE_NAMES)


def _is_layout(table: Any) -> bool:
    """A table that only arranges the page: it holds headings, or tables but no head cell, or a single column."""
    if next(table.iter("h1", "h2", "h3", "h4"), None) is not None:
        return True
    if any(inner is not table for inner in table.iter("table")) and next(table.iter("th"), None) is None:
        return True
    return all(sum(cell.tag in ("td", "th") for cell in row) <= 1 for row in table.iter("tr"))


def _verbatim(element: Any) -> str:
    """Text of a ``pre`` as it stands."""
    for line_break in element.iter("br"):
        line_break.tail = "\n" + (line_break.tail or "")
    return "".join(element.itertext()).strip("\n")
