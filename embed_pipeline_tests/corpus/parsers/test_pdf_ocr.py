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


def written(text: str) -> bytes:
    """A page that is a picture of a text in any script."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (760, 60), "white")
    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", 24)
    ImageDraw.Draw(picture).text((10, 15), text, fill="black", font=font)
    buffer = io.BytesIO()
    picture.save(buffer, "pdf", resolution=150)
    return buffer.getvalue()


@pytest.mark.parametrize("text", ["Котёл запускается только обученным персоналом", "Ο λέβητας εκκινείται μόνο από"])
def test_a_script_that_the_models_do_not_know_gives_no_garbled_text(text):
    pytest.importorskip("rapidocr", reason="the extra documents is not installed")
    with pytest.raises(UnreadableError, match="no text in the PDF"):
        parse_pdf_with_ocr(written(text))


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
