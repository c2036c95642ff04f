import datetime as dt
import io

import pytest

from embed_pipeline.corpus.parsers.blocks import UnreadableError, join_blocks
from embed_pipeline.corpus.parsers.xlsx import parse_xlsx

pytest.importorskip("python_calamine", reason="the extra documents is not installed")
xlsxwriter = pytest.importorskip("xlsxwriter", reason="comes with python-pptx")


def workbook(**sheets) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"default_date_format": "yyyy-mm-dd"}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for column, cell in enumerate(row):
                    if cell is not None:
                        sheet.write(number, column, cell)
    return buffer.getvalue()


def test_golden_workbook():
    rows = [
        [None, "pump", "price", "since"],
        [None, "P-101", 199, dt.date(2024, 5, 1)],
        [None, "P-102", 249.5, None],
        [],
        [None, None, "All in euro", None],
    ]
    text, sections = join_blocks(parse_xlsx(workbook(Prices=rows, Empty=[], Stock=[["left", True]])).blocks)
    assert [section.heading for section in sections] == ["Prices", "Stock"]
    assert text == (
        "Prices\n\npump | price | since\nP-101 | 199 | 2024-05-01\nP-102 | 249.5 |\n\nAll in euro\n\n"
        "Stock\n\nleft | TRUE"
    )


@pytest.mark.parametrize(
    ("data", "reason"), [(b"\xd0\xcf\x11\xe0" + b"x" * 99, "encrypted"), (b"no zip", "not a valid")]
)
def test_unusable_workbooks(data, reason):
    with pytest.raises(UnreadableError, match=reason):
        parse_xlsx(data)


def test_another_archive():
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("hello.txt", "x")
    with pytest.raises(UnreadableError, match="not a valid Excel workbook"):
        parse_xlsx(buffer.getvalue())
