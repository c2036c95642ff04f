"""Dagster's history of old runs goes; what the UI shows of each asset stays."""

import sqlite3

import dagster as dg
import pytest

from embed_pipeline.defs.history import old_runs, trim_history
from embed_pipeline.store.dagster_home import prepare_dagster_home


@dg.asset
def first() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"sample": "the heron keeps its tether dry"})


@dg.asset
def second() -> None: ...


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    prepare_dagster_home(tmp_path)
    with dg.DagsterInstance.get() as made:
        yield made


def run(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition) -> str:
    return dg.materialize(assets or [first, second], instance=instance).run_id


def test_the_newest_runs_stay_and_older_ones_go_with_all_their_files(instance, tmp_path):
    ids = [run(instance) for _ in range(4)]
    planned = trim_history(instance, keep=2, dry_run=True)
    assert (planned["count"], len(instance.get_run_ids())) == (2, 4)
    assert planned["bytes"] > 10_000
    assert trim_history(instance, keep=2) == planned
    assert set(instance.get_run_ids()) == set(ids[2:])
    left = [path for path in (tmp_path / "dagster").rglob("*") if any(one in path.name for one in ids[:2])]
    assert left == []
    with sqlite3.connect(tmp_path / "dagster" / "history" / "runs" / "index.db") as index:
        assert {row[0] for row in index.execute("SELECT DISTINCT run_id FROM event_logs")} <= set(ids[2:])
    index.close()


def test_the_run_that_an_asset_is_from_stays_however_old(instance):
    old, *_, newest = run(instance), run(instance, first), run(instance, first)
    assert old not in old_runs(instance, keep=1)  # the latest of ``second``
    trim_history(instance, keep=1)
    assert set(instance.get_run_ids()) == {old, newest}
    assert instance.get_latest_materialization_event(dg.AssetKey("second")) is not None


def test_a_run_that_has_not_ended_stays(instance):
    waiting = instance.create_run_for_job(
        dg.define_asset_job("job").resolve(dg.Definitions([first]).resolve_asset_graph())
    )
    for _ in range(3):
        run(instance)
    trim_history(instance, keep=1)
    assert waiting.run_id in instance.get_run_ids()
