"""Runs whose process is gone: a kill leaves them unfinished for ever, holding their place in pool ``gpu``, and the
corpus sensor thinks that a run is under way.

A run in the queue is never taken for dead: the daemon starts it when its turn comes, also after a restart.
"""

import time

import dagster as dg
import psutil

from embed_pipeline.defs.event_log import EventLog

LOOKED_AT = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
GRACE_SECONDS = 300.0
"""A run that has no process yet may be starting right now: on a loaded machine that takes minutes."""


def bury_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report every run whose process has ended without a word as failed, and free its pool slots.

    So is a run that was created, or sent to its process, :data:`GRACE_SECONDS` ago and has none: whoever was about to
    start it was killed. One that was being cancelled is reported as cancelled. Dagster's own detection covers
    containers and clusters only.

    Returns:
        The run ids.
    """
    buried = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=LOOKED_AT)):
        run = record.dagster_run
        cause = _cause_of_death(instance, record)
        if cause is None:
            continue
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, cause)
        else:
            instance.report_run_failed(run, cause)
        _forget_plans(instance, run.run_id)
        buried.append(run.run_id)
    _free_slots_of_ended_runs(instance)
    return buried


def _forget_plans(instance: dg.DagsterInstance, run_id: str) -> None:
    """Leave every asset that the run did not make as it was shown before."""
    log = instance.event_log_storage
    if not isinstance(log, EventLog):
        return
    made, planned = (
        {entry.get_dagster_event().asset_key for entry in instance.all_logs(run_id, of_type=kind)}
        for kind in (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    )
    log.forget_plans(run_id, [key for key in planned - made if key is not None], as_before=True)


def _free_slots_of_ended_runs(instance: dg.DagsterInstance) -> None:
    """A run that was killed keeps its place in a pool, also when Dagster's code server has reported it as failed.

    That does so for the runs that it started, and frees nothing.
    """
    storage = instance.event_log_storage
    holding = list(storage.get_concurrency_run_ids()) if storage.supports_global_concurrency_limits else []
    if not holding:
        return
    for run in instance.get_runs(dg.RunsFilter(run_ids=holding, statuses=ENDED)):
        storage.free_concurrency_slots_for_run(run.run_id)


def _cause_of_death(instance: dg.DagsterInstance, record: dg.RunRecord) -> str | None:
    """Why a run is taken for dead, None when it is not."""
    run = record.dagster_run
    pid = _process_of(instance, run.run_id)
    if pid is not None:
        dead = not _is_alive(pid, record.start_time)
        return f"process {pid} ended without a word (killed, or the machine went down)" if dead else None
    if run.status == dg.DagsterRunStatus.STARTED:  # on another machine, by an executor that names no process
        return None
    if time.time() - record.update_timestamp.timestamp() < GRACE_SECONDS:
        return None
    return "it was never started: whoever was about to start it was killed"


def _process_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process of the run's executor, which names itself in its first engine event."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        metadata = entry.get_dagster_event().engine_event_data.metadata
        if "pid" in metadata:
            return int(str(metadata["pid"].value))
    return None


def _is_alive(pid: int, started: float | None) -> bool:
    try:
        process = psutil.Process(pid)
        reused = started is not None and process.create_time() > started + 1.0
        return process.status() != psutil.STATUS_ZOMBIE and not reused
    except psutil.Error:
        return False
