"""The properties of an Office file (``docProps/core.xml``): title, author, date, keywords, category, language."""

import io
import zipfile
import zlib
from typing import Any

from lxml import etree

from embed_pipeline.corpus.parsers.blocks import one_line
from embed_pipeline.corpus.parsers.metadata import About

_CORE = "{http://schemas.openxmlformats.org/package/2006/metadata/core-properties}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_TERMS = "{http://purl.org/dc/terms/}"
_PLACE = "docprops/core.xml"
_MAX_BYTES = 20_000_000
_FIELDS = (
    ("date", f"{_TERMS}created"),
    ("date", f"{_TERMS}modified"),
    ("tags", f"{_CORE}keywords"),
    ("groups", f"{_CORE}category"),
    ("author", f"{_DC}creator"),
    ("language", f"{_DC}language"),
)
_NO_TITLES = frozenset({"word document", "document", "untitled", "title", "powerpoint presentation", "presentation"})
_PROGRAMS = frozenset({"microsoft office user", "python-docx", "python-pptx", "openpyxl", "apache poi", "steve canny"})
"""What programs write for an author."""


def tell_properties(roots: Any, about: About) -> str:
    """Tell what the properties say.

    Args:
        roots: their trees; most files have one.

    Returns:
        The title; empty where there is none, or the one that programs give.
    """
    title = ""
    for root in roots:
        for name, tag in _FIELDS:
            text = "".join("".join(root.itertext(tag)).split("\0"))
            if not (name == "author" and text.strip().lower() in _PROGRAMS):
                about.add(name, text)
        title = title or one_line("".join(root.itertext(f"{_DC}title")))
    return "" if title.lower() in _NO_TITLES else title


def properties_of(data: bytes) -> list[Any]:
    """The properties of a presentation or a workbook as trees; none where they are missing or damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            named = {entry.filename.lower().lstrip("/"): entry for entry in archive.infolist()}
            entry = named.get(_PLACE)
            if entry is None or entry.file_size > _MAX_BYTES:
                return []
            parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
            return [etree.fromstring(archive.read(entry), parser)]
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, zlib.error, etree.XMLSyntaxError):
        return []
