"""What a PDF tells of itself: its info dictionary, its language, and XMP where the dictionary is silent."""

import re
from ctypes import create_string_buffer
from typing import Any

from lxml import etree

from embed_pipeline.corpus.parsers.metadata import About

_INFO = {"date": ("CreationDate", "ModDate"), "tags": ("Keywords",), "author": ("Author",)}
_PACKET = re.compile(rb"<x:xmpmeta\b.{0,1000000}?</x:xmpmeta>", re.DOTALL)
_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "pdf": "http://ns.adobe.com/pdf/1.3/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}
_LANGUAGE_BYTES = 200
_TITLE = "(//dc:title//rdf:li)[1]//text()"
_XMP = {
    "date": ("xmp:CreateDate", "xmp:ModifyDate"),
    "tags": ("dc:subject//rdf:li", "pdf:Keywords"),
    "author": ("dc:creator//rdf:li",),
}


def tell_pdf(document: Any, data: bytes, about: About) -> str:
    """Tell what the document says of itself.

    Args:
        document: of pypdfium2.
        data: the file, which is searched for XMP; of several packets, as pictures bring them, none is read.

    Returns:
        The title as it stands there; may be empty.
    """
    title = _info(document, "Title")
    for name, keys in _INFO.items():
        for key in keys:
            about.add(name, _info(document, key))
    about.add("language", _language(document))
    packet = _xmp(data)
    if packet is None:
        return title
    silent = _XMP.keys() - about.told().keys()
    for name, path in ((name, path) for name, paths in _XMP.items() if name in silent for path in paths):
        attribute = "" if "//" in path else f" | //@{path}"
        for node in packet.xpath(f"//{path}{attribute}", namespaces=_NAMESPACES):
            about.add(name, node if isinstance(node, str) else "".join(node.itertext()))
    return title or "".join(packet.xpath(_TITLE, namespaces=_NAMESPACES))


def _info(document: Any, key: str) -> str:
    """Of the info dictionary; what is no character there stands as U+FFFD."""
    import pypdfium2.raw as pdfium

    name = f"{key}\0".encode()
    length = pdfium.FPDF_GetMetaText(document, name, None, 0)
    text = create_string_buffer(length)
    pdfium.FPDF_GetMetaText(document, name, text, length)
    return text.raw[: max(length - 2, 0)].decode("utf-16-le", "replace")


def _xmp(data: bytes) -> Any:
    packets = _PACKET.findall(data)
    if len(packets) != 1:
        return None
    try:
        return etree.fromstring(packets[0], etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return None


def _language(document: Any) -> str:
    """Of the catalog; empty where it names none."""
    import pypdfium2.raw as pdfium

    ask = getattr(pdfium, "FPDFCatalog_GetLanguage", None)  # the first ones of version 5 lack it
    length = ask(document, None, 0) if ask is not None else 0
    if ask is None or not 2 < length < _LANGUAGE_BYTES:
        return ""
    units = (pdfium.FPDF_WCHAR * (length // 2))()
    ask(document, units, length)
    return bytes(units)[: length - 2].decode("utf-16-le", "replace")
