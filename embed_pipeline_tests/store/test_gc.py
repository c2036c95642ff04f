"""Garbage collection keeps what a pointer or a release needs, and everything that cost money."""

import os
import time
from pathlib import Path

import pytest

from embed_pipeline.files import temporary_folder
from embed_pipeline.store.artifacts import DATA, Artifact, Store
from embed_pipeline.store.content_cache import ContentCache
from embed_pipeline.store.gc import DAYS_TO_GO_ON, collect
from embed_pipeline.store.releases import create_release, point_to


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


def commit(store: Store, asset: str, content: str, inputs: dict[str, str] | None = None) -> Artifact:
    key = f"key-{asset}-{content}"
    with temporary_folder(store.staging(asset), "new") as staged:
        (staged / DATA).mkdir()
        (staged / DATA / "file").write_text(content)
        made = store.commit(
            staged,
            {
                "asset": asset,
                "key": key,
                "stage_version": "1",
                "settings": {},
                "inputs": inputs or {},
                "external": {},
                "started": "2026-01-01T00:00:00+00:00",
                "seconds": 0.1,
                "host": "h",
                "device": "cpu",
                "libraries": {},
            },
        )
    store.point(made, key, "computed", 0.1, run_id="run")
    return made


def test_an_empty_home_has_nothing_to_collect(tmp_path):
    assert collect(tmp_path / "home") == {"removed": [], "bytes": 0}


def test_old_versions_go_and_their_keys_are_forgotten(store):
    old, new = commit(store, "table", "old"), commit(store, "table", "new")
    report = collect(store.home)
    assert not old.folder.exists()
    assert new.file("file").read_text() == "new"
    assert f"artifacts/table/{old.version}" in report["removed"]
    assert report["bytes"] > 0
    fresh = Store(store.home)
    assert fresh.lookup("table", "key-table-old") is None
    assert fresh.lookup("table", "key-table-new") == new
    assert collect(store.home) == {"removed": [], "bytes": 0}


def test_the_inputs_of_what_is_in_use_stay(store):
    used = commit(store, "source", "used")
    commit(store, "model", "m", {"source": used.version})
    newer = commit(store, "source", "newer")
    collect(store.home)
    assert used.file("file").exists()
    assert newer.file("file").exists()


def test_a_dry_run_says_the_same_and_removes_nothing(store):
    commit(store, "table", "old")
    commit(store, "table", "new")
    before = set(store.home.rglob("*"))
    report = collect(store.home, dry_run=True)
    assert before <= set(store.home.rglob("*"))
    assert report == collect(store.home)
    assert report["removed"]


def test_leftovers_of_killed_runs_go_and_the_caches_stay(store):
    commit(store, "table", "new")
    half = store.staging("table") / ".new.123.abc.tmp"
    half.mkdir()
    (store.work_folder("table", "other") / "checkpoint").write_text("x")
    cache = ContentCache(store.home / "cache" / "responses.sqlite")
    cache.put("k", b"paid for")
    collect(store.home)
    assert not half.exists()
    assert not list((store.home / "work").iterdir())
    assert not list((store.home / "runs").iterdir())
    assert cache.get("k") == b"paid for"


def test_the_release_served_and_the_one_before_stay(store, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.onnx").write_text("graph")
    releases = [create_release(store.home, model, version, "m") for version in "abc"]
    for release in releases:
        point_to(store.home, release)
    report = collect(store.home)
    assert report["removed"] == [f"releases/{releases[0].release_id}"]
    assert [Path(store.home / release.path).is_dir() for release in releases] == [False, True, True]


def test_the_checkpoints_of_a_stopped_training_stay_for_a_while(tmp_path):
    store = Store(tmp_path)
    checkpoint = store.work_folder("checkpoint", "unfinished") / "checkpoints" / "checkpoint-10"
    checkpoint.mkdir(parents=True)
    assert collect(tmp_path)["removed"] == []
    assert checkpoint.is_dir()
    long_ago = time.time() - (DAYS_TO_GO_ON + 1) * 86400
    os.utime(checkpoint, (long_ago, long_ago))
    assert collect(tmp_path)["removed"] == ["work/checkpoint-unfinished"]
