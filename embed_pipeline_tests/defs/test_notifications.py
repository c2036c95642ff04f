"""What a webhook is told of real runs of a real instance, and what it is never told."""

import json
import os
import uuid

import dagster as dg
import pytest

from embed_pipeline.defs.assets import to_failure
from embed_pipeline.defs.notifications import (
    build_notifications,
    failures,
    figures_of,
    send,
    tell_of_confirmation,
    verdict_sentence,
)
from embed_pipeline.errors import InputError
from embed_pipeline.files import write_json
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.store.artifacts import Store
from embed_pipeline_tests.automation.test_webhook import hook  # noqa: F401  a fixture
from embed_pipeline_tests.ports import free_port

TEXT = "the secret sentence of a document"
SUMMARY = {
    "verdict": "ship",
    "comparison": {"gold": {"ndcg@10": {"base": 0.5, "tuned": 0.75, "delta": 0.25, "ci95": [0.1, 0.4], "p": 0.01}}},
}


def with_webhook(url, *more):
    return load_settings(None, None, [f"automation.webhook_url={url}", *more], {})


def sensors(settings, store):
    built = build_notifications(settings, JOB, store)
    return {sensor.name: sensor for sensor in built}


@dg.asset
def documents():
    raise to_failure(InputError(f"a.md: {TEXT}"))


@dg.asset
def metrics():
    return 1


@dg.asset_check(asset=metrics, blocking=True)
def verdict():
    return dg.AssetCheckResult(passed=False, description=TEXT)


@dg.asset
def passages():
    raise RuntimeError(TEXT)


JOB = dg.define_asset_job("pipeline", selection=dg.AssetSelection.all())


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        yield made


def failed_run(instance):
    defs = dg.Definitions(assets=[documents, passages, metrics], asset_checks=[verdict], jobs=[JOB])
    return defs.resolve_job_def("pipeline").execute_in_process(instance=instance, raise_on_error=False)


def measured(store, run_id, outcome="computed", summary=SUMMARY):
    folder = store.root / "metrics" / "v1"
    write_json(folder / "data" / "summary.json", summary)
    write_json(store.home / "runs" / run_id / "metrics.json", {"version": "v1", "outcome": outcome})


def context_of(result, instance, failure):
    kind = dg.DagsterEventType.RUN_FAILURE if failure else dg.DagsterEventType.RUN_SUCCESS
    event = next(event for event in result.all_events if event.event_type == kind)
    context = dg.build_run_status_sensor_context("s", event, instance, result.dagster_run)
    return context.for_run_failure() if failure else context


def test_a_failed_run_is_told_without_any_text_of_a_document(instance, hook, tmp_path):  # noqa: F811
    result = failed_run(instance)
    store = Store(tmp_path)
    settings = with_webhook(hook.url, "automation.ui_url=https://ui.example/dagster/")
    sensors(settings, store)["tell_of_failures"](context_of(result, instance, True))
    (body,) = hook.bodies
    assert body["event"] == "failure"
    assert body["run_id"] == result.run_id
    assert "documents (InputError)" in body["text"]
    assert "passages (RuntimeError)" in body["text"]
    assert "check verdict on metrics" in body["text"]
    assert body["link"] == f"https://ui.example/dagster/runs/{result.run_id}"
    assert body["link"] in body["text"]
    assert TEXT not in json.dumps(body)


def test_a_killed_run_is_told(instance, hook, tmp_path):  # noqa: F811
    run = dg.DagsterRun(job_name="pipeline", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    event = instance.report_run_failed(run, "killed")
    context = dg.build_run_status_sensor_context("s", event, instance, run).for_run_failure()
    sensors(with_webhook(hook.url), Store(tmp_path))["tell_of_failures"](context)
    assert "ended without a word" in hook.bodies[0]["text"]


def good_run(instance):
    defs = dg.Definitions(assets=[metrics], jobs=[JOB])
    return defs.resolve_job_def("pipeline").execute_in_process(instance=instance)


def test_a_verdict_is_told_with_its_figures(instance, hook, tmp_path):  # noqa: F811
    result, store = good_run(instance), Store(tmp_path)
    measured(store, result.run_id)
    sensors(with_webhook(hook.url), store)["tell_of_verdicts"](context_of(result, instance, False))
    (body,) = hook.bodies
    assert body["sentence"] == "the verdict is ship: nDCG@10 0.500 -> 0.750 (gold)"
    assert body["figures"] == {
        "verdict": "ship",
        "provisional": False,
        "ndcg@10": {"gold": {"base": 0.5, "tuned": 0.75, "delta": 0.25}},
    }


def test_a_provisional_verdict_is_called_so(tmp_path, monkeypatch):
    store = Store(tmp_path)
    monkeypatch.setitem(SUMMARY, "decision", {"firm": False})
    measured(store, "r")
    figures = figures_of(store, "r")
    assert figures["provisional"]
    assert verdict_sentence(figures).startswith("the verdict is ship (provisional): nDCG@10")


@pytest.mark.parametrize("outcome", ["reused", "skipped"])
def test_a_run_that_measured_nothing_anew_is_not_told(instance, hook, tmp_path, outcome):  # noqa: F811
    result, store = good_run(instance), Store(tmp_path)
    tell = sensors(with_webhook(hook.url), store)["tell_of_verdicts"]
    tell(context_of(result, instance, False))
    measured(store, result.run_id, outcome)
    tell(context_of(result, instance, False))
    assert hook.bodies == []


def test_damaged_figures_are_none(tmp_path):
    store = Store(tmp_path)
    measured(store, "r")
    (store.root / "metrics" / "v1" / "data" / "summary.json").write_text("{")
    assert figures_of(store, "r") == {}


@pytest.mark.parametrize("status", [500, 404])
def test_a_webhook_that_refuses_harms_nothing(instance, hook, tmp_path, status):  # noqa: F811
    hook.answers = [status] * 5
    sensors(with_webhook(hook.url), Store(tmp_path))["tell_of_failures"](
        context_of(failed_run(instance), instance, True)
    )
    assert hook.bodies


def test_a_confirmation_is_told_and_what_did_not_arrive_is_told_again(hook):  # noqa: F811
    assert tell_of_confirmation(with_webhook(hook.url), "the corpus lost 40%")
    assert hook.bodies[0]["event"] == "confirmation"
    assert not tell_of_confirmation(with_webhook(f"http://127.0.0.1:{free_port()}"), "x")
    assert tell_of_confirmation(load_settings(None, None, (), {}), "nobody is there to be told")


def test_the_address_may_stand_in_the_environment(hook, monkeypatch):  # noqa: F811
    settings = load_settings(None, None, ["automation.webhook_url_env=MY_HOOK"], {})
    assert "MY_HOOK is not set" in str(send(settings, "failure", "x"))
    monkeypatch.setitem(os.environ, "MY_HOOK", hook.url)
    assert send(settings, "failure", "x") is None
    assert hook.bodies[0]["text"] == "embed_pipeline: x"
    assert hook.bodies[0]["link"] is None


def test_without_a_webhook_there_is_no_sensor_and_with_one_they_are_on(tmp_path):
    assert build_notifications(load_settings(None, None, (), {}), JOB, Store(tmp_path)) == []
    built = sensors(with_webhook("http://localhost:1"), Store(tmp_path))
    assert {sensor.default_status.value for sensor in built.values()} == {"RUNNING"}


def test_nothing_failed_is_nothing_said(instance):
    assert failures(instance, good_run(instance).run_id) == []
