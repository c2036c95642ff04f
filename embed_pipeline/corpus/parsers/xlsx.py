"""Excel workbooks: a section a sheet, a line a row. Needs the extra ``documents``."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

from embed_pipeline.corpus.parsers.archives import checked_zip
from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, table_rows
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.metadata import About
from embed_pipeline.corpus.parsers.office_properties import properties_of, tell_properties

_SHEET_LEVEL = 2


def parse_xlsx(data: bytes) -> Extracted:
    """Sheet by sheet: its name as heading, its tables, parted at empty rows; of formulas the values last computed.

    Raises:
        UnreadableError: not a workbook, encrypted, or damaged.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    checked_zip(data, "Excel workbook (.xlsx)")
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = [(name, workbook.get_sheet_by_name(name).to_python()) for name in workbook.sheet_names]
    except CalamineError as error:
        raise UnreadableError("not a valid Excel workbook (.xlsx)") from error
    losses = Losses()
    about = About(losses)
    title = tell_properties(properties_of(data), about)
    blocks = [block for name, rows in sheets for block in _sheet(name, rows)]
    return Extracted(blocks, title, losses.told(), about.told())


def _sheet(name: str, rows: Sequence[Sequence[Any]]) -> Iterator[Block]:
    tables = list(_tables([[_shown(cell) for cell in row] for row in rows]))
    if tables:
        yield Block(name, _SHEET_LEVEL)
        yield from tables


def _tables(rows: Sequence[Sequence[str]]) -> Iterator[Block]:
    """What stands between empty rows, without columns that are empty there."""
    part: list[Sequence[str]] = []
    for row in [*rows, []]:
        if any(row):
            part.append(row)
        elif part:
            filled = [n for n in range(max(map(len, part))) if any(n < len(row) and row[n] for row in part)]
            yield Block(table_rows([[row[n] for n in filled] for row in part]))
            part = []


def _shown(cell: Any) -> str:
    """A cell's value as text; a whole number without its decimals."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return f"{cell:.15g}"
    return str(cell).strip()
