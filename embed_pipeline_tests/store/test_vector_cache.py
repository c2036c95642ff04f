"""Vectors on disk: in order, whole, shared, and never lost by a kill."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.store import vector_cache
from embed_pipeline.store.vector_cache import VectorCache


def vector(key: bytes) -> np.ndarray:
    return np.frombuffer(key.ljust(12, b"."), np.uint8)[:12].astype(np.float32).reshape(3, 4).sum(1)


def gathered(cache, keys):
    places = cache.positions(keys)
    return cache.gather([places[one] for one in keys])


def key(number: int) -> bytes:
    return f"k{number:06}".encode()


@pytest.mark.parametrize("shard", [1, 3, 7, 1000])
@given(st.lists(st.lists(st.integers(0, 60), max_size=12), max_size=8), st.data())
def test_what_was_added_comes_back_in_any_order(shard, batches, data):
    import tempfile

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(vector_cache, "SHARD_ROWS", shard)
        cache = VectorCache(Path(folder), 3)
        for batch in batches:
            keys = [key(number) for number in batch]
            cache.add(keys, np.array([vector(one) for one in keys], np.float32).reshape(-1, 3))
        known = sorted({key(number) for batch in batches for number in batch})
        cache.close()
        reopened = VectorCache(Path(folder), 3)
        assert sorted(reopened.positions([*known, b"absent"])) == known
        asked = data.draw(st.lists(st.sampled_from(known), max_size=30)) if known else []
        expected = np.array([vector(one) for one in asked], np.float32).reshape(-1, 3)
        np.testing.assert_array_equal(gathered(reopened, asked), expected)
        reopened.close()


def test_large_matrices_are_mapped_and_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_cache, "LARGE_BYTES", 100)
    cache = VectorCache(tmp_path, 3)
    keys = [key(number) for number in range(50)]
    cache.add(keys, np.array([vector(one) for one in keys]))
    found = gathered(cache, keys[::-1])
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, [vector(one) for one in keys[::-1]])
    assert not list(tmp_path.glob(".matrix*"))


def test_what_a_killed_writer_left_is_ignored_and_overwritten(tmp_path):
    cache = VectorCache(tmp_path, 3)
    cache.add([key(0)], np.array([vector(key(0))]))
    with (tmp_path / "vectors-00000.f32").open("ab") as file:
        file.write(b"half a vect")  # never named by the index
    np.testing.assert_array_equal(gathered(cache, [key(0)]), [vector(key(0))])
    cache.add([key(1), key(2)], np.array([vector(key(1)), vector(key(2))]))
    np.testing.assert_array_equal(gathered(cache, [key(2), key(0)]), [vector(key(2)), vector(key(0))])


def test_an_added_vector_survives_a_kill(tmp_path):
    code = (
        "import os, signal, sys\nimport numpy as np\nfrom pathlib import Path\n"
        "from embed_pipeline.store.vector_cache import VectorCache\n"
        "VectorCache(Path(sys.argv[1]), 3).add([b'k'], np.array([[1, 2, 3]], np.float32))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert gathered(VectorCache(tmp_path, 3), [b"k"]).tolist() == [[1, 2, 3]]


def test_several_writers_share_a_folder(tmp_path):
    def fill(name: str) -> None:
        own = VectorCache(tmp_path, 3)
        for number in range(20):
            keys = [f"{name}{number}".encode(), key(number)]
            own.add(keys, np.array([vector(one) for one in keys]))
        own.close()

    threads = [threading.Thread(target=fill, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [f"{name}{number}".encode() for name in "abc" for number in range(20)] + [key(n) for n in range(20)]
    np.testing.assert_array_equal(gathered(VectorCache(tmp_path, 3), keys), [vector(one) for one in keys])


@pytest.mark.parametrize("shard", [2, 100])
@given(st.sets(st.integers(0, 9)))
def test_what_is_forgotten_is_overwritten_and_the_rest_stays(shard, forgotten):
    import tempfile

    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(vector_cache, "SHARD_ROWS", shard)
        folder, keys = Path(name), [key(number) for number in range(10)]
        cache = VectorCache(folder, 3)
        cache.add(keys, np.array([vector(one) for one in keys]))
        gone = [keys[number] for number in forgotten]
        cache.forget(gone)
        left = [one for one in keys if one not in gone]
        assert set(cache.positions(keys)) == set(left)
        if left:
            assert np.array_equal(gathered(cache, left), [vector(one) for one in left])
            assert vector_cache.width_of(folder) == 3
        stored = b"".join(path.read_bytes() for path in folder.glob("*.f32"))
        unique = {vector(one).tobytes() for one in gone} - {vector(one).tobytes() for one in left}
        assert not any(one in stored for one in unique)
        assert not any(one in path.read_bytes() for one in gone for path in folder.glob("index.sqlite*"))
        cache.add(gone, np.array([vector(one) for one in gone], np.float32).reshape(-1, 3))
        assert np.array_equal(gathered(cache, keys), [vector(one) for one in keys])
        cache.close()
