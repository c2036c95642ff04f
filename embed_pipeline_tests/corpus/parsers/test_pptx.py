import io

import pytest

from embed_pipeline.corpus.parsers.blocks import UnreadableError, join_blocks
from embed_pipeline.corpus.parsers.pptx import parse_pptx

pptx = pytest.importorskip("pptx", reason="the extra documents is not installed")


def saved(presentation) -> bytes:
    buffer = io.BytesIO()
    presentation.save(buffer)
    return buffer.getvalue()


def test_golden_presentation():
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    presentation = pptx.Presentation()
    presentation.core_properties.title = "Pumps at sea"
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Bronze pumps"
    slide.placeholders[1].text = "They suit sea water.\nThey cost more."
    slide.notes_slide.notes_text_frame.text = "Tell the story of the Merrin."
    second = presentation.slides.add_slide(presentation.slide_layouts[5])
    second.shapes.title.text = "Prices"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(3), Inches(4), Inches(1)).table
    for cell, text in zip(table.iter_cells(), ("pump", "price", "P-101", "199 EUR"), strict=True):
        cell.text = text
    box = second.shapes.add_textbox(Inches(1), Inches(2), Inches(3), Inches(1))
    box.text_frame.text = "Above the table."
    data = CategoryChartData()
    data.categories = ["2023", "2024"]
    data.add_series("sold", (12, 14.5))
    second.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, Inches(1), Inches(5), Inches(4), Inches(2), data)
    group = second.shapes.add_group_shape()
    group.top = Inches(9)
    group.shapes.add_textbox(0, Inches(9), Inches(1), Inches(1)).text_frame.text = "In a group."
    extracted = parse_pptx(saved(presentation))
    text, sections = join_blocks(extracted.blocks)
    assert extracted.title == "Pumps at sea"
    assert [(section.heading, section.level) for section in sections] == [("Bronze pumps", 2), ("Prices", 2)]
    assert text == (
        "Bronze pumps\n\nThey suit sea water.\nThey cost more.\n\nTell the story of the Merrin.\n\n"
        "Prices\n\nAbove the table.\n\npump | price\nP-101 | 199 EUR\n\n | 2023 | 2024\nsold | 12 | 14.5\n\nIn a group."
    )


@pytest.mark.parametrize(
    ("data", "reason"), [(b"\xd0\xcf\x11\xe0" + b"x" * 99, "encrypted"), (b"no zip", "not a valid")]
)
def test_unusable_presentations(data, reason):
    with pytest.raises(UnreadableError, match=reason):
        parse_pptx(data)
