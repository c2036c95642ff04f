"""What is damaged in a home is found, and nothing is where all is whole."""

import os

import pytest

from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.health import damaged_artifacts, damaged_releases, holder, leftovers
from embed_pipeline.store.home_lock import Holder, home_lock
from embed_pipeline.store.releases import create_release, point_to
from embed_pipeline_tests.store.test_gc import commit


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    commit(made, "table", "old")
    commit(made, "table", "content")
    return made


def wrong(store: Store, deep: bool = False) -> list[str]:
    return [text for _, text in damaged_artifacts(store.home, deep)]


def test_a_whole_home_has_no_damage(store):
    assert wrong(store) == wrong(store, deep=True) == []
    assert list(damaged_artifacts(store.home / "absent")) == []
    assert list(damaged_releases(store.home)) == []
    assert leftovers(store.home) == (0, 0)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: os.truncate(folder / "data" / "file", 3), "file has 3 bytes instead of 7"),
        (lambda folder: (folder / "data" / "file").unlink(), "file is not there"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "its manifest.json cannot be read"),
        (lambda folder: folder.rename(folder.with_name("elsewhere")), "the folder that its pointer names is not there"),
        (lambda folder: (folder.parent / "current.json").write_text("{"), "its pointer current.json cannot be read"),
    ],
)
def test_damage_is_named(store, spoil, words):
    spoil(store.current("table").folder)
    assert wrong(store) == [words]


def test_a_changed_byte_is_found_by_the_deep_look(store):
    store.current("table").file("file").write_text("c0ntent")
    assert wrong(store) == []
    assert wrong(store, deep=True) == ["a file has another content than when it was written"]


def test_releases_that_are_gone_or_unknown_are_named(store, tmp_path):
    (tmp_path / "model").mkdir()
    release = create_release(store.home, tmp_path / "model", "v1", "m")
    point_to(store.home, release)
    assert list(damaged_releases(store.home)) == []
    (store.home / release.path).rmdir()
    assert "is not there. Run embed-pipeline deploy" in next(damaged_releases(store.home))
    (store.home / "deployments" / "current.json").write_text("")
    assert "not a readable release pointer" in next(damaged_releases(store.home))


def test_who_holds_a_home_is_told(store):
    assert holder(store.home) is False
    me = Holder.here("somebody")
    with home_lock(store.home, me):
        assert holder(store.home) == me
    assert holder(store.home) is False


def test_what_killed_runs_left_is_counted(store):
    half = store.root / "table" / ".new.00000000.999999999.abc.tmp"
    half.mkdir()
    (half / "file").write_text("half")
    assert leftovers(store.home) == (1, 4)
