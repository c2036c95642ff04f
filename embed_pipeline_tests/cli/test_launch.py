"""What the command line gets back from a run: outcomes, one line per problem, an exit code."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

import dagster as dg
import pytest

from embed_pipeline import charts
from embed_pipeline.cli import launch
from embed_pipeline.cli.launch import execute, served_summary
from embed_pipeline.definitions import JOB
from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.errors import HomeBusyError
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.store.dagster_home import prepare_dagster_home
from embed_pipeline.store.home_lock import home_lock
from embed_pipeline_tests.stages import toy

NAMES = list(toy.STAGES)


@dg.asset_check(asset="model", blocking=True)
def enough_names(model: Artifact) -> dg.AssetCheckResult:
    """At least two names."""
    found = model.json("model")["names"]
    return dg.AssetCheckResult(passed=found >= 2, description=None if found >= 2 else f"only {found} names")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the toy graph in a home, as the command line runs the real one."""
    toy.corpus_of(tmp_path)

    def build(settings, home):
        built = toy.toy_defs(settings, home, checks=(enough_names,))
        job: Any = next(one for one in built.jobs if one.name == f"{toy.JOB}_0")
        return dg.Definitions.merge(built, dg.Definitions(jobs=[dg.define_asset_job(JOB, job.selection)]))

    monkeypatch.setattr(launch, "build_defs", build)
    monkeypatch.setattr(launch, "job_of", lambda *_: JOB)

    def go(*overrides: str, names: list[str] = NAMES, force: tuple[str, ...] = ()):
        return execute(toy.settings_of(tmp_path, *overrides), tmp_path / "home", names, force)

    return go


def outcomes(report):
    return {one.asset: one.outcome for one in report.assets}


def test_a_run_reports_every_asset_in_order_and_a_second_one_computes_only_what_is_forced(run, tmp_path):
    first, second = run(), run(force=("names",))
    assert [one.asset for one in first.assets] == NAMES
    assert outcomes(first) == dict.fromkeys(NAMES, "computed")
    assert outcomes(second) == {"names": "computed", "model": "reused", "score": "reused"}
    assert (first.exit_code, first.errors) == (0, ())
    store = Store(tmp_path / "home")
    assert {one.asset: one.version for one in second.assets} == {name: store.current(name).version for name in NAMES}
    assert all(one.seconds is not None for one in second.assets)
    with dg.DagsterInstance.get() as instance:  # the web UI shows both
        assert instance.root_directory == str(tmp_path / "home" / "dagster")
        assert [(record.run_id, record.job_name) for record in instance.get_runs()] == [
            (second.run_id, JOB),
            (first.run_id, JOB),
        ]


def test_a_wrong_input_is_one_line_and_exit_code_two(run, tmp_path):
    toy.corpus_of(tmp_path, "")
    report = run(names=["names", "model"])
    assert report.errors == ("names: names.txt: holds no names.",)
    assert report.exit_code == 2
    assert outcomes(report) == {"names": "failed", "model": "skipped"}


def test_a_refused_check_is_one_line_and_exit_code_one(run, tmp_path):
    toy.corpus_of(tmp_path, "ann")
    report = run()
    assert report.errors == ("check enough_names on model: only 1 names",)
    assert report.exit_code == 1
    assert outcomes(report) == {"names": "computed", "model": "computed", "score": "skipped"}


def test_a_programming_error_is_told_with_where_to_look(run, tmp_path):
    (tmp_path / "corpus" / "names.txt").write_bytes(b"\xff")
    report = run(names=["names"])
    assert report.exit_code == 1
    (line,) = report.errors
    assert line.startswith("names: UnicodeDecodeError: ")
    assert f"whole trace of run {report.run_id}" in line


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_so_and_the_next_one_goes_on(run, monkeypatch, sent):
    def stop(*_):
        os.kill(os.getpid(), sent)
        time.sleep(5)

    with monkeypatch.context() as patched:
        patched.setattr(charts, "bars", stop)
        report = run(names=["names"])
    assert report.errors == ("names: stopped; finished stages are kept, run again to go on",)
    assert report.exit_code == 128 + sent
    assert run(names=["names"]).exit_code == 0


def test_the_home_is_prepared_once_and_updated(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "elsewhere")
    folder = prepare_dagster_home(tmp_path)
    assert os.environ["DAGSTER_HOME"] == str(folder)
    text = (folder / "dagster.yaml").read_text()
    assert "telemetry" in text
    (folder / "dagster.yaml").write_text("telemetry: {enabled: true}")
    prepare_dagster_home(tmp_path)
    assert (folder / "dagster.yaml").read_text() == text


def test_two_runs_in_one_home_are_refused_and_a_killed_one_frees_it(tmp_path):
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom embed_pipeline.store.home_lock import home_lock\n"
        "with home_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(HomeBusyError, match=str(tmp_path)), home_lock(tmp_path):
            pass
        other.kill()
    with home_lock(tmp_path):
        pass


def test_nothing_served_yet_is_nothing(tmp_path):
    assert served_summary(tmp_path) == (None, None)


def test_an_override_is_applied_to_the_settings_of_the_run_alone():
    base = load_settings(None, None, (), {})
    assert PipelineResource(overrides=["finetune.epochs=4"]).settings(base).finetune.epochs == 4
    assert PipelineResource().settings(base) is base
