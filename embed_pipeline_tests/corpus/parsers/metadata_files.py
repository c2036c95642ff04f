"""A file of each format that tells the same of itself, and a hostile one of each."""

import io
import zipfile
from collections.abc import Mapping
from xml.sax.saxutils import escape

import pytest

from embed_pipeline_tests.corpus.parsers.pdf_files import make_pdf

TEXT = "The pump is primed."
LONG = ",".join(f"tag{number}" for number in range(40_000))
BOMB = "javascript:alert(document.cookie)"


def archive(parts: Mapping[str, str | bytes]) -> bytes:
    """A zip archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in parts.items():
            made.writestr(name, text)
    return data.getvalue()


# -- Office ----------------------------------------------------------------------------------------------


def core(
    *,
    title="Pumps",
    creator="Ada Lovelace",
    keywords="pumps; high water",
    category="",
    created="",
    language="",
    head="",
) -> str:
    """The properties of an Office file."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<cp:coreProperties '
        'xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<dc:title>{title}</dc:title><dc:creator>{creator}</dc:creator><cp:keywords>{keywords}</cp:keywords>"
        f"<cp:category>{category}</cp:category><dc:language>{language}</dc:language>"
        f'<dcterms:created xsi:type="dcterms:W3CDTF">{created}</dcterms:created></cp:coreProperties>'
    )


def office(name: str, properties: str) -> bytes:
    """A document, presentation or workbook with a sentence, made by the usual libraries, and these properties."""
    data = io.BytesIO()
    {"docx": _docx, "pptx": _pptx, "xlsx": _xlsx}[name.rpartition(".")[2]](data)
    with zipfile.ZipFile(data) as made:
        parts = {entry: made.read(entry) for entry in made.namelist()}
    return archive({**parts, "docProps/core.xml": properties})


def _docx(data: io.BytesIO) -> None:
    import docx

    document = docx.Document()
    document.add_paragraph(TEXT)
    document.save(data)


def _pptx(data: io.BytesIO) -> None:
    pptx = pytest.importorskip("pptx", reason="the extra documents is not installed")
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[6])
    slide.shapes.add_textbox(0, 0, 5_000_000, 1_000_000).text_frame.text = TEXT
    presentation.save(data)


def _xlsx(data: io.BytesIO) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter", reason="comes with python-pptx")
    with xlsxwriter.Workbook(data) as workbook:
        workbook.add_worksheet().write_string(0, 0, TEXT)


_GOOD_CORE = core(category="Manuals", created="2026-01-31T09:00:00Z", language="en-gb")
_ENTITY = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd"><!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>'
_BAD_CORE = core(
    title="&a;&c;", keywords=LONG, category="x" * 9000, created="31 of never", language="x" * 9000, head=_ENTITY
)


# -- EPUB ------------------------------------------------------------------------------------------------


def _book(metadata: str) -> bytes:
    page = f"<html><head><title>1</title></head><body><p>{TEXT}</p></body></html>"
    container = '<container><rootfiles><rootfile full-path="book.opf"/></rootfiles></container>'
    package = (
        '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        f"<dc:title>Pumps</dc:title>{metadata}</metadata>"
        '<manifest><item id="a" href="a.xhtml"/></manifest><spine><itemref idref="a"/></spine></package>'
    )
    return archive({"META-INF/container.xml": container, "book.opf": package, "a.xhtml": page})


# -- PDF -------------------------------------------------------------------------------------------------

XMP = """<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:dc='http://purl.org/dc/elements/1.1/'
 xmlns:xmp='http://ns.adobe.com/xap/1.0/'><rdf:Description xmp:CreateDate='2026-01-31T10:00:00Z'>
<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>Pumps of the world</rdf:li></rdf:Alt></dc:title>
<dc:creator><rdf:Seq><rdf:li>Ada Lovelace</rdf:li></rdf:Seq></dc:creator>
<dc:subject><rdf:Bag><rdf:li>pumps</rdf:li><rdf:li>high water</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"""


def _pdf(info: str, language: str, xmp: tuple[str, ...] = ()) -> bytes:
    return make_pdf([[(72, 700, TEXT)]], title="Pumps", details=info, language=language, xmp=xmp)


# -- all of them -----------------------------------------------------------------------------------------

GOOD: dict[str, bytes] = {
    "pumps.md": f"""---
title: Pumps
url: https://a.example/pumps
date: 2026-01-31
tags: [pumps, high water]
categories: Manuals
author: Ada Lovelace
lang: en-GB
---

{TEXT}
""".encode(),
    "pumps.rst": f"""Pumps
=====

:URL: https://a.example/pumps
:Date: 2026-01-31
:Tags: pumps, high water
:Category: Manuals
:Author: Ada Lovelace
:Lang: en-GB

{TEXT}
""".encode(),
    "pumps.html": f"""<!doctype html><html lang="en-GB"><head><title>Pumps</title>
<link rel="canonical" href="https://a.example/pumps"><meta property="article:published_time" content="2026-01-31">
<meta name="keywords" content="pumps, high water"><meta property="article:section" content="Manuals">
<meta name="author" content="Ada Lovelace"></head><body><p>{TEXT}</p></body></html>""".encode(),
    "pumps.pdf": _pdf(
        "/CreationDate (D:20260131100000+01'00') /Keywords (pumps; high water) /Author (Ada Lovelace)", "en-GB"
    ),
    "xmp.pdf": _pdf("", "en-GB", (XMP,)),
    "pumps.docx": office("pumps.docx", _GOOD_CORE),
    "pumps.pptx": office("pumps.pptx", _GOOD_CORE),
    "pumps.xlsx": office("pumps.xlsx", _GOOD_CORE),
    "pumps.epub": _book(
        "<dc:identifier>urn:isbn:9780000000000</dc:identifier><dc:identifier>https://a.example/pumps</dc:identifier>"
        "<dc:date>2026-01-31</dc:date><dc:subject>pumps</dc:subject><dc:subject>high water</dc:subject>"
        "<dc:creator>Ada Lovelace</dc:creator><dc:language>en-GB</dc:language>"
        '<meta property="belongs-to-collection">Manuals</meta>'
    ),
    "pumps.eml": (
        "From: Ada Lovelace <ada@a.example>\nSubject: Pumps\nDate: Sat, 31 Jan 2026 10:00:00 +0100\n"
        "Keywords: pumps, high water\nArchived-At: <https://a.example/pumps>\nContent-Language: en-GB\n\n" + TEXT
    ).encode(),
}
LACKS = {"pumps.eml": ("author", "groups"), "pumps.pdf": ("groups",), "xmp.pdf": ("groups",)}
"""What a format has no place for, or is not told on purpose."""
WITH_URL = ("pumps.md", "pumps.rst", "pumps.html", "pumps.epub", "pumps.eml")

HOSTILE: dict[str, bytes] = {
    "bomb.md": (
        f"---\ntitle: x\nurl: {BOMB}\npermalink: 'java\\tscript:x'\ndate: never\n"
        "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\n"
        f"tags: [*b, *b, *b, {LONG[:9000]}]\nauthor: \"\\e[31m\\u202Eevil\"\n---\n\n{TEXT}\n"
    ).encode(),
    "long.md": f"---\ntitle: x\ntags: [{LONG}]\n---\n\n{TEXT}\n".encode(),
    "deep.md": f"---\ntitle: x\ntags: {'[' * 50_000}\n---\n\n{TEXT}\n".encode(),
    "bomb.rst": (
        f"Pumps\n=====\n\n:url: {BOMB}\n:date: |never|\n:tags: {LONG}\n:author: \u202eevil\x1b[31m\n\n{TEXT}\n"
    ).encode(),
    "bomb.html": (
        f'<html lang="{"x" * 9000}"><head><link rel=canonical href="{BOMB}">'
        '<meta property="og:url" content="&#106;avascript:x">'
        f'<meta name=date content="0000-00-00"><meta name=keywords content="{LONG}">'
        '<meta name=author content="&#x202e;evil&#27;">'
        + '<meta property="article:tag" content="x&#0;y">' * 5000
        + f"</head><body><p>{TEXT}</p></body></html>"
    ).encode(),
    "bomb.pdf": _pdf(f"/CreationDate (D:99999999) /Keywords ({LONG}) /Author ({'x' * 9000})", "x" * 9000, (XMP, XMP)),
    "xmp.pdf": _pdf("/CreationDate (never)", "", (_ENTITY + XMP.replace("2026-01-31", "0000-00-00"),)),
    "entity.pdf": _pdf("/CreationDate (never)", "", (XMP.replace("<rdf:li>pumps", "<rdf:li>&a;"),)),
    "bomb.docx": office("bomb.docx", _BAD_CORE),
    "bomb.pptx": office("bomb.pptx", _BAD_CORE),
    "bomb.xlsx": office("bomb.xlsx", _BAD_CORE),
    "bomb.epub": _book(
        "<dc:identifier>https://name:word@a.example/</dc:identifier>"  # pragma: allowlist secret
        f"<dc:date>{escape('<never>')}</dc:date>"
        + "<dc:subject>x</dc:subject>" * 5000 + f"<dc:subject>{LONG}</dc:subject><dc:creator>{'x' * 9000}</dc:creator>"
    ),
    "bomb.eml": (
        f"From: a@a.example\nSubject: Pumps\nDate: never\nArchived-At: <{BOMB}>\nKeywords: {LONG}\n"
        f"Content-Language: {'x' * 900}\n\n{TEXT}"
    ).encode(),
}  # fmt: skip
