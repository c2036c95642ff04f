"""Garbage collection keeps what a pointer or a release needs, and everything that cost money."""

import os
import shutil
import time
from functools import partial
from pathlib import Path

import pytest

from embed_pipeline.files import temporary_folder
from embed_pipeline.settings import KeepSettings
from embed_pipeline.store.artifacts import DATA, Artifact, Store
from embed_pipeline.store.content_cache import ContentCache
from embed_pipeline.store.gc import DAYS_TO_GO_ON, collect
from embed_pipeline.store.releases import create_release, point_to
from embed_pipeline_tests.kills import killed_after

NOTHING: dict[str, object] = {"removed": [], "bytes": 0, "kinds": {}}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


def commit(store: Store, asset: str, content: str, inputs: dict[str, str] | None = None, key: str = "") -> Artifact:
    key = key or f"key-{asset}-{content}"
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
    assert collect(tmp_path / "home") == NOTHING


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
    assert collect(store.home) == NOTHING


def test_the_inputs_of_what_is_in_use_stay(store):
    used = commit(store, "source", "used")
    commit(store, "model", "m", {"source": used.version})
    newer = commit(store, "source", "newer")
    collect(store.home)
    assert used.file("file").exists()
    assert newer.file("file").exists()


def test_what_it_was_last_made_from_stays_as_well(store):
    first = commit(store, "source", "first")
    commit(store, "model", "m", {"source": first.version})
    second = commit(store, "source", "second")
    commit(store, "model", "m", {"source": second.version}, key="again")
    commit(store, "source", "third")
    collect(store.home)
    assert first.file("file").exists()
    assert second.file("file").exists()


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
    assert cache.get("k") == b"paid for"


def test_the_release_served_and_the_one_before_stay(store, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.onnx").write_text("graph")
    releases = [create_release(store.home, model, version, "m") for version in "abc"]
    for release in releases:
        point_to(store.home, release)
    report = collect(store.home)
    assert report["removed"] == [f"releases/{releases[0].release_id}", "locks/releases.lock"]
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


def test_as_many_old_versions_stay_as_the_settings_say_with_what_they_were_made_from(store):
    source = commit(store, "source", "first")
    models = [commit(store, "model", name, {"source": source.version}) for name in ("a", "b", "c")]
    for age, one in enumerate(models):
        os.utime(one.folder / "manifest.json", (1000 + age, 1000 + age))
    commit(store, "source", "second")
    collect(store.home, KeepSettings(artifacts=1))
    assert [one.folder.is_dir() for one in models] == [False, True, True]
    assert source.folder.is_dir()
    collect(store.home)
    assert [one.folder.is_dir() for one in models] == [False, False, True]


def test_the_newest_run_records_stay(store):
    made = commit(store, "table", "new")
    for age, run in enumerate(("old", "older", "newest")):
        store.point(made, "key-table-new", "reused", 0.1, run_id=run)
        os.utime(store.home / "runs" / run, (1000 - age if age < 2 else 2000,) * 2)
    shutil.rmtree(store.home / "runs" / "run")
    collect(store.home, KeepSettings(runs=2))
    assert sorted(path.name for path in (store.home / "runs").iterdir()) == ["newest", "old"]


def test_embeddings_that_nothing_asks_for_go_but_for_those_used_last(store):
    made = commit(store, "checkpoint", "m")
    for age, name in enumerate(("used", "old", "older", "oldest")):
        index = store.home / "cache" / "embeddings" / name / "index.sqlite"
        index.parent.mkdir(parents=True)
        index.write_bytes(b"x" * 1000)
        os.utime(index, (1000 - age, 1000 - age))
    asked: list[Artifact] = []

    def encoders_of(artifacts):
        asked.extend(artifacts)
        return {"used"}

    assert collect(store.home, dry_run=True)["kinds"].get("embeddings") is None  # nobody says which are used
    report = collect(store.home, KeepSettings(embeddings=1), encoders_of)
    assert asked == [made]
    assert report["kinds"]["embeddings"] == {"count": 2, "bytes": 2000}
    assert sorted(path.name for path in (store.home / "cache" / "embeddings").iterdir()) == ["old", "used"]


def test_a_lock_that_is_held_and_the_work_under_it_stay(store):
    for key in ("held", "free"):
        (store.work_folder("table", key) / "part").write_text("x")
    with store.lock("table", "free"):
        pass
    with store.lock("table", "held"):
        collect(store.home)
        assert [path.name for path in (store.home / "locks").iterdir()] == ["table-held.lock"]
        assert [path.name for path in (store.home / "work").iterdir()] == ["table-held"]
    collect(store.home)
    assert not list((store.home / "work").iterdir())


def test_records_of_runs_and_of_checks_are_not_its_business(store):
    commit(store, "table", "new")
    for folder in ("history", "checks"):
        (store.home / folder).mkdir()
        (store.home / folder / "record.json").write_text("{}")
    collect(store.home)
    assert (store.home / "history" / "record.json").is_file()
    assert (store.home / "checks" / "record.json").is_file()


def test_a_damaged_manifest_does_not_end_it(store):
    damaged = commit(store, "table", "new")
    old = commit(store, "other", "old")
    commit(store, "other", "new")
    (damaged.folder / "manifest.json").write_text("{")
    collect(store.home)
    assert damaged.folder.is_dir()
    assert not old.folder.exists()


def test_a_kill_at_any_moment_leaves_a_home_that_is_whole(tmp_path):
    """The process ends after each of its removals of a file or a folder, one after the other."""
    steps = 0
    while True:
        store = Store(tmp_path / f"home{steps}")
        used = commit(store, "source", "used")
        commit(store, "model", "old", {"source": used.version})
        current = commit(store, "model", "new", {"source": used.version})
        commit(store, "source", "newer")
        (store.work_folder("model", "killed") / "part").write_text("x")
        if not killed_after(steps, partial(collect, store.home)):
            break
        fresh = Store(store.home)
        assert fresh.lookup("model", "key-model-new") == current
        assert fresh.lookup("source", "key-source-used") == used
        visible = [path for path in (store.home / "artifacts").glob("*/*") if path.name[0] != "." and path.is_dir()]
        assert all(fresh.is_intact(Artifact(p.parent.name, p.name, p)) for p in visible if p.name != "keys")
        collect(store.home)
        assert not list(store.home.rglob("*.tmp"))
        steps += 1
    assert steps > 5
