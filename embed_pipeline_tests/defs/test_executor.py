"""The executor: starts nothing that need not be, a refusal stays one, one run has a home, every run leaves a record."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import reconstructable

from embed_pipeline.defs.checks import Place, blocking_check
from embed_pipeline.defs.run_request import STARTED_BY
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.store.history import History
from embed_pipeline.store.home_lock import Holder, home_lock
from embed_pipeline_tests.processes import wait_until
from embed_pipeline_tests.stages import toy

FOLDER = "TOY_FOLDER"


def enough_names(settings: Settings) -> dg.AssetChecksDefinition:
    @blocking_check(Place(settings, toy.STAGES), "model", ["sdg.min_questions"], inputs=["names"])
    def enough_names(chosen: Settings, model: Artifact, names: Artifact) -> dg.AssetCheckResult:
        """At least two names."""
        found = model.json("model")["names"]
        return dg.AssetCheckResult(passed=found >= 2, description=None if found >= 2 else f"only {found} names")

    return enough_names


@pytest.fixture
def definitions(tmp_path):
    toy.corpus_of(tmp_path)
    settings = toy.settings_of(tmp_path)
    return toy.toy_defs(settings, tmp_path / "home", checks=(enough_names(settings),))


def executed(instance, run) -> list[str]:
    logs = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
    return [str(entry.get_dagster_event().step_key) for entry in logs]


def record_of(folder: Path, run) -> dict:
    return History(folder / "home").of(run.run_id)


def test_a_run_in_which_everything_is_up_to_date_starts_nothing(definitions, instance, tmp_path):
    first, second = (toy.run(definitions, instance) for _ in range(2))
    assert executed(instance, first) == ["names", "model", "model_enough_names", "score"]
    assert executed(instance, second) == []
    assert second.is_success
    assert [record_of(tmp_path, run)["cost"] for run in (first, second)] == [{"tokens": 7.0}, {}]
    (line,) = [entry.message for entry in instance.all_logs(second.run_id) if "up to date" in (entry.message or "")]
    assert "3 of 3 assets are up to date" in line
    assert {one["outcome"] for one in record_of(tmp_path, second)["assets"].values()} == {"reused"}


def test_the_same_content_is_not_followed(definitions, instance, tmp_path):
    toy.run(definitions, instance)
    toy.corpus_of(tmp_path, "ann\n\nbob\n")
    assert executed(instance, toy.run(definitions, instance)) == ["names"]


def test_what_dagster_does_not_know_is_told_it(definitions, instance):
    toy.run(definitions, instance)
    with dg.DagsterInstance.ephemeral() as fresh:
        run = toy.run(definitions, fresh)
        assert executed(fresh, run) == ["names", "model", "model_enough_names", "score"]
        assert {key.to_user_string() for key in fresh.all_asset_keys()} == {*toy.STAGES, "corpus_folder"}


def test_a_refusal_stays_one_and_its_sentence_is_the_error(definitions, instance, tmp_path):
    toy.corpus_of(tmp_path, "ann")
    sentence = "check enough_names on model: only 1 names"
    for steps in (["names", "model", "model_enough_names"], ["model_enough_names"]):
        run = toy.run(definitions, instance)
        assert executed(instance, run) == steps
        assert run.status is dg.DagsterRunStatus.FAILURE
        (failure,) = [
            entry.get_dagster_event().job_failure_data
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        ]
        assert sentence in str(failure.first_step_failure_event.event_specific_data.error)
        record = record_of(tmp_path, run)
        assert [error["text"] for error in record["errors"]] == [sentence]
        assert record["assets"]["score"] == {"outcome": "skipped"}
    assert Store(tmp_path / "home").current("score") is None


def test_a_check_is_asked_again_when_what_decides_it_changes(definitions, instance, tmp_path):
    toy.run(definitions, instance)
    settings = toy.settings_of(tmp_path, "sdg.min_questions=3")
    other = toy.toy_defs(settings, tmp_path / "home", checks=(enough_names(settings),))
    assert executed(instance, toy.run(other, instance)) == ["model_enough_names"]
    assert executed(instance, toy.run(other, instance)) == []


def test_a_failed_asset_leaves_what_does_not_need_it(instance, tmp_path):
    toy.corpus_of(tmp_path, "")

    @stage(group="prep", version="1", storage="json")
    def aside(run: StageRun) -> None:
        """Needs nothing."""
        (run.folder / "x.json").write_text("1")

    built = toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home", {**toy.STAGES, "aside": aside})
    run = toy.run(built, instance)
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert executed(instance, run) == ["names", "aside"]
    record = record_of(tmp_path, run)
    assert record["status"] == "failed"
    assert {name: one["outcome"] for name, one in record["assets"].items()} == {
        "names": "failed",
        "aside": "computed",
        "model": "skipped",
        "score": "skipped",
    }
    assert record["errors"] == [{"text": "names: names.txt: holds no names.", "exit_code": 2}]


def test_a_selection_takes_the_rest_as_it_is(definitions, instance):
    assert not toy.run(definitions, instance, assets=["model"]).is_success
    toy.run(definitions, instance)
    assert executed(instance, toy.run(definitions, instance, assets=["score"], force=["score"])) == ["score"]


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ({"force": ["modle"]}, "did you mean model"),
        ({"overrides": ["finetune.epoch=9"]}, "finetune.epochs"),
        ({"overrides": ["finetune.epochs=9", "sdg.llm.api_key_env=HOME"]}, "sdg.llm.api_key_env"),
    ],
)
def test_what_is_refused_of_the_launchpad_is_an_error_before_anything_runs(
    definitions, instance, tmp_path, given, nearest
):
    run = toy.run(definitions, instance, tags={STARTED_BY: "ui"}, **given)
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert executed(instance, run) == []
    (failure,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert nearest in str(failure.get_dagster_event().job_failure_data.error)
    record = record_of(tmp_path, run)
    assert (record["status"], record["started_by"], record["assets"]) == ("failed", "ui", {})
    assert {"overrides": record["overrides"], "force": record["force"]} == {"overrides": [], "force": [], **given}
    ((text, code),) = [(error["text"], error["exit_code"]) for error in record["errors"]]
    assert nearest in text
    assert code == 2
    assert record["experiment"] == ("overrides" in given)


def test_a_stage_of_the_command_line_can_be_forced(definitions, instance, tmp_path):
    toy.run(definitions, instance)
    run = toy.run(definitions, instance, force=["finetune"])
    assert executed(instance, run) == ["model", "model_enough_names"]
    assert record_of(tmp_path, run)["assets"]["model"]["outcome"] == "computed"


def test_the_record_says_who_asked_for_what(definitions, instance, tmp_path):
    run = toy.run(definitions, instance, tags={"dagster/sensor_name": "corpus_sensor"}, force=["model"])
    record = record_of(tmp_path, run)
    assert record["started_by"] == "sensor"
    assert record["force"] == ["model"]
    assert (record["status"], record["errors"], record["experiment"]) == ("succeeded", [], False)
    assert record["started"] <= record["finished"]
    store = Store(tmp_path / "home")
    assert record["assets"]["model"]["version"] == store.current("model").version
    assert record["assets"]["model"]["key"] == store.pointer("model")["key"]
    assert (run.tags["embed_pipeline/computed"], run.tags["embed_pipeline/reused"]) == ("3", "0")


def told(instance) -> list[str]:
    """What runs say of whom they wait for."""
    logs = [entry for record in instance.get_run_records() for entry in instance.all_logs(record.dagster_run.run_id)]
    return [
        entry.user_message for entry in logs if "waiting for run 01234567, started by schedule" in entry.user_message
    ]


def test_the_second_run_waits_and_says_for_whom(definitions, instance, tmp_path):
    ended = threading.Event()
    with home_lock(tmp_path / "home", Holder.here("schedule", "0123456789ab")):
        runs = []

        def run():
            runs.append(toy.run(definitions, instance))
            ended.set()

        waiting = threading.Thread(target=run)
        waiting.start()
        wait_until(lambda: told(instance), 60)
        assert len(told(instance)) == 1
        assert not ended.is_set()
    assert ended.wait(60)
    assert runs[0].is_success


WAITING = """
import sys
import dagster as dg
from pathlib import Path
from embed_pipeline.progress import reporting
from embed_pipeline_tests.stages import toy
class Terminal:
    def message(self, text): print(text, flush=True)
    def start(self, name, total): pass
    def update(self, handle, done, note=""): pass
    def finish(self, handle): pass
folder = Path(sys.argv[1])
with dg.DagsterInstance.ephemeral() as instance, reporting(Terminal()):
    run = toy.run(toy.toy_defs(toy.settings_of(folder), folder / "home"), instance)
    print(run.status.value)
"""


def test_a_run_that_waits_can_be_stopped(tmp_path):
    toy.corpus_of(tmp_path)
    with home_lock(tmp_path / "home", Holder.here("cli", "0123456789ab")):
        process = subprocess.Popen([sys.executable, "-c", WAITING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("waiting for run 01234567, started by cli")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said.strip() == "FAILURE"
    (record,) = History(tmp_path / "home").all()
    assert record["status"] == "stopped"
    assert record["errors"][0]["exit_code"] == 130


def multiprocess_job() -> dg.JobDefinition:
    """For step processes, which build it anew."""
    folder = Path(os.environ[FOLDER])
    settings = toy.settings_of(folder, "executor=multiprocess")
    built = toy.toy_defs(settings, folder / "home", checks=(enough_names(settings),))
    return built.resolve_job_def(f"{toy.JOB}_0")


def test_with_a_process_for_each_step_an_up_to_date_run_starts_none(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    toy.corpus_of(tmp_path)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        job = reconstructable(multiprocess_job)
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        first, second = (dg.execute_job(job, instance, quiet) for _ in range(2))
        assert first.success
        assert second.success
        assert executed(instance, first.dagster_run) == ["names", "model", "model_enough_names", "score"]
        pids = {
            str(entry.get_dagster_event().engine_event_data.metadata["pid"].value)
            for entry in instance.all_logs(first.run_id, of_type=dg.DagsterEventType.STEP_WORKER_STARTED)
        }
        assert len(pids) == 4
        assert executed(instance, second.dagster_run) == []
    assert json.loads((tmp_path / "home" / "artifacts" / "score" / "current.json").read_text())["outcome"] == "computed"
