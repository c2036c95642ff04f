"""HTML: the main content with its headings, lists, tables and code; navigation and page furniture left out."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from lxml import etree, html

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, one_line
from embed_pipeline.corpus.parsers.encoding import decode
from embed_pipeline.corpus.parsers.html_metadata import page_metadata
from embed_pipeline.corpus.parsers.html_parts import Parts, shown_texts
from embed_pipeline.corpus.parsers.html_reader import Reader
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.metadata import About

_CHARSET = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w.:-]+)|\A\s*<\?xml[^>]{0,100}encoding\s*=\s*[\"']([\w.:-]+)",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_COMMENT_BYTES = re.compile(rb"<!--.*?-->", re.DOTALL)
_MUCH_TOO_LITTLE = 0.25
_LONG_TAG = re.compile(r"<[A-Za-z][^<>]{50000,}")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_MOST_ATTRIBUTES = 10_000


class EmptyPageError(UnreadableError):
    """There is nothing to read in a page."""


def parse_html(data: bytes) -> Extracted:
    """The main content, else everything but navigation when that would lose most of the text.

    Raises:
        UnreadableError: there is no HTML in the file, or it is nested too deeply to be read whole.
    """
    undecoded = Losses()
    tree = _tree(decode(data, declared_charset(data), undecoded))
    body = tree.xpath("//main|//*[@role='main']") or tree.xpath("//article")
    chosen, losses = _read(tree, body[0] if len(body) == 1 else tree, main_only=True)
    if _size(chosen) < _MUCH_TOO_LITTLE * sum(map(len, shown_texts(tree))):
        everything, all_losses = _read(tree, tree, main_only=False)
        if _size(chosen) < _MUCH_TOO_LITTLE * _size(everything):
            chosen, losses = everything, all_losses
    losses.take(undecoded.told())
    about = About(losses)
    page_metadata(tree, about)
    title = one_line("".join(tree.xpath("(//title[not(ancestor::svg)])[1]//text()")))
    return Extracted(chosen, title, losses.told(), about.told())


def declared_charset(data: bytes) -> str | None:
    """The encoding that a page names at its beginning."""
    declared = _CHARSET.search(_COMMENT_BYTES.sub(b"", data[:4096]))
    return (declared.group(1) or declared.group(2)).decode("ascii", "ignore") if declared else None


def fragment_text(source: str, losses: Losses | None = None) -> str:
    """Text of a piece of HTML, blocks on lines of their own; comments give nothing.

    Args:
        losses: where what is left out is told.
    """
    losses = Losses() if losses is None else losses
    for comment in _COMMENT.findall(source):
        losses.add("comment", comment.removeprefix("<!--").removesuffix("-->"))
    source = _COMMENT.sub("", source)
    if not source.strip():
        return ""
    tree = _tree(f"<div>{source}</div>")
    return "\n".join(block.text for block in Reader(Parts(tree, main_only=False), losses, _tree).read(tree))


def _tree(text: str) -> Any:
    """The page as a tree, whatever the length of its texts.

    Raises:
        UnreadableError: there is none, or more than the 2,048 levels that libxml2 goes down, which then stops reading,
            or an element with more attributes than it reads in a bearable time (which grows with their square).
    """
    if any(len(_QUOTED.sub("", tag).split()) > _MOST_ATTRIBUTES for tag in _LONG_TAG.findall(text)):
        raise UnreadableError(f"one of its elements has more than {_MOST_ATTRIBUTES:,} attributes")
    parser = html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree = html.document_fromstring(text.replace("\0", "").encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        raise EmptyPageError("there is no HTML in it") from error
    if any(entry.level == etree.ErrorLevels.FATAL for entry in parser.error_log):
        raise UnreadableError("its elements are nested more than 2,048 levels deep, and it would not be read whole")
    return tree


def _size(blocks: Iterable[Block]) -> int:
    return sum(len(block.text) for block in blocks)


def _read(tree: Any, root: Any, main_only: bool) -> tuple[list[Block], Losses]:
    losses = Losses()
    reader = Reader(Parts(tree, main_only), losses, _tree)
    for around in _around(tree, root):
        if isinstance(around, str):
            losses.add("navigation", around)
        else:
            reader.leave_out("navigation", around)
    return reader.read(root), losses


def _around(tree: Any, root: Any) -> Iterator[Any]:
    """Elements and texts beside an element and beside all that hold it; the head of the page has only its title."""
    inner = root
    while inner is not tree:
        outer = inner.getparent()
        texts = [outer.text, *(child.tail for child in outer)]
        yield from (text for text in texts if text and text.strip())
        yield from (child for child in outer if child is not inner and child.tag != "head")
        inner = outer
