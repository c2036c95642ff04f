"""Retraining by itself: a sensor on the corpus folder, a schedule, and the job that confirms a corpus that shrank.

The parts of Dagster only: :mod:`embed_pipeline.automation.corpus_watch` looks at the folder and
:mod:`embed_pipeline.automation.retraining` decides.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import dagster as dg

from embed_pipeline.automation.corpus_watch import CorpusView, confirm, list_corpus, to_confirm, view_corpus
from embed_pipeline.automation.retraining import BUSY, NOTHING, Decision, Situation, decide, pause_after
from embed_pipeline.automation.trained import MANIFEST, content_in_use, is_complete, is_trained
from embed_pipeline.corpus.fingerprint_cache import RACY_SECONDS, StillHashing
from embed_pipeline.defs.assets import to_failure
from embed_pipeline.defs.dead_runs import bury_dead_runs
from embed_pipeline.defs.notifications import build_notifications, tell_of_confirmation
from embed_pipeline.defs.past_runs import ATTEMPT, CONTENT, is_busy, next_attempt, past_runs
from embed_pipeline.defs.run_request import STARTED_BY
from embed_pipeline.errors import EmbedPipelineError, InputError, SettingsError
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.health import holder

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

TICK_SECONDS = 30
HASHING_SECONDS = 20.0
"""Of one tick: Dagster gives up on a tick after 60 s."""


@dataclass(frozen=True)
class Automation:
    """What runs by itself, and the job beside it."""

    sensors: Sequence[dg.SensorDefinition]
    schedules: Sequence[dg.ScheduleDefinition]
    jobs: Sequence[dg.JobDefinition]


def build_automation(
    settings: Settings, job: "UnresolvedAssetJobDefinition", store: Store, graph: Mapping[str, Stage]
) -> Automation:
    """The corpus sensor, the schedule and the notifications of ``job``, and the job that confirms."""
    on = settings.automation.enabled

    @dg.sensor(
        job=job,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
    )
    def corpus_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Retrains when the corpus has changed and rests; tries again when that failed; asks when it shrank."""
        return tick(context, settings, job.name, store, graph)

    @dg.schedule(
        name="retrain_schedule",
        job=job,
        cron_schedule=settings.automation.cron,
        execution_timezone=settings.automation.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
        description="Retrains by the clock (automation.cron); a run with nothing stale computes nothing.",
    )
    def retrain_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return by_the_clock(settings, store)

    sensors = [corpus_sensor, *build_notifications(settings, job, store)]
    return Automation(sensors, [retrain_schedule], [confirm_job(settings, store)])


@dataclass(frozen=True)
class _Memory:
    """The sensor's cursor. Losing it costs one more wait until the folder rests, and one more notification.

    Attributes:
        signature: of the folder when it was seen last.
        since: seconds since 1970 since when it looks like that.
        asked: content that the asset says must be confirmed.
        told: content of which the webhook took that.
        untaken: how often it did not.
        again: seconds since 1970 when it is asked again.
        content: what a folder of that signature holds, once it was read at rest.
    """

    signature: str = ""
    since: float = 0.0
    asked: str = ""
    told: str = ""
    untaken: int = 0
    again: float = 0.0
    content: str = ""

    @classmethod
    def read(cls, cursor: str | None) -> "_Memory":
        try:
            values = json.loads(cursor or "{}")
            return cls(**{name: type(default)(values[name]) for name, default in asdict(cls()).items()})
        except (ValueError, KeyError, TypeError):  # none yet, or of an earlier version
            return cls()

    def write(self) -> str:
        return json.dumps(asdict(self))


def tick(
    context: dg.SensorEvaluationContext, settings: Settings, job: str, store: Store, graph: Mapping[str, Stage]
) -> dg.SensorResult | dg.SkipReason:
    """One look at the corpus."""
    memory, now = _Memory.read(context.cursor), time.time()
    bury_dead_runs(context.instance)
    try:
        listing = list_corpus(settings, store.home)
    except (InputError, SettingsError) as error:
        return dg.SkipReason(f"nothing is started: {error}")
    first = not memory.signature
    if listing.signature != memory.signature:
        memory = replace(memory, signature=listing.signature, since=now, content="")
    rest = settings.automation.settle_seconds
    if now - memory.since < rest:
        seen = "the corpus folder is seen for the first time" if first else "the corpus folder changed"
        reason = f"{seen}; waiting until it rests for {rest:g} s"
        return dg.SensorResult(skip_reason=reason, cursor=memory.write())

    def decided(view: CorpusView) -> Decision:
        return decide(_situation(context.instance, view, now, settings, job, store, graph), settings.automation)

    if memory.content and decided(CorpusView(memory.content, None, ())) == NOTHING:  # without reading the cache
        return dg.SensorResult(skip_reason=NOTHING.reason, cursor=memory.write())
    if listing.glimpse is not None and holder(store.home):  # the run reads the copy that would be changed
        return dg.SensorResult(skip_reason=BUSY.reason, cursor=memory.write())
    try:
        view = view_corpus(listing, store, HASHING_SECONDS)
    except InputError as error:
        return dg.SensorResult(skip_reason=f"nothing is started: {error}", cursor=memory.write())
    if isinstance(view, StillHashing):
        reason = f"reading what changed: {view.done} of {view.of} files so far"
        return dg.SensorResult(skip_reason=reason, cursor=memory.write())
    if now - memory.since > RACY_SECONDS:
        memory = replace(memory, content=view.content)
    decision = decided(view)
    if decision.action == "run":
        context.log.info(decision.reason)
        return dg.SensorResult([_request(context.instance, view.content)], cursor=memory.write())
    if decision.action == "confirm":
        return _ask(decision, view, memory, settings, now)
    return dg.SensorResult(skip_reason=decision.reason, cursor=memory.write())


def _situation(
    instance: dg.DagsterInstance,
    view: CorpusView,
    now: float,
    settings: Settings,
    job: str,
    store: Store,
    graph: Mapping[str, Stage],
) -> Situation:
    past = past_runs(instance, job, store)
    failed = bool(past) and past[0].content == view.content and past[0].end == "failure"
    return Situation(
        now=now,
        view=view,
        in_use=content_in_use(store),
        trained=is_trained(store, graph, view.content),
        complete=failed and is_complete(store, graph, settings, view.content),
        busy=is_busy(instance, job),
        past=past,
        to_confirm=to_confirm(view, settings, store),
    )


def _request(instance: dg.DagsterInstance, content: str) -> dg.RunRequest:
    number = next_attempt(instance, content)
    tags = {STARTED_BY: "sensor", CONTENT: content, ATTEMPT: str(number)}
    return dg.RunRequest(run_key=f"{content[:16]}-{number}", tags=tags)


def _ask(decision: Decision, view: CorpusView, memory: _Memory, settings: Settings, now: float) -> dg.SensorResult:
    """Say once, on the asset and by webhook, that somebody must confirm; each tick says it as its reason.

    A webhook that does not take it is asked again after growing pauses.
    """
    events = []
    if memory.asked != view.content:
        events = [dg.AssetObservation(MANIFEST, description=decision.reason, metadata={"waiting": decision.reason})]
        memory = replace(memory, asked=view.content, untaken=0, again=0.0)
    if memory.told != view.content and now >= memory.again:
        if tell_of_confirmation(settings, decision.reason):
            memory = replace(memory, told=view.content)
        else:
            untaken = memory.untaken + 1
            memory = replace(memory, untaken=untaken, again=now + pause_after(untaken, settings.automation))
    return dg.SensorResult(skip_reason=decision.reason, cursor=memory.write(), asset_events=events)


def by_the_clock(settings: Settings, store: Store) -> dg.RunRequest | dg.SkipReason:
    """What the schedule starts: everything that is stale, unless the corpus is not there or must be confirmed."""
    try:
        view = view_corpus(list_corpus(settings, store.home), store, HASHING_SECONDS)
    except (InputError, SettingsError) as error:
        return dg.SkipReason(f"nothing is started: {error}")
    if isinstance(view, StillHashing):  # a first look at a large corpus: the run reads it in any case
        return dg.RunRequest(tags={STARTED_BY: "schedule"})
    waiting = to_confirm(view, settings, store)
    if waiting is not None:
        return dg.SkipReason(f"waiting for a confirmation: {waiting}")
    return dg.RunRequest(tags={STARTED_BY: "schedule", CONTENT: view.content})


def confirm_job(settings: Settings, store: Store) -> dg.JobDefinition:
    """The job ``confirm_corpus``: what ``embed-pipeline confirm`` does, in the web UI."""

    @dg.op(description="Confirms the corpus as it is now, so that the sensor and the schedule retrain on it.")
    def confirm_corpus_as_it_is(context: dg.OpExecutionContext) -> None:
        try:
            what = confirm(settings, store)
        except EmbedPipelineError as error:
            raise to_failure(error) from error
        context.log.info(f"confirmed: {what}" if what is not None else "nothing waits for a confirmation")

    @dg.job(
        name="confirm_corpus",
        executor_def=dg.in_process_executor,
        description="Lets the sensor and the schedule retrain on a corpus that shrank, or of which files cannot be "
        "read any more. It holds for exactly what the folder holds now.",
    )
    def confirm_corpus() -> None:
        confirm_corpus_as_it_is()

    return confirm_corpus
