"""The parts of an Office file: a zip archive whose parts have types and point to one another.

Read here rather than with python-docx, which refuses what Word opens: a relationship that leads nowhere, the strict
variant of the format, elements nested more than 256 levels deep, texts of more than 10 MB.
"""

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from lxml import etree

from embed_pipeline.corpus.parsers.blocks import UnreadableError

_MAX_UNPACKED = 1_000_000_000
_OLE = b"\xd0\xcf\x11\xe0"
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/([\w-]+)/(\w+)")
_TYPES = "{http://schemas.openxmlformats.org/package/2006/content-types}"
_DAMAGED = (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, EOFError, OSError, zlib.error)


class Package:
    """A Word document's parts.

    Raises:
        UnreadableError: not a .docx file, encrypted, or damaged.
    """

    def __init__(self, data: bytes) -> None:
        if data.startswith(_OLE):
            raise UnreadableError("an encrypted Word document, or one of the old .doc format")
        with _reasons():
            self._archive = zipfile.ZipFile(io.BytesIO(data))
            if sum(entry.file_size for entry in self._archive.infolist()) > _MAX_UNPACKED:
                raise UnreadableError("unpacks to more than 1 GB")
        self._names = {f"/{name}".lower(): name for name in self._archive.namelist()}
        self.main = self._main()

    def _main(self) -> str:
        for kind, target in self._relationships("").values():
            if kind.endswith("/officeDocument") and self.content_type(target).endswith(".main+xml"):
                return target
        raise UnreadableError("not a valid Word document (.docx)")

    def content_type(self, name: str) -> str:
        """What a part holds; empty when the file does not say."""
        overrides, defaults = self._types
        return overrides.get(name.lower()) or defaults.get(posixpath.splitext(name)[1].lstrip(".").lower(), "")

    def data(self, name: str) -> bytes:
        """A part as it stands in the file."""
        with _reasons():
            return self._archive.read(self._names[name.lower()])

    def root(self, name: str) -> Any:
        """A part as a tree, the names of the strict variant by those of the other."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
        with _reasons():
            return etree.fromstring(
                _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", self.data(name)), parser
            )

    def roots(self, content_type: str) -> Iterator[Any]:
        """Trees of the parts whose content type ends so, in the order of the file."""
        for name in self._names:
            if self.content_type(name).endswith(f".{content_type}"):
                yield self.root(name)

    def target(self, relationship: str) -> str | None:
        """The part that the document's text points to; None when there is none."""
        _, name = self._relationships(self.main).get(relationship, ("", ""))
        return name if name.lower() in self._names else None

    def _relationships(self, source: str) -> dict[str, tuple[str, str]]:
        """Type and part by id, of what a part points to within the file."""
        folder, name = posixpath.split(source)
        path = posixpath.join(folder, "_rels", f"{name}.rels") if source else "/_rels/.rels"
        if path.lower() not in self._names:
            return {}
        return {
            one.get("Id", ""): (
                one.get("Type", ""),
                posixpath.normpath(posixpath.join(folder or "/", one.get("Target", ""))),
            )
            for one in self.root(path)
            if isinstance(one.tag, str) and one.get("TargetMode") != "External"
        }

    @cached_property
    def _types(self) -> tuple[dict[str, str], dict[str, str]]:
        root = self.root("/[Content_Types].xml")
        overrides = {
            one.get("PartName", "").lower(): one.get("ContentType", "") for one in root.iter(f"{_TYPES}Override")
        }
        defaults = {
            one.get("Extension", "").lower(): one.get("ContentType", "") for one in root.iter(f"{_TYPES}Default")
        }
        return overrides, defaults


@contextmanager
def _reasons() -> Iterator[None]:
    """What goes wrong in an archive as the reason for skipping it."""
    try:
        yield
    except (*_DAMAGED, etree.XMLSyntaxError) as error:
        if "encrypted" in str(error):
            raise UnreadableError("an encrypted archive") from error
        raise UnreadableError("not a valid Word document (.docx)") from error
