"""Atomic writes: the whole new file, or the old one; a full disk leaves nothing behind."""

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline import files

WRITERS = {
    "bytes": lambda path: files.write_bytes(path, b"new"),
    "text": lambda path: files.write_text(path, "new"),
    "json": lambda path: files.write_json(path, {"new": 1}),
    "jsonl": lambda path: files.write_jsonl(path, [{"new": 1}]),
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_writing_makes_the_folders_and_leaves_only_the_file(tmp_path, write):
    write(tmp_path / "a" / "b" / "file")
    assert names(tmp_path / "a" / "b") == ["file"]
    assert b"new" in (tmp_path / "a" / "b" / "file").read_bytes()


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_crash_in_the_middle_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch, write, broken):
    def crash(*args: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[broken], crash)
    with pytest.raises(KeyboardInterrupt):
        write(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom embed_pipeline import files\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_text(Path(sys.argv[1]), 'new')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9
    assert path.read_text() == "old"


def test_a_file_larger_than_allowed_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    script = (
        "import resource, signal, sys\nfrom pathlib import Path\nfrom embed_pipeline import errors, files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    files.write_bytes(Path(sys.argv[1]), b'x' * 5000)\n"
        "except OSError as error:\n    raise SystemExit(str(errors.disk_full(error, 'there')))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False, capture_output=True, text=True)
    assert "there: no space left" in done.stderr
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 64 kB, where this machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_old_file(tiny_disk):
    files.write_text(tiny_disk / "file", "old")
    with pytest.raises(OSError) as raised:
        files.write_bytes(tiny_disk / "file", b"x" * 100_000)
    assert raised.value.errno == errno.ENOSPC
    assert (tiny_disk / "file").read_text() == "old"
    assert names(tiny_disk) == ["file"]


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [-math.inf]}])
def test_json_without_meaning_elsewhere_is_refused_and_nothing_written(tmp_path, value):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "file", value)
    assert names(tmp_path) == []


@given(st.dictionaries(st.text(), st.lists(st.integers() | st.text(st.characters(codec="utf-8")) | st.none())))
def test_json_comes_back_and_its_hash_ignores_the_order_of_keys(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "file.json"
    files.write_json(path, value)
    assert json.loads(path.read_text("utf-8")) == value
    assert files.sha256_json(dict(reversed(value.items()))) == files.sha256_json(value)


def test_hashes_are_those_of_sha256sum(tmp_path):
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, "abc"
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256_text("abc") == files.sha256_bytes(b"abc") == files.sha256_file(tmp_path / "abc") == known


def test_half_a_surrogate_pair_can_be_hashed_and_differs():
    assert files.sha256_text("\ud800") != files.sha256_text("\ud801")


def test_a_tree_is_listed_whole_sorted_and_with_posix_paths(tmp_path):
    for name in ("b", "a/z", "a/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "empty").mkdir()
    tree = files.hash_tree(tmp_path)
    assert list(tree) == ["a/.hidden", "a/z", "b"]
    assert tree["b"] == (1, files.sha256_text("b"))


def test_a_temporary_folder_goes_also_after_an_error(tmp_path):
    def fail() -> None:
        with files.temporary_folder(tmp_path / "new", "x") as folder:
            (folder / "file").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path / "new") == []


def test_a_temporary_folder_that_was_renamed_stays(tmp_path):
    with files.temporary_folder(tmp_path, "x") as folder:
        (folder / "file").write_text("whole")
        files.fsync_tree(folder)
        folder.rename(tmp_path / "kept")
    assert names(tmp_path) == ["kept"]
    assert (tmp_path / "kept" / "file").read_text() == "whole"


def test_temporary_folders_of_killed_processes_are_removed_and_those_of_living_ones_kept(tmp_path):
    import subprocess
    import sys

    script = (
        "import os, sys, pathlib\n"
        "from embed_pipeline.files import temporary_folder\n"
        "with temporary_folder(pathlib.Path(sys.argv[1]), 'new') as folder:\n"
        "    (folder / 'half').write_text('written'); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=60)
    (left,) = tmp_path.iterdir()
    with files.temporary_folder(tmp_path, "mine") as mine:
        assert not left.exists()
        with files.temporary_folder(tmp_path, "other"):
            assert mine.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_remembered_hash_is_that_of_the_file_whatever_happens_to_it(tmp_path):
    path = tmp_path / "file"
    for text in ("a", "b", "bb", "b"):  # each right after the other: the time of the change may be the same
        path.write_text(text)
        assert files.remembered_sha256(path) == files.sha256_file(path)
    other = tmp_path / "other"
    other.write_text("c")
    other.replace(path)
    assert files.remembered_sha256(path) == files.sha256_file(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        files.remembered_sha256(path)


def test_a_file_that_rests_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("a")
    os.utime(path, (0, 0))
    first = files.remembered_sha256(path)
    monkeypatch.setattr(files, "sha256_file", lambda path: "read again")
    assert files.remembered_sha256(path) == first
    os.utime(path, (0, 1))
    assert files.remembered_sha256(path) == "read again"
