"""Scanned pages, made by taking pictures of pages with text."""

import io

import pytest

from embed_pipeline.corpus.parsers.blocks import UnreadableError, join_blocks
from embed_pipeline.corpus.parsers.pdf import parse_pdf, parse_pdf_with_ocr
from embed_pipeline_tests.corpus.parsers.pdf_files import column, make_pdf

LINES = ["The unit may be started by trained staff only, because", "a wrong setting can destroy it."]


def scanned(data: bytes) -> bytes:
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    pictures = [page.render(scale=1.5).to_pil().crop((0, 90, 918, 240)) for page in document]  # few dots: faster
    document.close()
    buffer = io.BytesIO()
    pictures[0].save(buffer, "pdf", resolution=108, save_all=True, append_images=pictures[1:])
    return buffer.getvalue()


def test_a_scan_without_recognition_names_the_setting():
    with pytest.raises(UnreadableError, match=r"corpus\.ocr reads scanned pages"):
        parse_pdf(scanned(make_pdf([column(LINES)])))


def test_a_scan_is_read_and_told():
    pytest.importorskip("rapidocr", reason="the extra documents is not installed")
    extracted = parse_pdf_with_ocr(scanned(make_pdf([column(LINES)])))
    assert join_blocks(extracted.blocks)[0] == " ".join(LINES)
    assert [(loss.kind, loss.count, loss.examples) for loss in extracted.losses] == [("recognised", 1, ("page 1",))]
    with pytest.raises(UnreadableError, match="no text in the PDF"):
        parse_pdf_with_ocr(scanned(make_pdf([[]])))
