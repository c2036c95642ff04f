"""Every text of a file is found, whatever the file is."""

import json
import sqlite3
from contextlib import closing

import polars as pl
import pytest

from embed_pipeline.store.strings import strings_in, strings_of

TEXT = 'She said "no",\nthen left & locked the door'
NESTED = {"a": [{"b": TEXT}], "inner": json.dumps({"deep": json.dumps([TEXT])})}


def in_database(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('CREATE TABLE "odd name" (n INTEGER, body BLOB)')
        connection.execute('INSERT INTO "odd name" VALUES (1, ?)', (json.dumps(NESTED).encode(),))
        connection.commit()


WRITERS = {
    "t.parquet": lambda path: pl.DataFrame({"n": [1], "rows": [[{"cell": TEXT}]]}).write_parquet(path),
    "t.json": lambda path: path.write_text(json.dumps(NESTED)),
    "t.jsonl": lambda path: path.write_text(json.dumps({"x": 1}) + "\n" + json.dumps(NESTED) + "\n"),
    "t.html": lambda path: path.write_text("<p>She said &quot;no&quot;,\nthen left &amp; locked the door</p>"),
    "t.txt": lambda path: path.write_text(f"before {TEXT} after"),
    "t.db": in_database,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_text_is_found(tmp_path, name):
    WRITERS[name](tmp_path / name)
    assert any(TEXT in one for one in strings_in(tmp_path / name))


def test_weights_hold_no_text(tmp_path):
    (tmp_path / "model.safetensors").write_text(TEXT)
    assert list(strings_in(tmp_path / "model.safetensors")) == []


def test_json_that_was_cut_off_is_read_as_text():
    (found,) = strings_of('{"text": "one\\ntwo \\"three')
    assert "one two" in found
