"""``doctor`` on a home: one line a finding, with what to do."""

import json
import os
from pathlib import Path

import dagster as dg
import pytest

from embed_pipeline.cli.doctor_home import examine_home
from embed_pipeline.errors import HomeError
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.dagster_home import prepare_dagster_home
from embed_pipeline.store.home import open_home
from embed_pipeline.store.home_lock import Holder, home_lock
from embed_pipeline_tests.store.test_gc import commit


@pytest.fixture
def home(tmp_path) -> Path:
    folder = tmp_path / "home"
    open_home(folder)
    commit(Store(folder), "table", "content")
    return folder


def found(home: Path, settings: Settings | None = None) -> dict[str, tuple[str, str]]:
    return {one["check"]: (one["state"], one["detail"]) for one in examine_home(home, settings)}


def states(home: Path) -> set[str]:
    return {state for state, _ in found(home).values()}


def test_a_home_that_is_well(home):
    prepare_dagster_home(home)
    with dg.DagsterInstance.get():
        pass
    assert states(home) == {"ok"}
    assert found(home)["lock"] == ("ok", "nobody holds the home")
    with home_lock(home, Holder.here("somebody")):
        assert "held by somebody" in found(home)["lock"][1]


def test_a_home_that_cannot_be_written_is_still_looked_into(home, monkeypatch):
    prepare_dagster_home(home)
    with dg.DagsterInstance.get():
        pass
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write everything
    assert states(home) == {"ok"}
    for refused in (lambda: prepare_dagster_home(home), home_lock(home).__enter__):
        with pytest.raises(HomeError, match=r"cannot be written \(permission denied\)\. Choose another --home"):
            refused()


def test_no_home_yet(tmp_path):
    assert found(tmp_path / "new") == {
        "home version": ("ok", f"{tmp_path / 'new'} is no home yet; the first run makes it one")
    }
    assert not (tmp_path / "new").exists()


def test_a_newer_home_is_named_and_not_looked_into(home):
    (home / "home.json").write_text(json.dumps({"kind": "embed_pipeline home", "version": 99, "created": ""}))
    assert list(found(home)) == ["home version"]
    assert found(home)["home version"][0] == "fail"


def test_damage_is_told_with_what_to_do(home):
    Store(home).current("table").file("file").unlink()
    (home / "cache").mkdir()
    (home / "cache" / "responses.sqlite").write_bytes(b"garbage" * 100)
    state, detail = found(home)["databases"]
    assert state == "fail" and "paid for" in detail
    assert found(home)["artifacts"] == (
        "warn",
        f"table {Store(home).current('table').version[:12]}: file is not there; the next run makes it again",
    )


def test_a_damaged_history_costs_nothing(home):
    prepare_dagster_home(home)
    with dg.DagsterInstance.get():
        pass
    (home / "dagster" / "history" / "runs.db").write_bytes(b"garbage" * 100)
    assert found(home)["databases"][0] == "warn"
    assert "nothing that cost money" in found(home)["databases"][1]


def test_runs_that_were_killed_are_named_unless_one_is_under_way(home):
    prepare_dagster_home(home)

    @dg.asset
    def asset() -> None: ...

    with dg.DagsterInstance.get() as instance:
        job = dg.define_asset_job("job").resolve(dg.Definitions([asset]).resolve_asset_graph())
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert found(home)["runs"][0] == "warn"
    assert run.run_id[:8] in found(home)["runs"][1]
    with home_lock(home):
        assert "runs" not in found(home)


def test_a_corpus_inside_the_home_and_the_other_way_round(home, tmp_path):
    inside = load_settings(None, None, [f"corpus.path={home / 'artifacts'}"], {})
    assert found(home, inside)["corpus and home"][0] == "fail"
    around = load_settings(None, None, [f"corpus.path={tmp_path}"], {})
    assert found(home, around)["corpus and home"][0] == "warn"


def test_an_endpoint_that_does_not_run_is_named(home):
    facts = {"url": "http://127.0.0.1:1", "model": "m", "release_id": "r", "model_version": "v", "target": "local"}
    store = Store(home)
    made = commit(store, "endpoint", "x")
    (made.path / "endpoint.json").write_text(json.dumps(facts))
    state, detail = found(home, Settings())["endpoint"]
    assert state == "warn" and "embed-pipeline deploy starts it again" in detail
