"""Retraining by itself: a sensor on the corpus folder and a schedule, both off until switched on."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from embed_pipeline.defs.dead_runs import bury_dead_runs
from embed_pipeline.files import sha256_json
from embed_pipeline.settings import Settings

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
TICK_SECONDS = 30


def folder_state(folder: Path) -> str:
    """Cheap fingerprint of a folder (or a file): path, size and modification time of every file."""
    return sha256_json(sorted(_stats(folder)))


def _stats(folder: Path) -> Iterator[tuple[str, int, int]]:
    for path in [folder] if folder.is_file() else folder.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue  # removed while we looked
        yield path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns


def build_automation(
    settings: Settings, job: "UnresolvedAssetJobDefinition"
) -> tuple[dg.SensorDefinition, dg.ScheduleDefinition]:
    """The corpus sensor and the schedule of ``job``."""

    @dg.sensor(job=job, minimum_interval_seconds=TICK_SECONDS, default_status=dg.DefaultSensorStatus.STOPPED)
    def corpus_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Retrains when the corpus folder has changed and then stayed as it is for automation.settle_seconds."""
        return decide(context, settings, job.name)

    schedule = dg.ScheduleDefinition(
        name="retrain_schedule",
        job=job,
        cron_schedule=settings.automation.cron,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Retrains by the clock (automation.cron); a run with nothing stale computes nothing.",
    )
    return corpus_sensor, schedule


def decide(context: dg.SensorEvaluationContext, settings: Settings, job_name: str) -> dg.SensorResult | dg.SkipReason:
    """One tick of the corpus sensor.

    The cursor holds the state seen last and since when, the state last launched, and a sequence number that
    makes each run key new: Dagster drops a run key it has seen before, so a key of the state alone would
    never fire for A -> B -> A or after a failed run.
    """
    folder = settings.corpus.path
    if folder is None or not folder.exists():
        return dg.SkipReason(f"corpus.path {folder} is not a folder or file")
    now, state = time.time(), folder_state(folder)
    cursor: dict[str, Any] = json.loads(context.cursor) if context.cursor else {"launched": None, "sequence": 0}
    if state != cursor.get("seen"):
        cursor |= {"seen": state, "since": now}
    settled = now - cursor["since"] >= settings.automation.settle_seconds
    bury_dead_runs(context.instance)
    busy = context.instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=UNFINISHED), limit=1)
    reason = None
    if state == cursor["launched"]:
        reason = "the corpus folder has not changed since the last run"
    elif not settled:
        reason = f"the corpus folder changed; waiting until it rests for {settings.automation.settle_seconds:g} s"
    elif busy:
        reason = "a run is under way; the change is picked up after it"
    requests = []
    if reason is None:
        cursor |= {"launched": state, "sequence": cursor["sequence"] + 1}
        requests = [dg.RunRequest(run_key=f"{state[:16]}-{cursor['sequence']}")]
    return dg.SensorResult(run_requests=requests, skip_reason=reason, cursor=json.dumps(cursor))
