"""Runs whose process is gone are buried; those that wait or are starting right now are not."""

import os
import subprocess
import sys
import time

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from embed_pipeline.defs.dead_runs import GRACE_SECONDS, bury_dead_runs

Status = dg.DagsterRunStatus
JOB = dg.GraphDefinition(name="pipeline").to_job()
LOCATION = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="embed_pipeline.definitions"))
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(LOCATION, "__repository__"), "pipeline")  # without it nothing is queued


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def run_in(instance, status, pid=None):
    run = instance.create_run_for_job(JOB, status=status, remote_job_origin=ORIGIN)
    if pid is not None:
        metadata = {"pid": dg.MetadataValue.text(str(pid))}
        instance.report_engine_event("it runs", run, EngineEventData(metadata))
    return run.run_id


def status_of(instance, run_id):
    return instance.get_run_by_id(run_id).status


@pytest.mark.parametrize("status", [Status.STARTING, Status.STARTED])
def test_a_run_whose_process_is_gone_has_failed(instance, dead_pid, status):
    run_id = run_in(instance, status, dead_pid)
    assert bury_dead_runs(instance) == [run_id]
    assert status_of(instance, run_id) == Status.FAILURE
    assert bury_dead_runs(instance) == []


def test_a_run_that_was_being_cancelled_is_cancelled(instance, dead_pid):
    run_id = run_in(instance, Status.CANCELING, dead_pid)
    assert bury_dead_runs(instance) == [run_id]
    assert status_of(instance, run_id) == Status.CANCELED


@pytest.mark.parametrize("status", [Status.STARTING, Status.STARTED, Status.CANCELING])
def test_a_run_whose_process_lives_is_left_alone(instance, status):
    run_in(instance, status, os.getpid())
    assert bury_dead_runs(instance) == []


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (Status.NOT_STARTED, Status.FAILURE),
        (Status.STARTING, Status.FAILURE),
        (Status.CANCELING, Status.CANCELED),
    ],
)
def test_a_run_without_a_process_has_a_time_of_grace(instance, monkeypatch, status, end):
    run_id = run_in(instance, status)
    assert bury_dead_runs(instance) == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + GRACE_SECONDS + 1)
    assert bury_dead_runs(instance) == [run_id]
    assert status_of(instance, run_id) == end


@pytest.mark.parametrize("status", [Status.QUEUED, Status.STARTED, Status.SUCCESS, Status.FAILURE, Status.CANCELED])
def test_waiting_in_the_queue_is_not_dead_nor_is_what_names_no_process(instance, monkeypatch, status):
    run_id = run_in(instance, status)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100 * GRACE_SECONDS)
    assert bury_dead_runs(instance) == []
    assert status_of(instance, run_id) == status


@pytest.mark.parametrize("reported", [True, False])
def test_a_killed_run_gives_up_its_place_in_the_pool_whoever_reports_it(dead_pid, reported):
    with dg.instance_for_test() as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots("gpu", 1)
        run_id = run_in(instance, Status.STARTED, dead_pid)
        assert storage.claim_concurrency_slot("gpu", run_id, "checkpoint").is_claimed
        if reported:  # as Dagster's code server does for the runs that it started
            instance.report_run_failed(instance.get_run_by_id(run_id), "terminated by signal 9")
        assert bury_dead_runs(instance) == ([] if reported else [run_id])
        assert storage.claim_concurrency_slot("gpu", run_in(instance, Status.STARTED), "checkpoint").is_claimed


def test_a_run_that_lives_keeps_its_place_in_the_pool():
    with dg.instance_for_test() as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots("gpu", 1)
        run_id = run_in(instance, Status.STARTED, os.getpid())
        assert storage.claim_concurrency_slot("gpu", run_id, "checkpoint").is_claimed
        assert bury_dead_runs(instance) == []
        assert not storage.claim_concurrency_slot("gpu", run_in(instance, Status.STARTED), "checkpoint").is_claimed
