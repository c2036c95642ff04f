"""A damaged database is named, with what to delete and what that costs; what costs nothing is put right."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from embed_pipeline.encoders.cached_encoder import CachedEncoder, folder_name
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import DatabaseError
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.progress import reporting
from embed_pipeline.store.content_cache import ContentCache
from embed_pipeline.store.databases import damage, databases, remedy
from embed_pipeline.store.vector_cache import VectorCache

LENGTHS = {"max_query_length": 1, "max_passage_length": 1}
KEYS = [f"key {number:05}" for number in range(3000)]


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(8192))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def holes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 2048] = b"\xff" * 2048
    path.write_bytes(content)


def another_layout(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE content (id INTEGER); CREATE TABLE place (id INTEGER)")


SPOIL = [garbage, cut_off, holes, another_layout]


def without_log(path: Path) -> Path:
    """The database as it is when nobody has it open."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    return path


@pytest.mark.parametrize("spoil", SPOIL)
def test_damaged_replies_are_never_told_to_be_deleted_without_what_that_costs(tmp_path, spoil):
    store = ResponseStore(tmp_path / "responses.sqlite")
    store.put_many({key: os.urandom(200) for key in KEYS})
    store.close()
    path = without_log(tmp_path / "responses.sqlite")
    spoil(path)
    with pytest.raises(DatabaseError, match=r"responses\.sqlite.*Save it first.*paid for") as raised:
        use(ResponseStore(path))
    assert str(path) in str(raised.value)


def use(cache: ContentCache) -> None:
    try:
        assert len(cache.get_many(KEYS)) == len(KEYS)
        cache.put("new", b"value")
    finally:
        cache.close()


@pytest.mark.parametrize("spoil", SPOIL)
def test_a_damaged_index_of_embeddings_costs_time(tmp_path, spoil):
    folder = tmp_path / "encoder"
    cache = VectorCache(folder, 2)
    cache.add([key.encode() for key in KEYS], np.ones((len(KEYS), 2), np.float32))
    cache.close()
    spoil(without_log(folder / "index.sqlite"))
    with pytest.raises(DatabaseError, match=rf"Delete the folder {folder}: its embeddings are computed again"):
        use_vectors(VectorCache(folder, 2))


def test_embeddings_of_an_endpoint_were_paid_for(tmp_path):
    spec = EncoderSpec(
        model="https://host.example/v1#m",
        content_sha256="0" * 64,
        dimensions=(2,),
        max_query_length=1,
        max_passage_length=1,
    )
    other = spec.model_copy(update={"model": "some/folder", "content_sha256": "1" * 64})
    for one, said in ((spec, "paid for, again"), (other, "computed again, which costs time and, unless")):
        CachedEncoder(one, lambda: pytest.fail("nothing to compute"), tmp_path)
        assert said in str(remedy(tmp_path / folder_name(one.version()) / "index.sqlite"))


def use_vectors(cache: VectorCache) -> None:
    try:
        assert len(cache.positions([key.encode() for key in KEYS])) == len(KEYS)
        cache.add([b"new"], np.ones((1, 2), np.float32))
    finally:
        cache.close()


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(("left", "known"), [(0, 0), (8, 1), (12, 1), (None, 0), (24, 3)])
def test_vectors_that_are_gone_are_made_again_and_the_others_stay(tmp_path, left, known):
    """A file of three vectors of 8 bytes, cut off or removed."""
    keys = [b"a", b"b", b"c"]
    cache = VectorCache(tmp_path, 2)
    cache.add(keys, np.array([[1, 1], [2, 2], [3, 3]], np.float32))
    cache.close()
    file = tmp_path / "vectors-00000.f32"
    if left is None:
        file.unlink()
    else:
        os.truncate(file, left)
    listener = Told()
    with reporting(listener):  # type: ignore[arg-type]
        cache = VectorCache(tmp_path, 2)
    assert sorted(cache.positions(keys)) == keys[:known]
    assert bool(listener.lines) == (known < 3)
    cache.add(keys, np.array([[1, 1], [2, 2], [3, 3]], np.float32))
    places = cache.positions(keys)
    assert cache.gather([places[key] for key in keys]).tolist() == [[1, 1], [2, 2], [3, 3]]
    cache.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_cache_is_named(tmp_path):
    path = tmp_path / "cache" / "responses.sqlite"
    ContentCache(path).close()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(DatabaseError, match="cannot be written"):
            ContentCache(path).put("k", b"v")
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize("spoil", [garbage, cut_off, holes])
def test_the_examination_finds_it(tmp_path, spoil):
    path = tmp_path / "dagster" / "history" / "runs.db"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x TEXT)")
        connection.executemany("INSERT INTO t VALUES (?)", [(key * 20,) for key in KEYS])
        connection.commit()
    (path.parent / "new.db").touch()
    assert [damage(one) for one in databases(tmp_path)] == [None, None]
    spoil(path)
    found = damage(path)
    assert found is not None and "no artifact, no model, nothing that cost money" in found


def test_each_kind_has_a_remedy():
    assert "cross" in str(remedy(Path("cache/cross_encoder.sqlite")))
    assert not remedy(Path("cache/embeddings/x/index.sqlite")).first
