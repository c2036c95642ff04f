"""Rows of the files that other tools write: JSON Lines, JSON, Parquet, tab-separated text.

Text is UTF-8, with or without a byte order mark; blank lines count but hold nothing. Every error names file and
line (of Parquet the row, of a JSON list the entry) and what to do.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from embed_pipeline.errors import InputError

SUFFIXES = (".jsonl", ".json", ".parquet")
_ROWS_AT_ONCE = 64  # a row may hold a whole document with its questions
_PLAIN_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LINE_ENDS = re.compile(r"\r\n|\r|\n")


class Row(dict[str, Any]):
    """One object of a file.

    Attributes:
        path: the file.
        place: where in it, such as "line 3"; empty when the file is this one object.
    """

    def __init__(self, values: Mapping[str, Any], path: Path, place: str) -> None:
        super().__init__(values)
        self.path = path
        self.place = place

    @property
    def where(self) -> str:
        """File and place, for error messages."""
        return _where(self.path, self.place)


class Form(NamedTuple):
    """What the rows of a format are.

    Attributes:
        fields: what a row holds, in words.
        list_key: the key of a .json object whose list are the rows; None: the object is a row.
        lists_on_lines: a line of a .jsonl file may hold a list of rows.
        drop_half_pairs: halves of surrogate pairs are left out instead of refused.
    """

    fields: str
    list_key: str | None = None
    lists_on_lines: bool = False
    drop_half_pairs: bool = False


def read_rows(path: Path, form: Form, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """The rows of a .jsonl, .json or .parquet file, in its order.

    Args:
        path: one of ``SUFFIXES``; a .json file is one object or a list of them.
        form: what its rows are.
        columns: what to read of a Parquet file; None is everything. Other files are always read whole.

    Raises:
        InputError: the file is missing, not readable, of another kind, or something in it is no row.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from _parquet_rows(path, columns)
    elif suffix == ".jsonl":
        with _opened(path) as file:
            yield from rows_of_lines(file, path, form)
    elif suffix == ".json":
        yield from _json_rows(path, form)
    else:
        refuse(str(path), "only .jsonl, .json and .parquet files can be read; convert it to one of them")


def rows_of_lines(lines: Iterable[bytes], path: Path, form: Form) -> Iterator[Row]:
    """The rows of JSON Lines that were read from ``path``.

    Raises:
        InputError: a line is not UTF-8, no JSON, or no row.
    """
    ended = (part for line in lines for part in line.splitlines())  # at \n, \r\n and \r
    for number, line in enumerate(ended, 1):
        place = f"line {number}"
        text = _decoded(line, path, place).strip()
        if not text:
            continue
        value = _parsed(text, _where(path, place), form.drop_half_pairs)
        if isinstance(value, list) and form.lists_on_lines:
            for entry, one in enumerate(value, 1):
                yield _row(one, path, f"{place}, entry {entry}", form)
        else:
            yield _row(value, path, place, form)


def read_json(path: Path) -> Any:
    """The value of a .json file.

    Raises:
        InputError: missing, not UTF-8 or not JSON.
    """
    with _opened(path) as file:
        return _parsed(_decoded(file.read(), path), str(path))


def read_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """``(line, cells)`` of tab-separated text; lines with nothing but white space are left out.

    Quotation marks count as the csv module writes them; in a file that cannot be read so they are ordinary signs.

    Raises:
        InputError: missing or not UTF-8.
    """
    with _opened(path) as file:
        text = _decoded(file.read(), path)
    for line, cells in _quoted(text) or _as_they_stand(text):
        if any(cell.strip() for cell in cells):
            yield line, cells


def identifier(value: Any) -> str | None:
    """An id as it stands: text that is not blank, or a whole number, also as 4.0 (pandas, of a column with gaps).

    None where it is something else.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    usable = isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip()
    return str(value) if usable else None


def plain_number(text: str) -> float | None:
    """A number as every program reads it; None for ``1_0``, ``nan``, ``inf`` and digits of other scripts.

    Python's own ``float`` takes them all.
    """
    return float(text) if _PLAIN_NUMBER.fullmatch(text.strip()) else None


def refuse(where: str, problem: str) -> NoReturn:
    """Raise an error that names file and line."""
    raise InputError(f"{where}: {problem}.")


def short(value: Any) -> str:
    """A value as error messages show it: at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def first_three(ids: Sequence[str]) -> str:
    """Examples of ids, as error messages show them."""
    return ", ".join(short(key) for key in ids[:3]) + (", …" if len(ids) > 3 else "")


def _where(path: Path, place: str) -> str:
    return f"{path}, {place}" if place else str(path)


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    """A file to read bytes from; whatever goes wrong with it becomes an InputError."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        packed = path.with_name(f"{path.name}.gz")
        hint = f"; unpack {packed.name} first (gunzip -k {packed.name})" if packed.is_file() else ""
        refuse(str(path), f"there is no such file{hint}")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _decoded(data: bytes, path: Path, place: str = "") -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        raise InputError(f"{path}, {place or f'line {line}'}: {problem}.") from error


def _parsed(text: str, where: str, drop_half_pairs: bool = False) -> Any:
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():
            written = json.dumps(value, ensure_ascii=False)
            value = json.loads(written.encode("utf-8", "ignore" if drop_half_pairs else "strict"))
    except UnicodeEncodeError:
        refuse(where, "holds half of a surrogate pair (\\ud800 to \\udfff), which is no text; correct it")
    except json.JSONDecodeError as error:
        at = f"line {error.lineno} column {error.colno}" if "\n" in text else f"column {error.colno}"
        raise InputError(f"{where}: not valid JSON ({error.msg}: {at}); correct it.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON ({error}); correct it.") from error
    return value


def _row(value: Any, path: Path, place: str, form: Form) -> Row:
    if not isinstance(value, dict):
        refuse(_where(path, place), f"must be a JSON object with {form.fields}, not {short(value)}")
    return Row(value, path, place)


def _json_rows(path: Path, form: Form) -> Iterator[Row]:
    value, unit = read_json(path), "entry"
    if isinstance(value, dict) and form.list_key in value:
        value, unit = value[form.list_key], f"entry of {form.list_key}"
    if isinstance(value, list):
        for number, entry in enumerate(value, 1):
            yield _row(entry, path, f"{unit} {number}", form)
    else:
        yield _row(value, path, "", form)


def _parquet_rows(path: Path, columns: Sequence[str] | None) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with _opened(path), pq.ParquetFile(path) as file:
            wanted = [name for name in columns if name in file.schema_arrow.names] if columns is not None else None
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=wanted):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(values, path, f"row {number}")
    except (pa.ArrowException, ValueError, OverflowError) as error:
        problem = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: not a readable Parquet file ({problem}); write or download it again.") from error


def _quoted(text: str) -> list[tuple[int, list[str]]] | None:
    """The cells of text with quotation marks; None when there are none, or no csv writer set them."""
    if '"' not in text:
        return None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader]
    except csv.Error:
        return None


def _as_they_stand(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(_LINE_ENDS.split(text), 1):
        yield number, line.split("\t")
