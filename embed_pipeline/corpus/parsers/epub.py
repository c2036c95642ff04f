"""EPUB books: their chapters in the order of reading, each read as HTML."""

import io
import posixpath
import zipfile
from typing import Any
from urllib.parse import unquote

from embed_pipeline.corpus.parsers.archives import checked_zip
from embed_pipeline.corpus.parsers.blocks import Extracted, UnreadableError, one_line
from embed_pipeline.corpus.parsers.html import EmptyPageError, parse_html
from embed_pipeline.corpus.parsers.losses import Losses, joined
from embed_pipeline.corpus.parsers.metadata import About

_FIELDS = {"url": "identifier", "date": "date", "tags": "subject", "author": "creator", "language": "language"}
_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"


def parse_epub(data: bytes) -> Extracted:
    """The documents of the spine; the table of contents is none of them.

    Raises:
        UnreadableError: not an EPUB, protected (DRM), or damaged.
    """
    checked_zip(data, "EPUB book (.epub)")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        try:
            package = _xml(archive, _CONTAINER).xpath("string(//*[local-name()='rootfile']/@full-path)")
            book = _xml(archive, package)
        except KeyError as error:
            raise UnreadableError("not a valid EPUB book (.epub): its package file is missing") from error
        names = _chapters(book, posixpath.dirname(package))
        if set(names) & _encrypted(archive):
            raise UnreadableError("a protected EPUB book (DRM)")
        there = set(archive.namelist())
        chapters = [_chapter(archive.read(name)) if name in there else _missing(name) for name in names]
    losses = Losses()
    about = About(losses)
    _tell(book, about)
    title = one_line(book.xpath("string(//*[local-name()='metadata']/*[local-name()='title'])"))
    blocks = [block for chapter in chapters for block in chapter.blocks]
    told = joined([losses.told(), *(chapter.losses for chapter in chapters)])
    return Extracted(blocks, title, told, about.told(), is_collection=True)


def _tell(book: Any, about: About) -> None:
    """What the package file says: Dublin Core, and the collection or series that the book belongs to."""
    for name, element in _FIELDS.items():
        for node in book.xpath(f"//*[local-name()='metadata']//*[local-name()='{element}']"):
            text = "".join(node.itertext()).strip()
            if name != "url" or text.lower().startswith(("http://", "https://")):  # identifiers are mostly numbers
                about.add(name, text)
    for collection in book.xpath("//*[local-name()='meta'][@property='belongs-to-collection']"):
        about.add("groups", ["".join(collection.itertext())])
    for series in book.xpath("//*[local-name()='meta'][@name='calibre:series']/@content"):
        about.add("groups", [series])


def _chapter(data: bytes) -> Extracted:
    """A page of a book; one that is a picture alone has no text."""
    try:
        return parse_html(data)
    except EmptyPageError:
        return Extracted([])


def _missing(name: str) -> Extracted:
    losses = Losses()
    losses.add("unresolved", name, characters=0)
    return Extracted([], losses=losses.told())


def _chapters(book: Any, folder: str) -> list[str]:
    """Names of the spine's documents in the archive."""
    items = {
        item.get("id"): item
        for item in book.xpath("//*[local-name()='manifest']/*[local-name()='item']")
        if "nav" not in (item.get("properties") or "").split()
    }
    spine = [items.get(entry.get("idref")) for entry in book.xpath("//*[local-name()='itemref']")]
    return [posixpath.normpath(posixpath.join(folder, unquote(item.get("href")))) for item in spine if item is not None]


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    if _ENCRYPTION not in archive.namelist():
        return set()
    return {unquote(uri) for uri in _xml(archive, _ENCRYPTION).xpath("//*[local-name()='CipherReference']/@URI")}


def _xml(archive: zipfile.ZipFile, name: str) -> Any:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        return etree.fromstring(archive.read(name), parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableError(f"not a valid EPUB book (.epub): {name} is damaged") from error
