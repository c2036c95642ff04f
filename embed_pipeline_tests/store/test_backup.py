"""A home survives in one file, whatever goes on beside it; what is not a backup makes no home."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

from embed_pipeline.cli.doctor_home import examine_home
from embed_pipeline.errors import HomeBusyError, HomeError
from embed_pipeline.files import hash_tree, temporary_folder, write_json
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.backup import HEADER, LISTING, back_up
from embed_pipeline.store.content_cache import ContentCache
from embed_pipeline.store.home import HOME_VERSION, is_home, open_home
from embed_pipeline.store.home_lock import home_lock, lock_of_ui
from embed_pipeline.store.releases import create_release, current_release, point_to
from embed_pipeline.store.restore import left_by_restore, restore
from embed_pipeline.store.vector_cache import VectorCache
from embed_pipeline_tests.store.test_gc import commit


@pytest.fixture
def home(tmp_path) -> Path:
    folder = tmp_path / "home"
    open_home(folder)
    commit(Store(folder), "table", "content")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.onnx").write_text("graph")
    point_to(folder, create_release(folder, tmp_path / "model", "v1", "m"))
    cache = ContentCache(folder / "cache" / "responses.sqlite")
    cache.put("k", b"paid for")
    vectors = VectorCache(folder / "cache" / "embeddings" / "encoder", 2)
    vectors.add([b"a"], np.ones((1, 2), np.float32))
    cache.close()
    vectors.close()
    write_json(folder / "history" / "run.json", {})
    return folder


def saved(home: Path, **options: bool) -> Path:
    target = home.parent / "backups" / "home.tar.gz"
    back_up(home, target, **options)
    return target


def test_what_was_saved_comes_back_elsewhere(home, tmp_path):
    (home / "work" / "x").mkdir(parents=True)
    (home / "work" / "x" / "part").write_text("x")
    (home / "link").symlink_to("/etc/hostname")
    write_json(home / "deployments" / "server.json", {"pid": 1})
    target = saved(home)
    assert [path.name for path in target.parent.iterdir()] == ["home.tar.gz"]
    moved = tmp_path / "far" / "away"
    restore(target, moved)
    assert is_home(moved)
    table = Store(moved).current("table")
    assert table is not None and Store(moved).is_intact(table)
    release = current_release(moved)
    assert release is not None and (moved / release.path / "model.onnx").read_text() == "graph"
    assert ContentCache(moved / "cache" / "responses.sqlite").get("k") == b"paid for"
    assert VectorCache(moved / "cache" / "embeddings" / "encoder", 2).gather([0]).tolist() == [[1.0, 1.0]]
    assert {path.name for path in moved.iterdir()} == {
        *("artifacts", "cache", "deployments", "history", "home.json", "releases", "runs")
    }
    assert not (moved / "deployments" / "server.json").exists()
    assert hash_tree(moved / "artifacts") == hash_tree(home / "artifacts")


def test_caches_can_be_left_out(home, tmp_path):
    restore(saved(home, caches=False), tmp_path / "new")
    assert not (tmp_path / "new" / "cache").exists()
    assert Store(tmp_path / "new").current("table") is not None


def test_it_is_of_one_piece_while_others_write(home, tmp_path):
    """Whatever the saved pointers and indexes name is there and intact."""
    stop = threading.Event()

    def write() -> None:
        store, number = Store(home), 0
        cache = ContentCache(home / "cache" / "responses.sqlite")
        vectors = VectorCache(home / "cache" / "embeddings" / "encoder", 2)
        while not stop.is_set():
            number += 1
            commit(store, "table", f"content {number}")
            cache.put_many({f"{number}-{one}": bytes(100) for one in range(50)})
            vectors.add([f"{number}".encode()], np.full((1, 2), number, np.float32))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for attempt in range(5):
            with home_lock(home):  # a run is under way
                restore(saved(home), tmp_path / f"new{attempt}")
    finally:
        stop.set()
        writer.join()
    for attempt in range(5):
        new = tmp_path / f"new{attempt}"
        table = Store(new).current("table")
        assert table is not None and Store(new).is_intact(table)
        cache = ContentCache(new / "cache" / "responses.sqlite")
        assert (len(list(cache.items())) - 1) % 50 == 0  # whole transactions
        vectors = VectorCache(new / "cache" / "embeddings" / "encoder", 2)
        known = vectors.positions([f"{number}".encode() for number in range(1, 500)])
        assert all(vectors.gather([place])[0, 0] == int(key) for key, place in known.items())


def test_a_home_that_is_there_is_replaced_only_when_forced_and_never_under_a_run(home, tmp_path):
    target, other = saved(home), tmp_path / "other"
    other.mkdir()
    (other / "mine").write_text("x")
    with pytest.raises(HomeError, match="--force"):
        restore(target, other)
    with home_lock(other), pytest.raises(HomeBusyError):
        restore(target, other, force=True)
    ui = lock_of_ui(other)
    with pytest.raises(HomeBusyError, match="another web UI serves this home"):
        restore(target, other, force=True)
    ui.release()
    assert (other / "mine").read_text() == "x"
    restore(target, other, force=True)
    assert is_home(other) and not (other / "mine").exists()
    assert not [path for path in tmp_path.iterdir() if path.name[0] == "."]


def test_what_is_no_home_is_not_saved_and_none_is_saved_into_itself(home, tmp_path):
    (tmp_path / "docs").mkdir()
    with pytest.raises(HomeError, match="is no home"):
        back_up(tmp_path / "docs", tmp_path / "b")
    with pytest.raises(HomeError, match="lies in the home"):
        back_up(home, home / "b.tar.gz")


def test_a_damaged_database_is_named(home, tmp_path):
    (home / "cache" / "cross_encoder.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(HomeError, match=r"cross_encoder\.sqlite: cannot be saved"):
        saved(home)
    assert list((tmp_path / "backups").iterdir()) == []


def members(target: Path) -> dict[str, bytes]:
    with tarfile.open(target) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}


def rewritten(target: Path, **changed: bytes | None) -> None:
    """The backup with other contents by the last part of the name; None: left out."""
    contents = members(target)
    with tarfile.open(target, "w:gz") as tar:
        for name, content in contents.items():
            new = changed.get(Path(name).stem, content)
            if new is not None:
                member = tarfile.TarInfo(name)
                member.size = len(new)
                tar.addfile(member, io.BytesIO(new))


def with_member(target: Path, member: tarfile.TarInfo) -> None:
    contents = members(target)
    with tarfile.open(target, "w:gz") as tar:
        for name, content in contents.items():
            if name == f"home/{LISTING}":
                tar.addfile(member, io.BytesIO(b"evil"[: member.size]))
            one = tarfile.TarInfo(name)
            one.size = len(content)
            tar.addfile(one, io.BytesIO(content))


def strange(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, 4 if kind == tarfile.REGTYPE else 0
    member.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    return member


HEADER_VALUES = {"kind": "embed_pipeline backup", "version": 1, "home_version": 1, "created": "x", "caches": True}
SPOILT = {
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-200]), "cannot be read|ends too early"),
    "no tar": (lambda path: path.write_bytes(gzip.compress(b"hello" * 1000)), "cannot be read|is no backup"),
    "garbage": (lambda path: path.write_bytes(b"garbage" * 100), "cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "a byte changed": (lambda path: rewritten(path, file=b"c0ntent"), "is not as it was saved"),
    "a file missing": (lambda path: rewritten(path, current=None), "is not as it was saved"),
    "no list": (lambda path: rewritten(path, files=None), "ends too early"),
    "a bad list": (lambda path: rewritten(path, files=b"[1]"), "cannot be read"),
    "another kind": (lambda path: rewritten(path, backup=b'{"kind": "zip"}'), "is no backup"),
    "newer": (lambda path: rewritten(path, backup=json.dumps(HEADER_VALUES | {"version": 2}).encode()), "newer"),
    "newer home": (
        lambda path: rewritten(path, backup=json.dumps(HEADER_VALUES | {"home_version": HOME_VERSION + 1}).encode()),
        "newer",
    ),
    "upwards": (lambda path: with_member(path, strange("home/../../evil")), "no file of a home"),
    "absolute": (lambda path: with_member(path, strange("/tmp/evil")), "no file of a home"),
    "outside": (lambda path: with_member(path, strange("evil")), "no file of a home"),
    "a link": (lambda path: with_member(path, strange("home/x", tarfile.SYMTYPE)), "no file of a home"),
    "a hard link": (lambda path: with_member(path, strange("home/x", tarfile.LNKTYPE)), "no file of a home"),
    "a device": (lambda path: with_member(path, strange("home/x", tarfile.CHRTYPE)), "no file of a home"),
    "one more": (lambda path: with_member(path, strange("home/extra")), "is not as it was saved"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_backup_is_refused_and_leaves_nothing(home, tmp_path, name):
    spoil, words = SPOILT[name]
    target = saved(home)
    spoil(target)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(HomeError, match=words):
        restore(target, tmp_path / "new")
    assert set(tmp_path.rglob("*")) == before


def test_the_names_of_the_first_and_the_last_member_are_those_documented(home):
    names = list(members(saved(home)))
    assert (names[0], names[-1]) == (f"home/{HEADER}", f"home/{LISTING}")


KILLED = """
import os, signal, sys
from pathlib import Path
from embed_pipeline.store import restore
{kill}
restore.restore(Path(sys.argv[1]), Path(sys.argv[2]), force=True)
"""
AT_UNPACKING = """
def kill(source, folder):
    (folder / "half").write_text("x" * 1000)
    os.kill(os.getpid(), signal.SIGKILL)
restore._unpack = kill
"""
AT_SWAPPING = """
def renamed(path, target, plain=Path.rename):
    plain(path, target)
    if str(target).endswith(".old"):
        os.kill(os.getpid(), signal.SIGKILL)
Path.rename = renamed
"""


def killed_restore(source: Path, home: Path, kill: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED.format(kill=kill), str(source), str(home)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_restore_left_is_named_and_goes_with_the_next(home, tmp_path):
    target, there = saved(home), tmp_path / "new" / "my.home"
    killed_restore(target, there, AT_UNPACKING)
    (left,) = there.parent.iterdir()
    assert left_by_restore(there) == ([left], [])
    (told,) = [one for one in examine_home(there, None) if one["check"] == "restore"]
    assert (told["state"], str(left) in told["detail"]) == ("warn", True)
    restore(target, there)
    assert list(there.parent.iterdir()) == [there]
    assert not [one for one in examine_home(there, None) if one["check"] == "restore"]


def test_a_home_that_a_killed_restore_had_moved_away_is_named_and_kept(home):
    target = saved(home)
    killed_restore(target, home, AT_SWAPPING)
    assert not home.exists()
    _, (before,) = left_by_restore(home)
    told = [one for one in examine_home(home, None) if one["state"] == "fail"]
    assert f"mv {before} {home}" in told[0]["detail"]
    restore(target, home)
    assert is_home(before) and is_home(home)
    assert {one["state"] for one in examine_home(home, None) if one["check"] == "restore"} == {"warn"}


def test_a_restore_under_way_is_left_alone(home, tmp_path):
    with temporary_folder(home.parent, home.name) as fresh:
        other = fresh.with_name(fresh.name.replace(f".{os.getpid()}.", f".{os.getppid()}."))
        other.mkdir()
        assert left_by_restore(home)[0] == [fresh]  # this process restores nothing; the one above still runs
        restore(saved(home), home, force=True)
        assert other.is_dir()
