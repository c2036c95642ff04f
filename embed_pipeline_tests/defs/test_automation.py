"""The corpus sensor, tick by tick, with the clock in our hands."""

import json
import os
import time
from pathlib import Path

import dagster as dg
import pytest

from embed_pipeline.defs.automation import build_automation, folder_state
from embed_pipeline.settings.sources import load_settings

JOB = "pipeline"
SETTLE = 60


class Ticker:
    """Evaluates the real sensor, remembering the cursor as the daemon does."""

    def __init__(self, corpus: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        self.corpus = corpus
        self.instance = instance
        self.now = 1000.0
        self.cursor: str | None = None
        monkeypatch.setattr(time, "time", lambda: self.now)
        overrides = [f"corpus.path={corpus}", f"automation.settle_seconds={SETTLE}"]
        job = dg.define_asset_job(JOB, selection=dg.AssetSelection.all())
        self.sensor, _ = build_automation(load_settings(None, None, overrides, {}), job)

    def tick(self, after: float = 0.0) -> list[str]:
        """The run keys requested ``after`` seconds; the reason of a skip is kept in ``reason``."""
        self.now += after
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor if data.cursor is not None else self.cursor
        self.reason = data.skip_message
        return [request.run_key for request in data.run_requests]

    def write(self, text: str) -> None:
        path = self.corpus / "a.md"
        path.write_text(text)
        self.now += 1
        os.utime(path, ns=(0, sum(text.encode())))  # same text, same time: a real way back


@pytest.fixture
def ticker(tmp_path, monkeypatch):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    with dg.DagsterInstance.ephemeral() as instance:
        made = Ticker(corpus, instance, monkeypatch)
        made.write("A")
        yield made


def test_it_waits_until_the_folder_rests(ticker):
    assert ticker.tick() == []
    assert "waiting until it rests for 60 s" in ticker.reason
    assert ticker.tick(SETTLE - 1) == []
    ticker.write("AB")
    assert ticker.tick(10) == []  # changed again: the clock starts anew
    assert ticker.tick(SETTLE - 1) == []
    assert len(ticker.tick(1)) == 1


def test_one_change_is_one_run(ticker):
    ticker.tick()
    assert len(ticker.tick(SETTLE)) == 1
    for _ in range(3):
        assert ticker.tick(SETTLE) == []
        assert "has not changed" in ticker.reason


def test_a_run_under_way_holds_back_the_next_which_then_comes(ticker):
    ticker.tick()
    run = dg.DagsterRun(job_name=JOB, run_id="9d1dd6f0-0000-4000-8000-000000000000", status=dg.DagsterRunStatus.STARTED)
    ticker.instance.add_run(run)
    assert ticker.tick(SETTLE) == []
    assert "a run is under way" in ticker.reason
    ticker.instance.report_run_canceled(ticker.instance.get_run_by_id(run.run_id))
    assert len(ticker.tick(1)) == 1


def test_a_finished_run_or_another_jobs_run_does_not_hold_back(ticker):
    ticker.tick()
    for number, (name, status) in enumerate(
        [(JOB, dg.DagsterRunStatus.SUCCESS), ("other", dg.DagsterRunStatus.STARTED)]
    ):
        ticker.instance.add_run(
            dg.DagsterRun(job_name=name, run_id=f"9d1dd6f0-0000-4000-8000-00000000000{number}", status=status)
        )
    assert len(ticker.tick(SETTLE)) == 1


def test_going_back_to_an_earlier_state_fires_again_with_a_new_key(ticker):
    keys = []
    for text in ("A", "B", "A"):
        ticker.write(text)
        ticker.tick()
        keys += ticker.tick(SETTLE)
    assert len(set(keys)) == 3  # Dagster drops a run key it has seen before


def test_a_change_undone_before_it_settled_is_no_change(ticker):
    ticker.tick()
    assert len(ticker.tick(SETTLE)) == 1
    ticker.write("B")
    ticker.tick()
    ticker.write("A")
    ticker.tick()
    assert ticker.tick(SETTLE) == []


def test_a_change_after_a_failed_run_fires(ticker):
    ticker.tick()
    (first,) = ticker.tick(SETTLE)
    run = dg.DagsterRun(
        job_name=JOB,
        run_id="9d1dd6f0-0000-4000-8000-000000000001",
        status=dg.DagsterRunStatus.FAILURE,
        tags={"dagster/run_key": first},
    )
    ticker.instance.add_run(run)
    ticker.write("B")
    ticker.tick()
    (second,) = ticker.tick(SETTLE)
    assert second != first


def test_a_missing_folder_is_said_and_forgets_nothing(ticker):
    ticker.tick()
    ticker.tick(SETTLE)
    away = ticker.corpus.rename(ticker.corpus.with_name("away"))
    before = ticker.cursor
    assert ticker.tick(SETTLE) == []
    assert "is not a folder" in ticker.reason
    assert ticker.cursor == before
    away.rename(ticker.corpus)
    assert ticker.tick(SETTLE) == []
    assert "has not changed" in ticker.reason


def test_without_a_corpus_setting_it_skips(monkeypatch):
    job = dg.define_asset_job(JOB, selection=dg.AssetSelection.all())
    sensor, _ = build_automation(load_settings(None, None, (), {}), job)
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance=instance) as context:
        assert sensor.evaluate_tick(context).run_requests == []


def test_the_cursor_is_json_and_grows_by_one_a_run(ticker):
    ticker.tick()
    assert json.loads(ticker.cursor)["sequence"] == 0
    ticker.tick(SETTLE)
    assert json.loads(ticker.cursor)["sequence"] == 1


def test_the_state_sees_names_sizes_and_times_but_not_links_to_elsewhere(tmp_path):
    folder, outside = tmp_path / "in", tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    outside.write_text("x")
    states = [folder_state(folder)]
    (folder / "sub" / "a").write_text("1")
    states.append(folder_state(folder))
    os.utime(folder / "sub" / "a", ns=(0, 1))
    states.append(folder_state(folder))
    (folder / "sub" / "a").rename(folder / "b")
    states.append(folder_state(folder))
    assert len(set(states)) == 4
    (folder / "link").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    assert folder_state(folder) == states[-1]
