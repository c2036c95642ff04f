"""Dagster's event log: small, and what was planned and not done is not shown."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_health.asset_materialization_health import AssetMaterializationHealthState
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from embed_pipeline.defs import dead_runs
from embed_pipeline.defs.event_log import PAGE_BYTES, EventLog
from embed_pipeline.errors import InputError
from embed_pipeline.files import write_json
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.store.artifacts import Artifact
from embed_pipeline.store.dagster_home import prepare_dagster_home
from embed_pipeline_tests.stages import toy


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


REFUSED: dict[str, Any] = {"overrides": ["finetune.epoch=9"]}
STOPPED_BY_AN_ERROR = {"overrides": ["finetune.epochs=13"]}


@stage(group="finetune", version="1", storage="model", settings=("finetune.epochs",))
def model(run: StageRun, names: Artifact) -> None:
    """Fails with thirteen epochs."""
    if run.settings.finetune.epochs == 13:
        raise InputError("thirteen epochs bring bad luck.")
    write_json(run.folder / "model.json", {"names": 2, "epochs": run.settings.finetune.epochs})


def shown(instance) -> dict[str, tuple[str, ...]]:
    """Of each asset the run and the state that its page shows, and of the check; by Dagster's own rules."""

    async def look() -> dict[str, tuple[str, ...]]:
        context = LoadingContextForTest(instance)
        check = await AssetCheckExecutionRecord.gen(context, dg.AssetCheckKey(dg.AssetKey("model"), "fine"))
        assert check is not None
        found: dict[str, tuple[str, ...]] = {"fine": (check.run_id, (await check.resolve_status(context)).value)}
        for name in toy.STAGES:
            health = await AssetMaterializationHealthState.compute_for_asset(dg.AssetKey(name), None, context)
            found[name] = (str(health.latest_terminal_run_id), health.health_status.value)
        return found

    return asyncio.run(look())


@pytest.mark.parametrize("given", [REFUSED, STOPPED_BY_AN_ERROR])
def test_an_experiment_that_failed_leaves_the_pages_as_they_were(instance, tmp_path, given):
    toy.corpus_of(tmp_path)
    stages = {**toy.STAGES, "model": model}
    built = toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home", stages, checks=(fine_check(),))
    first = toy.run(built, instance)
    before = shown(instance)
    assert before["fine"] == (first.run_id, "SUCCEEDED")
    failed = toy.run(built, instance, **given)
    assert failed.status is dg.DagsterRunStatus.FAILURE
    assert shown(instance) == before


def test_a_run_that_failed_shows_it_where_it_failed_and_nowhere_else(instance, tmp_path):
    toy.corpus_of(tmp_path)
    stages = {**toy.STAGES, "model": model}
    first = toy.run(
        toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home", stages, checks=(fine_check(),)), instance
    )
    settings = toy.settings_of(tmp_path, "finetune.epochs=13")
    built = toy.toy_defs(settings, tmp_path / "home", stages, checks=(fine_check(),))
    failed = toy.run(built, instance)
    assert failed.status is dg.DagsterRunStatus.FAILURE
    assert shown(instance) == {
        "fine": (first.run_id, "SUCCEEDED"),
        "names": (first.run_id, "HEALTHY"),
        "model": (failed.run_id, "DEGRADED"),
        "score": (first.run_id, "HEALTHY"),
    }


def test_in_an_empty_home_a_refused_run_is_nothing_that_the_pages_show(instance, tmp_path):
    toy.corpus_of(tmp_path)
    built = toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home", checks=(fine_check(),))
    toy.run(built, instance, **REFUSED)
    key = dg.AssetCheckKey(dg.AssetKey("model"), "fine")
    assert instance.event_log_storage.get_latest_asset_check_execution_by_key([key]) == {}
    assert {record.asset_entry.last_run_id for record in instance.get_asset_records()} == {None}


def test_a_run_that_was_killed_leaves_the_pages_of_what_it_did_not_make_as_they_were(instance, tmp_path, monkeypatch):
    toy.corpus_of(tmp_path)
    built = toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home", checks=(fine_check(),))
    toy.run(built, instance)
    before = shown(instance)
    killed = instance.create_run_for_job(built.resolve_job_def(f"{toy.JOB}_0"))
    assert shown(instance) != before
    monkeypatch.setattr(dead_runs, "GRACE_SECONDS", 0.0)
    assert dead_runs.bury_dead_runs(instance) == [killed.run_id]
    assert shown(instance) == before


def fine_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset="model", blocking=True)
    def fine(model: object) -> dg.AssetCheckResult:
        """Always."""
        return dg.AssetCheckResult(passed=True)

    return fine
