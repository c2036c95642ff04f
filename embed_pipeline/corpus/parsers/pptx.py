"""PowerPoint presentations: a section a slide, with its tables and its notes. Needs the extra ``documents``."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

from embed_pipeline.corpus.parsers.archives import checked_zip
from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, one_line, table_rows
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.metadata import About
from embed_pipeline.corpus.parsers.office_properties import properties_of, tell_properties

_SLIDE_LEVEL = 2


def parse_pptx(data: bytes) -> Extracted:
    """Slide by slide: its title as heading, its text from top to bottom, then the notes of the speaker.

    Raises:
        UnreadableError: not a .pptx file, encrypted, or damaged.
    """
    import pptx
    from pptx.exc import PackageNotFoundError

    checked_zip(data, "PowerPoint presentation (.pptx)")
    try:
        presentation = pptx.Presentation(io.BytesIO(data))
    except (zipfile.BadZipFile, PackageNotFoundError, KeyError, ValueError) as error:
        raise UnreadableError("not a valid PowerPoint presentation (.pptx)") from error
    losses = Losses()
    blocks = [block for slide in presentation.slides for block in _slide(slide, losses)]
    about = About(losses)
    title = tell_properties(properties_of(data), about)
    return Extracted(blocks, title, losses.told(), about.told())


def _slide(slide: Any, losses: Losses) -> Iterator[Block]:
    title = slide.shapes.title
    if title is not None and title.has_text_frame and title.text_frame.text.strip():
        yield Block(title.text_frame.text, _SLIDE_LEVEL)
    for shape in sorted(slide.shapes, key=lambda shape: (shape.top or 0, shape.left or 0)):
        if title is None or shape.shape_id != title.shape_id:
            yield from _shape(shape, losses)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield Block(slide.notes_slide.notes_text_frame.text)


def _shape(shape: Any, losses: Losses) -> Iterator[Block]:
    from pptx.enum.shapes import MSO_SHAPE_TYPE, PP_PLACEHOLDER

    furniture = (PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.DATE, PP_PLACEHOLDER.SLIDE_NUMBER)
    if shape.is_placeholder and shape.placeholder_format.type in furniture:
        if shape.has_text_frame and shape.text_frame.text.strip():
            losses.add("furniture", shape.text_frame.text)
    elif shape.shape_type == MSO_SHAPE_TYPE.GROUP:
        for part in shape.shapes:
            yield from _shape(part, losses)
    elif shape.has_text_frame:
        yield Block("\n".join(paragraph.text for paragraph in shape.text_frame.paragraphs if paragraph.text.strip()))
    elif getattr(shape, "has_table", False) and shape.has_table:
        yield Block(table_rows([[cell.text for cell in row.cells] for row in shape.table.rows]))
    elif getattr(shape, "has_chart", False) and shape.has_chart:
        yield Block(_chart(shape.chart))
    elif shape.shape_type != MSO_SHAPE_TYPE.LINE:
        described = shape._element.xpath(".//p:cNvPr/@descr")  # the alternative text has no other access
        yield Block(one_line(described[0]) if described else "")
        losses.add("picture")


def _chart(chart: Any) -> str:
    """Its title and the values it shows, a line a series."""
    rows = [[chart.chart_title.text_frame.text]] if chart.has_title and chart.chart_title.has_text_frame else []
    for plot in chart.plots:
        rows.append(["", *(str(category) for category in plot.categories)])
        rows += [[series.name, *map(_number, series.values)] for series in plot.series]
    return table_rows(rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.15g}"
