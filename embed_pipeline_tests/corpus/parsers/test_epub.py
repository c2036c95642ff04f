import io
import zipfile

import pytest

from embed_pipeline.corpus.parsers.blocks import UnreadableError, join_blocks
from embed_pipeline.corpus.parsers.epub import parse_epub
from embed_pipeline.corpus.parsers.file import FileBatch, parse_batch
from embed_pipeline.files import sha256_bytes

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>The lofted platform</dc:title></metadata>
<manifest>
<item id="two" href="text/chapter%202.xhtml" media-type="application/xhtml+xml"/>
<item id="one" href="text/chapter1.xhtml" media-type="application/xhtml+xml"/>
<item id="toc" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>
<item id="cover" href="cover.xhtml" media-type="application/xhtml+xml"/>
</manifest>
<spine><itemref idref="cover"/><itemref idref="toc"/><itemref idref="one"/><itemref idref="two"/></spine>
</package>"""
PAGE = '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><body>{}</body></html>'
FILES = {
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": PACKAGE,
    "OEBPS/cover.xhtml": PAGE.format('<img src="cover.jpg"/>'),
    "OEBPS/nav.xhtml": PAGE.format("<nav><ol><li>Contents of the book</li></ol></nav>"),
    "OEBPS/text/chapter1.xhtml": PAGE.format("<h1>Lofting</h1><p>The drum turns slowly — è vero.</p>"),
    "OEBPS/text/chapter 2.xhtml": PAGE.format("<h1>Reeling in</h1><p>Wind is measured at the cradle.</p>"),
}


def book(**changed) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {**FILES, **changed.get("files", {})}.items():
            if content is not None:
                archive.writestr(name, content)
    return buffer.getvalue()


def test_golden_book():
    extracted = parse_epub(book())
    text, sections = join_blocks(extracted.blocks)
    assert extracted.title == "The lofted platform"
    assert [section.heading for section in sections] == ["Lofting", "Reeling in"]
    assert text == ("Lofting\n\nThe drum turns slowly — è vero.\n\nReeling in\n\nWind is measured at the cradle.")


def test_a_book_is_called_by_its_title_and_not_by_its_first_chapter(tmp_path):
    for name, content in {
        "a.epub": book(),
        "b.epub": book(files={"OEBPS/book.opf": PACKAGE.replace("The lofted platform", "")}),
    }.items():
        (tmp_path / name).write_bytes(content)
    files = [(name, sha256_bytes((tmp_path / name).read_bytes())) for name in ("a.epub", "b.epub")]

    read = [row for row in parse_batch(FileBatch(tmp_path, files, 1)) if isinstance(row, dict)]
    assert [row["title"] for row in read] == ["The lofted platform", "Lofting"]


def encryption(name: str) -> dict[str, str]:
    return {"META-INF/encryption.xml": f'<encryption><CipherReference URI="{name}"/></encryption>'}


def test_obfuscated_fonts_do_not_hide_the_text():
    assert "cradle" in join_blocks(parse_epub(book(files=encryption("OEBPS/fonts/a.otf"))).blocks)[0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no zip", "not a valid EPUB"),
        (book(files={"META-INF/container.xml": None}), "package file is missing"),
        (book(files={"OEBPS/book.opf": "<package"}), "is damaged"),
        (book(files=encryption("OEBPS/text/chapter1.xhtml")), "DRM"),
    ],
)
def test_unusable_books(data, reason):
    with pytest.raises(UnreadableError, match=reason):
        parse_epub(data)


def test_a_chapter_that_is_not_in_the_book_is_told_and_one_too_deep_is_not_cut():
    extracted = parse_epub(book(files={"OEBPS/text/chapter1.xhtml": None}))
    assert [(loss.kind, loss.examples) for loss in extracted.losses if loss.kind == "unresolved"] == [
        ("unresolved", ("OEBPS/text/chapter1.xhtml",))
    ]
    deep = PAGE.format("<div>" * 3000 + "x")
    with pytest.raises(UnreadableError, match="nested more than"):
        parse_epub(book(files={"OEBPS/text/chapter1.xhtml": deep}))
