import io
import zipfile

import docx
import pytest
from docx.oxml import parse_xml

from embed_pipeline.corpus.parsers.blocks import UnreadableError, join_blocks
from embed_pipeline.corpus.parsers.docx import parse_docx

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def saved(document) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def test_golden_document():
    document = docx.Document()
    document.core_properties.title = "Handbook"
    document.add_heading("Merrin", 0)
    document.add_heading("Limits", 2)
    document.add_paragraph("Wind at the cradle.")
    document.add_paragraph("first", style="List Bullet")
    document.add_paragraph("second", style="List Number")
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ("machine", "wind", "Merrin", "11 m/s"), strict=True):
        cell.text = text
    document.add_paragraph("After the table.")
    extracted = parse_docx(saved(document))
    text, sections = join_blocks(extracted.blocks)
    assert extracted.title == "Handbook"
    assert [(section.heading, section.level) for section in sections] == [("Merrin", 1), ("Limits", 2)]
    assert text == (
        "Merrin\n\nLimits\n\nWind at the cradle.\n\n- first\n1. second\n\nmachine | wind\nMerrin | 11 m/s\n\n"
        "After the table."
    )


def test_insertions_and_content_controls_are_read_and_deletions_are_not():
    document = docx.Document()
    body = document.element.body
    body.insert(
        0,
        parse_xml(f"<w:sdt {WORD}><w:sdtContent><w:p><w:r><w:t>In a control.</w:t></w:r></w:p></w:sdtContent></w:sdt>"),
    )
    body.insert(
        1,
        parse_xml(
            f"<w:p {WORD}><w:r><w:t>Kept </w:t></w:r><w:ins><w:r><w:t>inserted</w:t></w:r></w:ins>"
            "<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del><w:r><w:tab/><w:t>end</w:t></w:r></w:p>"
        ),
    )
    assert join_blocks(parse_docx(saved(document)).blocks)[0] == "In a control.\n\nKept inserted\tend"


def other_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("hello.txt", "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xd0\xcf\x11\xe0" + b"x" * 500, "encrypted"),
        (b"garbage", "not a valid Word document"),
        (saved(docx.Document())[:500], "not a valid Word document"),
        (other_zip(), "not a valid Word document"),
    ],
)
def test_unusable_documents(data, reason):
    with pytest.raises(UnreadableError, match=reason):
        parse_docx(data)
