"""The runs of a job as automation remembers them: which corpus they were about, and how they ended."""

import dagster as dg

from embed_pipeline.automation.retraining import End, PastRun
from embed_pipeline.automation.trained import MANIFEST, content_of
from embed_pipeline.defs.run_request import STARTED_BY, overrides_of
from embed_pipeline.store.artifacts import Store

CONTENT = "embed_pipeline/corpus"
ATTEMPT = "embed_pipeline/attempt"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_ENDS: dict[dg.DagsterRunStatus, End] = {
    dg.DagsterRunStatus.SUCCESS: "success",
    dg.DagsterRunStatus.FAILURE: "failure",
    dg.DagsterRunStatus.CANCELED: "canceled",
}
_LOOKED_AT = 50
_BY_ITSELF = ("sensor", "schedule")


def is_busy(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of the job is under way or waits for its turn."""
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=1))


def past_runs(instance: dg.DagsterInstance, job: str, store: Store) -> list[PastRun]:
    """Those that have ended, newest first.

    Runs by themselves carry their corpus as a tag. A run by hand counts when it failed or was cancelled after it had
    read the corpus; what one that succeeded has done, the pointers say. Experiments do not count.
    """
    records = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=list(_ENDS)), limit=_LOOKED_AT)
    found = []
    for record in records:
        run = record.dagster_run
        by_hand = run.tags.get(STARTED_BY) not in _BY_ITSELF
        end = _ENDS[run.status]
        content = _content(run, store)
        if content is None or overrides_of(run) or (by_hand and end == "success"):
            continue
        found.append(PastRun(content, end, record.end_time or record.update_timestamp.timestamp(), by_hand))
    return found


def next_attempt(instance: dg.DagsterInstance, content: str) -> int:
    """Number of the next run about a corpus; no number comes twice, as Dagster drops a run key it has seen."""
    runs = instance.get_runs(dg.RunsFilter(tags={CONTENT: content}))
    numbers = [int(run.tags[ATTEMPT]) for run in runs if run.tags.get(ATTEMPT, "").isdecimal()]
    return max(numbers, default=0) + 1


def _content(run: dg.DagsterRun, store: Store) -> str | None:
    if CONTENT in run.tags:
        return run.tags[CONTENT]
    manifest = store.of_run(run.run_id, MANIFEST)
    return None if manifest is None else content_of(manifest)
