"""The check ``up_to_date`` of every asset: what ``status`` says, on the asset's page; and the sensor that keeps it so.

A run says of each asset it makes that it is up to date; from then on the sensor says when that has changed, and why.
The check never runs by itself and never fails a run.
"""

from collections.abc import Iterable, Mapping

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from embed_pipeline.corpus.addresses.looking import looking_only
from embed_pipeline.defs.outside import report_outside
from embed_pipeline.errors import EmbedPipelineError
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.status import AssetStatus, asset_statuses
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.watched import WatchedStore

CHECK = "up_to_date"
FRESH = "up to date"
TICK_SECONDS = 20
LOOK_BACK = 20
"""Records of a check among which there is one that was evaluated; the others are of runs that only planned to."""


def up_to_date_spec(asset: str) -> dg.AssetCheckSpec:
    """The check of an asset."""
    about = "Whether the next run would reuse it; else the reasons, as embed-pipeline run --plan tells them."
    return dg.AssetCheckSpec(CHECK, asset=asset, blocking=False, description=about)


def fresh(asset: str) -> dg.AssetCheckResult:
    """The check of an asset that has just been made."""
    return _result(asset, True, FRESH)


def as_before(asset: str, instance: dg.DagsterInstance) -> dg.AssetCheckResult:
    """The check of an asset that an experiment has left as it was: what it said before."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), CHECK)
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=LOOK_BACK)
    said = next((one for one in map(_said, records) if one is not None), (False, "never computed"))
    return _result(asset, *said)


def _result(asset: str, passed: bool, reasons: str | None) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(asset),
        check_name=CHECK,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=reasons,
    )


def report_statuses(instance: dg.DagsterInstance, statuses: Iterable[AssetStatus]) -> list[str]:
    """Tell Dagster how the assets stand, where that is not what it was last told; the assets told about."""
    wanted = {one.asset: (one.state == "fresh", "; ".join(one.reasons) or FRESH) for one in statuses}
    told = _told(instance, wanted)
    changed = [asset for asset, standing in wanted.items() if told.get(asset) != standing]
    for asset in changed:
        passed, reasons = wanted[asset]
        evaluation = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(asset),
            check_name=CHECK,
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=reasons,
            metadata={},
        )
        instance.report_runless_asset_event(evaluation)
    return changed


def _told(instance: dg.DagsterInstance, assets: Iterable[str]) -> dict[str, tuple[bool, str | None]]:
    """Asset -> what its check says now; without one whose last evaluation has not come yet."""
    keys = {dg.AssetCheckKey(dg.AssetKey(asset), CHECK): asset for asset in assets}
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    said = {keys[key]: _said(record) for key, record in records.items()}
    return {asset: one for asset, one in said.items() if one is not None}


def _said(record: AssetCheckExecutionRecord) -> tuple[bool, str | None] | None:
    event = record.event.dagster_event if record.event is not None else None
    if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return None  # only planned
    return event.asset_check_evaluation_data.passed, event.asset_check_evaluation_data.description


def look(instance: dg.DagsterInstance, settings: Settings, store: Store, graph: Mapping[str, Stage]) -> dg.SkipReason:
    """One tick: tell Dagster what has changed outside and how every asset stands; what was told, in words."""
    with looking_only(settings.automation.listing_seconds):
        return _look(instance, settings, store, graph)


def _look(instance: dg.DagsterInstance, settings: Settings, store: Store, graph: Mapping[str, Stage]) -> dg.SkipReason:
    outside = report_outside(instance, settings, store, graph)
    if outside.problems:
        return dg.SkipReason("cannot tell what is stale: " + " ".join(outside.problems))
    try:
        changed = report_statuses(instance, asset_statuses(outside.seen_by(graph), settings, store))
    except EmbedPipelineError as error:
        return dg.SkipReason(f"cannot tell what is stale: {error}")
    return dg.SkipReason(f"told anew how these stand: {', '.join(changed)}" if changed else "nothing has changed")


def build_outside_sensor(settings: Settings, store: Store, graph: Mapping[str, Stage]) -> dg.SensorDefinition:
    """The sensor; it starts no run, and is on from the start."""
    watched = WatchedStore(store.home)

    @dg.sensor(
        name="outside_sensor",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sees what has changed outside (corpus, models, questions, endpoint) and says which assets are "
        "stale, and why. It starts nothing.",
    )
    def outside_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return look(context.instance, settings, watched, graph)

    return outside_sensor
