"""Rows of JSON Lines, JSON, Parquet and tab-separated files, and what is refused."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.errors import InputError
from embed_pipeline.formats.rows import Form, read_cells, read_json, read_rows, rows_of_lines

FORM = Form("a and b")
LISTS = Form("a and b", list_key="data", lists_on_lines=True)


def rows(path: Path, form: Form = FORM) -> list[tuple[dict[str, object], str]]:
    return [(dict(row), row.where.removeprefix(str(path))) for row in read_rows(path, form)]


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def test_lines_count_whatever_ends_them(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        path = write(tmp_path / "a.jsonl", "\ufeff" + end.join(['{"a": 1}', "", " \t", '{"a": "\u2028\u0085"}']) + end)
        assert rows(path) == [({"a": 1}, ", line 1"), ({"a": "\u2028\u0085"}, ", line 4")]


def test_lists_count_where_a_format_has_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '[{"a": 1}, {"a": 2}]\n[]\n{"a": 3}')
    assert [where for _, where in rows(path, LISTS)] == [", line 1, entry 1", ", line 1, entry 2", ", line 3"]
    with pytest.raises(InputError, match=r"a\.jsonl, line 1: must be a JSON object with a and b, not \[\{'a': 1\}"):
        rows(path)
    path = write(tmp_path / "a.json", '{"data": [{"a": 1}], "b": 2}')
    assert rows(path, LISTS) == [({"a": 1}, ", entry of data 1")]
    assert rows(path) == [({"data": [{"a": 1}], "b": 2}, "")]
    with pytest.raises(InputError, match=r"a\.json, entry 2: must be a JSON object with a and b, not 3"):
        rows(write(tmp_path / "a.json", '[{"a": 1}, 3]'))


def test_parquet_rows_are_numbered_over_batches_and_columns_chosen(tmp_path: Path) -> None:
    path = tmp_path / "a.PARQUET"
    pl.DataFrame({"a": range(200), "b": "x"}).write_parquet(path)
    found = list(read_rows(path, FORM, ["a", "absent"]))
    assert [dict(row) for row in found] == [{"a": number} for number in range(200)]
    assert found[-1].where == f"{path}, row 200"


def _not_utf8(path: Path) -> None:
    array = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"a": array}), path)


def _damaged(path: Path) -> None:
    pl.DataFrame({"a": ["x" * 50] * 50}).write_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 40 + whole[44:])


BAD = {
    "a.jsonl": [
        (b"\x89PNG\r\n\x1a\n\xff", "line 1: not UTF-8 .*; save it as UTF-8"),
        (b'{"a": 1}\n{"a": \n', "line 2: not valid JSON .*column 6.*; correct it"),
        (b'{"a": "\\ud800"}\n', "line 1: holds half of a surrogate pair .*; correct it"),
        (b"[" * 100_000, "line 1: not valid JSON"),
        (b"9" * 5000, "line 1: not valid JSON"),
        (b"null\n", "line 1: must be a JSON object with a and b, not None"),
    ],
    "a.json": [
        (b"", r"a\.json: not valid JSON"),
        (b'[{"a": 1},\n{"a": \xe9}]', "line 2: not UTF-8"),
        (b'[{"a": 1},\n oops]', "not valid JSON .*line 2 column 2"),
        (b'"text"', r"a\.json: must be a JSON object with a and b, not 'text'"),
        (b"[" * 100_000, "not valid JSON"),
    ],
    "a.parquet": [(b"", "a.parquet"), (b"PAR1", "a.parquet"), (b"PAR1" * 100, "a.parquet")],
    "a.csv": [(b"a,b\n", r"only \.jsonl, \.json and \.parquet files can be read; convert it")],
}


@pytest.mark.parametrize(("name", "content", "said"), [(name, *case) for name, cases in BAD.items() for case in cases])
def test_what_cannot_be_read_is_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(InputError, match=said) as caught:
        rows(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 300 + len(str(path))


def test_a_list_of_any_depth_is_refused_by_its_line(tmp_path: Path) -> None:
    for depth in range(850, 1150, 3):  # about where Python's own limit lies
        with pytest.raises(InputError, match=r"a\.jsonl, line 1: "):
            rows(write(tmp_path / "a.jsonl", "[" * depth + "]" * depth))


@pytest.mark.parametrize("make", [_not_utf8, _damaged])
def test_broken_parquet_is_named(make: object, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    make(path)  # type: ignore[operator]
    with pytest.raises(InputError, match=r"a\.parquet: (not a readable Parquet file|cannot be read)"):
        rows(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_missing_files_and_folders_in_their_place(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(InputError, match=r"there is no such file\.$"):
        rows(path)
    (tmp_path / f"a{suffix}.gz").write_bytes(b"")
    with pytest.raises(InputError, match=rf"no such file; unpack a{suffix}\.gz first \(gunzip -k a{suffix}\.gz\)"):
        rows(path)
    path.mkdir()
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        rows(path)


def test_halves_of_surrogate_pairs_are_left_out_where_a_format_says_so() -> None:
    lines = [b'{"a\\ud800": ["x\\udc00y", "\\ud83d\\ude00"]}\n']
    found = list(rows_of_lines(lines, Path("a.jsonl"), FORM._replace(drop_half_pairs=True)))
    assert found == [{"a": ["xy", "\U0001f600"]}]


def test_json_values_of_any_kind(tmp_path: Path) -> None:
    assert read_json(write(tmp_path / "a.json", '\ufeff["\\ud83d\\ude00"]')) == ["\U0001f600"]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a\tb\n\n \t\nc\td", [(1, ["a", "b"]), (4, ["c", "d"])]),
        ("a\tb\r\nc\td\r\n", [(1, ["a", "b"]), (2, ["c", "d"])]),
        ('"a ""b"""\tc\n"d\ne"\tf\n', [(1, ['a "b"', "c"]), (3, ["d\ne", "f"])]),
        ('"a" b\tc\nd\te\n', [(1, ['"a" b', "c"]), (2, ["d", "e"])]),
        ('"a\tb\nc\td\n', [(1, ['"a', "b"]), (2, ["c", "d"])]),
        ('a"b\tc', [(1, ['a"b', "c"])]),
        ("a\u2028b\tc\x0b", [(1, ["a\u2028b", "c\x0b"])]),
        ("", []),
    ],
)
def test_cells(text: str, cells: list[tuple[int, list[str]]], tmp_path: Path) -> None:
    assert list(read_cells(write(tmp_path / "a.tsv", "\ufeff" + text))) == cells


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text("{}[]\":,\\ud8019eE+-.ntf \t\r\n'", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = list(rows_of_lines(data.splitlines(keepends=True), Path("a.jsonl"), LISTS))
    except InputError as error:
        assert str(error).startswith("a.jsonl, line ")  # noqa: PT017
    else:
        assert all(isinstance(row, dict) for row in found)
