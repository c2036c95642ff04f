"""Runs whose process is gone: a kill leaves them "started", holding their place in pool ``gpu`` for ever."""

import dagster as dg
import psutil

UNFINISHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def bury_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report every run whose process has ended without a word as failed, and free its pool slots.

    Without this the next run would wait for the slot of a process that no longer exists, and the corpus
    sensor would think a run is under way. Dagster's own detection covers containers and clusters only.

    Returns:
        The run ids.
    """
    buried = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        run = record.dagster_run
        pid = _process_of(instance, run.run_id)
        if pid is None or _is_alive(pid, record.start_time):
            continue
        instance.report_run_failed(run, f"process {pid} ended without a word (killed, or the machine went down)")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        buried.append(run.run_id)
    return buried


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
