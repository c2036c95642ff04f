"""The corpus sensor on real files, tick by tick, with the clock in our hands; the runs are pretended."""

import os
import shutil
import time
import uuid
from pathlib import Path

import dagster as dg
import pytest

from embed_pipeline.automation.corpus_watch import confirm
from embed_pipeline.defs.automation import build_automation
from embed_pipeline.defs.past_runs import CONTENT
from embed_pipeline.defs.run_request import STARTED_BY
from embed_pipeline.files import sha256_file
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import stages
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.home import open_home
from embed_pipeline_tests.automation.build import pretend_run
from embed_pipeline_tests.automation.test_webhook import hook  # noqa: F401  a fixture

JOB = "pipeline"
SETTLE = 60
RETRY = 1000
FAILURE, SUCCESS, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED


class Ticker:
    """Evaluates the real sensor, remembering the cursor as the daemon does, and makes its runs end."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        self.corpus, self.instance = folder / "corpus", instance
        self.now = time.time()
        self.cursor: str | None = None
        monkeypatch.setattr(time, "time", lambda: self.now)
        self.store = Store(folder / "home")
        self.set()

    def set(self, *overrides: str) -> None:
        """The usual settings, and these."""
        usual = [f"corpus.path={self.corpus}", f"automation.settle_seconds={SETTLE}"]
        usual += [f"automation.retry_seconds={RETRY}", "automation.retries=2"]
        self.settings = load_settings(None, None, [*usual, *overrides], {})
        self.graph = stages(self.settings)
        job = dg.define_asset_job(JOB, selection=dg.AssetSelection.all())
        self.automation = build_automation(self.settings, job, self.store, self.graph)

    def tick(self, after: float = 0.0) -> list[dg.RunRequest]:
        """What is requested ``after`` seconds; the reason of a skip is kept in ``reason``, events in ``events``."""
        self.now += after
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            data = self.automation.sensors[0].evaluate_tick(context)
        self.cursor = data.cursor if data.cursor is not None else self.cursor
        self.reason, self.events = data.skip_message or "", list(data.asset_events)
        return list(data.run_requests)

    def settled(self) -> list[dg.RunRequest]:
        """What is requested once the folder rests."""
        return self.tick() + self.tick(SETTLE)

    def end(self, request: dg.RunRequest, status: dg.DagsterRunStatus, up_to: str | None = None) -> None:
        """The requested run as it ends; it moves the pointers ``up_to`` the last asset it reached."""
        run_id = str(uuid.uuid4())
        pretend_run(self.store, self.graph, self.settings, up_to, run_id)
        tags = {**request.tags, "dagster/run_key": str(request.run_key)}
        self.instance.add_run(dg.DagsterRun(job_name=JOB, run_id=run_id, status=status, tags=tags))

    def by_hand(self, status: dg.DagsterRunStatus, up_to: str | None = None) -> None:
        self.end(dg.RunRequest(run_key=None), status, up_to)

    def train(self) -> None:
        """The folder as it is, trained on by the sensor itself."""
        (request,) = self.settled()
        self.end(request, SUCCESS)

    def write(self, text: str, name: str = "a.md") -> None:
        (self.corpus / name).write_text(text)


@pytest.fixture
def ticker(tmp_path, monkeypatch):
    (tmp_path / "corpus").mkdir()
    with dg.DagsterInstance.ephemeral() as instance:
        made = Ticker(tmp_path, instance, monkeypatch)
        made.write("A")
        yield made


def test_it_waits_until_the_folder_rests(ticker):
    assert ticker.tick() == []
    assert ticker.reason == "the corpus folder is seen for the first time; waiting until it rests for 60 s"
    assert ticker.tick(SETTLE - 1) == []
    ticker.write("AB")
    assert ticker.tick(10) == []  # changed again: the clock starts anew
    assert ticker.tick(SETTLE - 1) == []
    assert len(ticker.tick(1)) == 1


def test_one_change_is_one_run_and_the_run_says_who_started_it(ticker):
    (request,) = ticker.settled()
    assert request.tags[STARTED_BY] == "sensor"
    assert len(request.tags[CONTENT]) == 64
    ticker.end(request, SUCCESS)
    for _ in range(3):
        assert ticker.tick(SETTLE) == []
        assert "has not changed" in ticker.reason


def test_a_corpus_that_was_trained_on_starts_nothing_at_the_first_tick(ticker):
    ticker.by_hand(SUCCESS)
    assert ticker.settled() == []
    assert "has not changed" in ticker.reason


def test_a_lost_cursor_starts_nothing_and_repeats_no_run_key(ticker):
    ticker.train()
    ticker.cursor = None
    assert ticker.settled() == []
    keys = []
    for status in (FAILURE, FAILURE, SUCCESS):
        ticker.write("B")
        ticker.cursor = None
        ticker.tick()
        (request,) = ticker.tick(2 * RETRY + SETTLE)
        keys.append(request.run_key)
        ticker.end(request, status, up_to=None if status == SUCCESS else "documents")
    assert len(set(keys)) == 3
    ticker.cursor = "an older release wrote this"
    assert ticker.settled() == []


def test_a_run_under_way_holds_back_the_next_which_then_comes(ticker):
    run = dg.DagsterRun(job_name=JOB, run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED)
    ticker.instance.add_run(run)
    assert ticker.settled() == []
    assert "a run is under way" in ticker.reason
    ticker.instance.report_run_canceled(ticker.instance.get_run_by_id(run.run_id))
    assert len(ticker.tick(1)) == 1


def test_another_jobs_run_does_not_hold_back(ticker):
    run = dg.DagsterRun(job_name="other", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED)
    ticker.instance.add_run(run)
    assert len(ticker.settled()) == 1


def test_there_and_back_is_three_runs(ticker):
    keys = []
    for text in ("A", "B", "A"):
        ticker.write(text)
        (request,) = ticker.settled()
        ticker.end(request, SUCCESS)
        keys.append(request.run_key)
    assert len(set(keys)) == 3  # Dagster drops a run key it has seen before


def test_a_change_undone_before_it_settled_is_no_change(ticker):
    ticker.train()
    ticker.write("B")
    ticker.tick()
    ticker.write("A")
    assert ticker.settled() == []


def test_a_failed_run_is_tried_again_with_growing_pauses_and_then_left_alone(ticker):
    (first,) = ticker.settled()
    ticker.end(first, FAILURE, up_to="qa_pairs")
    assert ticker.tick(RETRY - 100) == []
    assert "failed; the next one begins in" in ticker.reason
    (second,) = ticker.tick(100)
    ticker.end(second, FAILURE, up_to="qa_pairs")
    assert ticker.tick(800) == []
    (third,) = ticker.tick(RETRY)
    ticker.end(third, FAILURE, up_to="qa_pairs")
    assert ticker.tick(100 * RETRY) == []
    assert "3 runs on this content failed" in ticker.reason
    ticker.write("B")
    assert len(ticker.settled()) == 1


def test_a_failed_run_that_was_made_good_by_hand_is_not_tried_again(ticker):
    (request,) = ticker.settled()
    ticker.end(request, FAILURE, up_to="qa_pairs")
    ticker.by_hand(SUCCESS)
    assert ticker.tick(RETRY) == []
    assert "has not changed" in ticker.reason


def test_a_cancelled_run_is_left_alone_until_the_corpus_changes(ticker):
    (request,) = ticker.settled()
    ticker.end(request, CANCELED, up_to="documents")
    assert ticker.tick(100 * RETRY) == []
    assert "cancelled" in ticker.reason
    ticker.write("B")
    ticker.tick()
    (request,) = ticker.tick(SETTLE)
    ticker.end(request, FAILURE, up_to="documents")
    ticker.by_hand(CANCELED, up_to="documents")  # the same by hand
    assert ticker.tick(100 * RETRY) == []
    assert "cancelled" in ticker.reason


def test_a_run_killed_before_it_began_is_buried_and_tried_again(ticker):
    (request,) = ticker.settled()
    job = dg.GraphDefinition(name=JOB).to_job()
    run = ticker.instance.create_run_for_job(job, tags={**request.tags, "dagster/run_key": str(request.run_key)})
    assert run.status == dg.DagsterRunStatus.NOT_STARTED
    assert ticker.tick(30) == []
    assert "under way" in ticker.reason
    ticker.tick(300)
    assert ticker.instance.get_run_by_id(run.run_id).status == FAILURE
    (again,) = ticker.tick(RETRY + 1)
    assert again.run_key != request.run_key
    assert again.tags[CONTENT] == request.tags[CONTENT]


def test_an_experiment_decides_nothing(ticker):
    ticker.train()
    config = {"resources": {"pipeline": {"config": {"overrides": ["finetune.epochs=1"]}}}}
    run_id = str(uuid.uuid4())
    ticker.write("B")
    ticker.instance.add_run(dg.DagsterRun(job_name=JOB, run_id=run_id, status=CANCELED, run_config=config))
    shutil.copytree(
        ticker.store.home / "runs" / next(os.walk(ticker.store.home / "runs"))[1][0],
        ticker.store.home / "runs" / run_id,
    )
    assert len(ticker.settled()) == 1


def test_a_slow_copy_of_a_thousand_files_is_one_run_after_it_rests(ticker):
    ticker.train()
    requests = []
    for batch in range(10):
        for number in range(100):
            ticker.write(f"{batch} {number}", f"{batch}-{number}.md")
        requests += ticker.tick(30)
    assert requests == []
    (request,) = ticker.tick(SETTLE)
    ticker.end(request, SUCCESS)
    assert ticker.settled() == []


def test_rename_delete_and_touch(ticker):
    for number in range(9):
        ticker.write(f"text {number}", f"{number}.md")
    ticker.train()
    (ticker.corpus / "0.md").rename(ticker.corpus / "renamed.md")
    ticker.train()
    (ticker.corpus / "renamed.md").unlink()
    ticker.train()
    for file in ticker.corpus.iterdir():
        os.utime(file)
    assert ticker.settled() == []
    assert "has not changed" in ticker.reason


def test_hidden_files_and_the_home_itself_start_nothing(ticker, tmp_path):
    ticker.store = Store(ticker.corpus / "home")
    ticker.set()
    open_home(ticker.store.home)
    ticker.train()
    (ticker.corpus / ".DS_Store").write_text("x")
    (ticker.store.home / "note.md").write_text("x")
    assert ticker.tick() == []
    assert "has not changed" in ticker.reason  # not even waiting until it rests


@pytest.mark.parametrize("leave", ["nothing", "an empty folder"])
def test_a_folder_that_is_gone_is_told_and_starts_nothing(ticker, leave):
    ticker.train()
    away = ticker.corpus.rename(ticker.corpus.with_name("away"))
    if leave == "an empty folder":  # the place where a disk was mounted
        ticker.corpus.mkdir()
    before = ticker.cursor
    assert ticker.settled() == []
    assert "nothing is started" in ticker.reason
    assert str(ticker.corpus) in ticker.reason
    assert ticker.cursor == before
    if leave == "an empty folder":
        ticker.corpus.rmdir()
    away.rename(ticker.corpus)
    assert ticker.tick(SETTLE) == []
    assert "has not changed" in ticker.reason


@pytest.fixture
def without_rights(monkeypatch):
    """Names of what may not be read; the superuser may read everything, so the system itself cannot say no."""
    names: set[str] = set()

    def guard(call):
        def guarded(path, *rest, **more):
            if Path(path).name in names:
                raise PermissionError(13, "Permission denied", str(path))
            return call(path, *rest, **more)

        return guarded

    monkeypatch.setattr("embed_pipeline.corpus.fingerprint_cache.sha256_file", guard(sha256_file))
    monkeypatch.setattr(os, "scandir", guard(os.scandir))
    return names


def test_a_folder_without_rights_is_told_and_starts_nothing(ticker, without_rights):
    ticker.train()
    without_rights.add("corpus")
    assert ticker.settled() == []
    assert "cannot be read: Permission denied" in ticker.reason


@pytest.mark.parametrize("lost", ["b.md", "part"])
def test_documents_without_rights_wait_for_a_confirmation(ticker, without_rights, lost):
    (ticker.corpus / "part").mkdir()
    for name in ("b.md", "part/c.md", *(f"{number}.md" for number in range(9))):
        ticker.write(name, name)
    ticker.train()
    without_rights.add(lost)
    (ticker.corpus / lost).touch()  # chmod changes ctime
    assert ticker.settled() == []
    assert f"{lost} (cannot be read: Permission denied)" in ticker.reason
    without_rights.clear()
    (ticker.corpus / lost).touch()
    assert ticker.settled() == []
    assert "has not changed" in ticker.reason


def test_a_new_file_without_rights_is_only_left_out(ticker, without_rights):
    ticker.train()
    ticker.write("B", "b.md")
    without_rights.add("b.md")
    assert len(ticker.settled()) == 1


def test_a_file_that_grows_while_it_is_looked_at_is_trained_on_when_it_rests(ticker):
    ticker.train()
    with (ticker.corpus / "log.md").open("w") as file:
        for _ in range(5):
            file.write("more\n" * 2000)
            file.flush()
            assert ticker.tick(SETTLE) == []
    assert ticker.tick() == []
    assert len(ticker.tick(SETTLE)) == 1


def shrink(ticker):
    for number in range(9):
        ticker.write(f"text {number}", f"{number}.md")
    ticker.train()
    for number in range(4):
        (ticker.corpus / f"{number}.md").unlink()


def test_a_corpus_that_shrank_waits_for_a_confirmation_of_exactly_that(ticker):
    shrink(ticker)
    assert ticker.tick() + ticker.tick(SETTLE) == []
    assert "the corpus lost 43.6% (10 -> 6 documents, 0.1 -> 0.0 kB)" in ticker.reason
    (event,) = ticker.events
    assert event.asset_key.to_user_string() == "corpus_manifest"
    assert ticker.tick(SETTLE) == []
    assert ticker.events == []  # said once, not with every tick
    assert ticker.automation.schedules[0].evaluate_tick(dg.build_schedule_context()).skip_message.startswith("waiting")
    result = ticker.automation.jobs[0].execute_in_process(instance=ticker.instance)
    assert result.success
    assert ticker.automation.schedules[0].evaluate_tick(dg.build_schedule_context()).run_requests
    (ticker.corpus / "4.md").unlink()
    assert ticker.settled() == []  # another content: the confirmation does not hold for it
    assert "automation.max_shrink is 20.0%" in ticker.reason
    assert "10 -> 5 documents" in str(confirm(ticker.settings, ticker.store))
    (request,) = ticker.tick()
    ticker.end(request, SUCCESS)
    assert ticker.settled() == []
    assert confirm(ticker.settings, ticker.store) is None


def test_a_webhook_that_does_not_take_it_is_asked_again_after_growing_pauses(ticker, hook):  # noqa: F811
    ticker.set(f"automation.webhook_url={hook.url}")
    hook.answers = [404, 404, 404]  # not worth another attempt at once
    shrink(ticker)
    ticker.settled()
    assert len(hook.bodies) == 1
    assert len(ticker.events) == 1
    for after, bodies in ((RETRY - 1, 1), (1, 2), (RETRY, 2), (RETRY, 3), (1, 3)):
        ticker.tick(after)
        assert len(hook.bodies) == bodies
        assert ticker.events == []  # said on the asset already
    ticker.tick(4 * RETRY)
    assert len(hook.bodies) == 4
    ticker.tick(100 * RETRY)
    assert len(hook.bodies) == 4


def test_a_corpus_that_shrank_is_not_asked_about_where_that_is_allowed(ticker):
    ticker.set("automation.max_shrink=0.5")
    shrink(ticker)
    assert len(ticker.settled()) == 1


def test_a_run_by_hand_on_a_corpus_that_shrank_means_it(ticker):
    shrink(ticker)
    ticker.tick()
    ticker.by_hand(FAILURE, up_to="qa_pairs")
    (request,) = ticker.tick(2 * RETRY)
    assert request.tags[STARTED_BY] == "sensor"


def test_small_changes_add_up_until_they_are_enough(ticker):
    ticker.set("automation.min_change=0.2")
    for number in range(9):
        ticker.write(f"text {number}", f"{number}.md")
    ticker.train()
    ticker.write("another", "0.md")
    assert ticker.settled() == []
    assert "automation.min_change is 20.00%" in ticker.reason
    ticker.write("another", "1.md")
    assert len(ticker.settled()) == 1


def test_without_a_corpus_setting_it_skips(ticker):
    job = dg.define_asset_job(JOB, selection=dg.AssetSelection.all())
    automation = build_automation(load_settings(None, None, (), {}), job, ticker.store, ticker.graph)
    with dg.build_sensor_context(instance=ticker.instance) as context:
        assert "corpus.path is not set" in automation.sensors[0].evaluate_tick(context).skip_message
    assert "corpus.path is not set" in automation.schedules[0].evaluate_tick(dg.build_schedule_context()).skip_message


def test_what_runs_by_itself_is_off_unless_the_settings_say_so(ticker):
    sensor, schedule = ticker.automation.sensors[0], ticker.automation.schedules[0]
    assert (sensor.default_status.value, schedule.default_status.value) == ("STOPPED", "STOPPED")
    ticker.set("automation.enabled=true", "automation.cron=30 4 * * 1", "automation.time_zone=Europe/Berlin")
    sensor, schedule = ticker.automation.sensors[0], ticker.automation.schedules[0]
    assert (sensor.default_status.value, schedule.default_status.value) == ("RUNNING", "RUNNING")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 4 * * 1", "Europe/Berlin")


def test_the_schedule_says_who_started_its_runs(ticker):
    (request,) = ticker.automation.schedules[0].evaluate_tick(dg.build_schedule_context()).run_requests
    assert request.tags[STARTED_BY] == "schedule"
