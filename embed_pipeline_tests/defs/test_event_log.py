"""Dagster's event log: small, and what was planned and not done is not shown."""

import sqlite3
from pathlib import Path

import dagster as dg
import pytest

from embed_pipeline.defs.event_log import PAGE_BYTES, EventLog
from embed_pipeline.webui.dagster_home import prepare_dagster_home
from embed_pipeline_tests.stages import toy


@pytest.fixture
def definitions(tmp_path):
    toy.corpus_of(tmp_path)
    return toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home")


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "elsewhere")
    prepare_dagster_home(tmp_path / "home")
    with dg.DagsterInstance.get() as made:
        yield made


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_a_run_in_which_everything_is_reused_leaves_little(definitions, instance, tmp_path):
    toy.run(definitions, instance)
    toy.run(definitions, instance)
    before = size(tmp_path / "home" / "dagster")
    run = toy.run(definitions, instance)
    assert size(tmp_path / "home" / "dagster") - before < 60_000
    assert isinstance(instance.event_log_storage, EventLog)
    with sqlite3.connect(instance.event_log_storage.path_for_shard(run.run_id)) as connection:
        assert connection.execute("PRAGMA page_size").fetchone() == (PAGE_BYTES,)
    kinds = [entry.dagster_event_type for entry in instance.all_logs(run.run_id)]
    assert dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED not in kinds
    assert kinds[-1] is dg.DagsterEventType.RUN_SUCCESS


def test_a_home_of_before_opens_with_its_history(definitions, tmp_path):
    folder = tmp_path / "home" / "dagster"
    folder.mkdir(parents=True)
    with _old(folder) as old:
        before = toy.run(definitions, old)
        logs = [entry.message for entry in old.all_logs(before.run_id)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DAGSTER_HOME", "elsewhere")
        prepare_dagster_home(tmp_path / "home")
        with dg.DagsterInstance.get() as instance:
            assert [entry.message for entry in instance.all_logs(before.run_id)] == logs
            assert instance.get_latest_materialization_event(dg.AssetKey("model")) is not None
            after = toy.run(definitions, instance)
            assert {record.dagster_run.run_id for record in instance.get_run_records()} == {before.run_id, after.run_id}


def _old(folder: Path) -> dg.DagsterInstance:
    """An instance as it was made before: Dagster's own storage."""
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return dg.DagsterInstance.from_config(str(folder))


def test_a_check_that_was_not_asked_again_shows_its_last_answer(instance, tmp_path):
    toy.corpus_of(tmp_path)
    built = toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home", checks=(fine_check(),))
    first, _ = toy.run(built, instance), toy.run(built, instance)
    key = dg.AssetCheckKey(dg.AssetKey("model"), "fine")
    (shown,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
    assert shown.run_id == first.run_id
    assert shown.evaluation.passed


def fine_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset="model", blocking=True)
    def fine(model: object) -> dg.AssetCheckResult:
        """Always."""
        return dg.AssetCheckResult(passed=True)

    return fine
