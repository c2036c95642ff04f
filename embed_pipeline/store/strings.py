"""Every text that a file of a home holds, whatever its format: tables, JSON, SQLite, pages, plain text."""

import html
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

WEIGHTS = (".safetensors", ".onnx", ".data", ".engine", ".plan", ".bin", ".pt", ".f32", ".npy")
"""Numbers, no text."""
DATABASES = (".sqlite", ".db")
_BESIDE_DATABASES = ("-wal", "-shm")
ROWS_AT_ONCE = 20_000


def strings_in(path: Path) -> Iterator[str]:
    """The texts of one file; nothing of model weights and of what SQLite keeps beside its files.

    Raises:
        OSError, sqlite3.Error, polars.exceptions.PolarsError: it cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in WEIGHTS or path.name.endswith(_BESIDE_DATABASES):
        return iter(())
    if suffix == ".parquet":
        return _of_table(path)
    if suffix in DATABASES:
        return _of_database(path)
    text = path.read_bytes().decode("utf-8", "replace")
    if suffix in (".html", ".htm"):
        return iter([html.unescape(text)])
    return strings_of(text if suffix != ".jsonl" else text.splitlines())


def strings_of(value: Any) -> Iterator[str]:
    """The texts in a value: of lists and mappings all, keys included; JSON in a text is looked into."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        inner = _json(value)
        if inner is None:
            yield value.replace("\\n", " ").replace('\\"', '"')  # of JSON that was cut off
        else:
            yield from strings_of(inner)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield str(key)
            yield from strings_of(one)
    elif isinstance(value, Iterable):
        for one in value:
            yield from strings_of(one)


def _json(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_table(path: Path) -> Iterator[str]:
    import polars as pl

    rows = pl.scan_parquet(path).select(pl.len()).collect().item()
    for start in range(0, rows, ROWS_AT_ONCE):
        for column in pl.scan_parquet(path).slice(start, ROWS_AT_ONCE).collect().iter_columns():
            if not column.dtype.is_numeric():
                yield from strings_of(column.to_list())


def _of_database(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            for row in connection.execute(f'SELECT * FROM "{name}"'):  # noqa: S608  a table's own name
                yield from strings_of([value for value in row if isinstance(value, str | bytes)])
