"""Tables whose rows are documents: CSV, tab-separated text, JSON Lines, JSON, Parquet; columns by names of one's own.

::

    columns: {id: article_no, title: headline, text: body, url: link, date: published, tags: topics}

``text`` must be there. ``id`` and ``title`` are the document's; every other name is told of the document as it is.
"""

import csv
import datetime
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_text
from embed_pipeline.formats.parts import refuse_missing_parts
from embed_pipeline.formats.rows import Form, Row, identifier, read_rows, refuse, short
from embed_pipeline.records import passage_text

CSV_SUFFIXES = (".csv", ".tsv")
ROW_SUFFIXES = (*CSV_SUFFIXES, ".jsonl", ".json", ".parquet")
ID, TITLE, TEXT = "id", "title", "text"
_DELIMITERS = ",;\t|"
_SEPARATOR = re.compile(r"\A\"?sep=([^\r\n])\"?(?:\r\n|\n|\r|\Z)", re.IGNORECASE)
_LONGEST_CELL = 2**31 - 1


class RowDocument(NamedTuple):
    """A row that is a document.

    Attributes:
        doc_id: of its id column; without one, ``r_`` and 16 hex digits of the hash of title and text.
        told: (name, value) of every other column that was asked for, a text or a list of them.
        where: file and line.
    """

    doc_id: str
    title: str
    text: str
    told: tuple[tuple[str, str | list[str]], ...]
    where: str
    file: Path


def row_files(path: Path) -> list[Path]:
    """The tables at a path: the file itself, or those of a folder or its ``data`` folder, in order.

    Raises:
        InputError: there is none, they are of several kinds, or a part is missing.
    """
    files = [path] if path.is_file() else _tables(path) or _tables(path / "data")
    kinds = sorted({file.suffix.lower() for file in files})
    if not files or not set(kinds) <= set(ROW_SUFFIXES):
        raise InputError(
            f"{path}: corpus.columns names columns, but there is no table ({' '.join(ROW_SUFFIXES)}) here. Correct "
            "corpus.path, or unset corpus.columns."
        )
    if len(kinds) > 1:
        raise InputError(f"{path}: holds tables of several kinds ({' '.join(kinds)}); name one file, or keep one kind.")
    refuse_missing_parts(files, "table")
    return files


def read_row_documents(files: Sequence[Path], columns: Mapping[str, str]) -> Iterator[RowDocument]:
    """The rows as documents, in order; a text may be blank.

    Args:
        columns: what is told -> the name of its column.

    Raises:
        InputError: a file is broken, lacks a column, or a value is not what it must be; names file and line.
    """
    for file in files:
        for number, row in enumerate(_rows(file, columns)):
            if number == 0:
                _refuse_missing_columns(row, columns)
            yield _document(row, columns)


def _tables(folder: Path) -> list[Path]:
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        file
        for file in entries
        if file.suffix.lower() in ROW_SUFFIXES and not file.name.startswith(".") and file.is_file()
    ]


def _rows(file: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    if file.suffix.lower() in CSV_SUFFIXES:
        return _csv_rows(file)
    return read_rows(file, Form(", ".join(columns.values())), list(columns.values()))


def _refuse_missing_columns(row: Row, columns: Mapping[str, str]) -> None:
    """A JSON row may leave out what it has no value for, but for its text; a table has every column in each row."""
    is_table = row.path.suffix.lower() not in (".jsonl", ".json")
    needed = columns if is_table else {TEXT: columns[TEXT]}
    missing = [name for name in needed.values() if name not in row]
    if missing:
        there = "" if row.path.suffix.lower() == ".parquet" else f"; it has {', '.join(map(short, list(row)[:12]))}"
        refuse(row.where, f"there is no column {', '.join(map(short, missing))} (corpus.columns){there}")


def _document(row: Row, columns: Mapping[str, str]) -> RowDocument:
    text, title = _given(row, columns[TEXT]), _given(row, columns[TITLE]) if TITLE in columns else None
    if text is not None and not isinstance(text, str):
        refuse(row.where, f"the column {columns[TEXT]!r} must hold text, not {short(text)}")
    title = "" if title is None else str(title)
    told = tuple(
        (name, _values(name, _given(row, column), row))
        for name, column in columns.items()
        if name not in (ID, TITLE, TEXT)
    )
    return RowDocument(_row_id(row, columns, title, text or ""), title, text or "", told, row.where, row.path)


def _given(row: Row, column: str) -> Any:
    """A value; None where there is none, which pandas writes as not a number."""
    value = row.get(column)
    return None if isinstance(value, float) and math.isnan(value) else value


def _row_id(row: Row, columns: Mapping[str, str], title: str, text: str) -> str:
    if ID not in columns:
        return f"r_{sha256_text(passage_text(title, text))[:16]}"
    value = row.get(columns[ID])
    name = identifier(value)
    if name is None:
        refuse(row.where, f"the column {columns[ID]!r} must hold an id, a text or a whole number, not {short(value)}")
    return name.strip()


def _values(name: str, value: Any, row: Row) -> str | list[str]:
    """A value as text, or a list of them."""
    return [_value(one, name, row) for one in value] if isinstance(value, list) else _value(value, name, row)


def _value(value: Any, name: str, row: Row) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if not isinstance(value, str | int | float):
        refuse(row.where, f"the value of {name} must be a text, a number, a date or a list of them, not {short(value)}")
    return " ".join(str(value).split())


# -- CSV -------------------------------------------------------------------------------------------------


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8 ({error.reason}); save it as UTF-8.") from error
    with _long_cells():
        said = _SEPARATOR.match(text)  # Excel's first line
        lines = io.StringIO(text, newline="")
        lines.seek(said.end() if said else 0)
        delimiter = said.group(1) if said else _delimiter(path, text)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        skipped = 1 if said else 0
        try:
            header = [name.strip() for name in next(reader, [])]
            if len(set(header)) < len(header):
                refuse(f"{path}, line {skipped + 1}", "two columns have the same name; give each its own")
            before = reader.line_num
            for cells in reader:
                place, before = f"line {skipped + before + 1}", reader.line_num
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    refuse(f"{path}, {place}", f"{len(cells)} cells, but {len(header)} columns; quote cells with signs")
                yield Row(dict(zip(header, cells, strict=True)), path, place)
        except csv.Error as error:
            raise InputError(
                f"{path}, line {skipped + reader.line_num}: not readable as CSV ({error}); correct it."
            ) from error


def _delimiter(path: Path, text: str) -> str:
    """What parts the header's cells; spreadsheets of many countries write semicolons into .csv files."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    header = io.StringIO(text, newline="").readline().rstrip("\r\n")  # old programs end lines with "\r" alone
    return max(_DELIMITERS, key=lambda sign: (len(next(csv.reader([header], delimiter=sign), [])), sign == ","))


@contextmanager
def _long_cells() -> Iterator[None]:
    """A cell may hold a whole document; the csv module stops at 131,072 characters."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)
