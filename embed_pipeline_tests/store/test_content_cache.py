"""The content cache: survives a reopen and a kill, is shared by processes, never changes a value."""

import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.store.content_cache import ContentCache


@pytest.fixture
def cache(tmp_path):
    opened = ContentCache(tmp_path / "deep" / "cache.sqlite")
    yield opened
    opened.close()


def test_unknown_keys_are_simply_not_there(cache):
    assert cache.get("a") is None
    assert cache.get_many(["a", "b"]) == {}
    assert cache.get_many([]) == {}


def test_a_value_survives_a_reopen(cache):
    cache.put("a", b"\x00\xff")
    reopened = ContentCache(cache.path)
    assert reopened.get("a") == b"\x00\xff"
    reopened.close()


def test_a_known_key_keeps_its_value(cache):
    cache.put("a", b"first")
    cache.put("a", b"second")
    assert cache.get("a") == b"first"


def test_more_keys_than_sqlite_binds_at_once(cache):
    values = {f"{number:04}": str(number).encode() for number in range(2000)}
    cache.put_many(values)
    assert cache.get_many([*values, *values, "absent"]) == values


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.binary()))
def test_what_was_put_comes_back(tmp_path_factory, values):
    opened = ContentCache(tmp_path_factory.mktemp("cache") / "c.sqlite")
    opened.put_many(values)
    assert opened.get_many(values) == values
    opened.close()


def test_a_put_is_durable_when_it_returns_even_if_the_process_is_killed(cache):
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from embed_pipeline.store.content_cache import ContentCache\n"
        "ContentCache(Path(sys.argv[1])).put('k', b'v')\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(cache.path)], check=False)
    assert done.returncode == -9
    assert cache.get("k") == b"v"


def test_threads_and_connections_may_share_the_file(cache):
    other = ContentCache(cache.path)

    def fill(one: ContentCache, name: str) -> None:
        for number in range(20):
            one.put(f"{name}{number}", name.encode())

    threads = [
        threading.Thread(target=fill, args=(one, name)) for one, name in ((cache, "a"), (cache, "b"), (other, "c"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [f"{name}{number}" for name in "abc" for number in range(20)]
    assert len(other.get_many(keys)) == 60
    other.close()


def test_what_is_forgotten_is_nowhere_in_the_files(tmp_path):
    cache, other = ContentCache(tmp_path / "c.sqlite"), ContentCache(tmp_path / "c.sqlite")
    cache.put_many({"secret": b"Yolanda of Heron Lane", "kept": b"a latch"})
    assert dict(cache.items()) == {"secret": b"Yolanda of Heron Lane", "kept": b"a latch"}
    cache.forget(["secret", "absent"])
    assert dict(other.items()) == {"kept": b"a latch"}
    assert not any(b"Heron" in path.read_bytes() or b"secret" in path.read_bytes() for path in tmp_path.iterdir())
    cache.close()
    other.close()
