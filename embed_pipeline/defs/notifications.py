"""Telling a webhook of failures, verdicts and confirmations. There is nothing here without a webhook in the settings.

No text of a document is sent, nor a message that could quote one: of a failure the stage and the kind of error, of a
model its verdict and figures. The body has a ``text``, which is what Slack and its kin show.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg

from embed_pipeline.automation.trained import JUDGEMENT
from embed_pipeline.automation.webhook import post
from embed_pipeline.errors import ArtifactError
from embed_pipeline.settings import Settings
from embed_pipeline.store.artifacts import Store

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

Event = Literal["failure", "verdict", "confirmation"]
METRIC = "ndcg@10"


def has_webhook(settings: Settings) -> bool:
    """Whether anybody wants to be told."""
    return bool(settings.automation.webhook_url or settings.automation.webhook_url_env)


def build_notifications(
    settings: Settings, job: "UnresolvedAssetJobDefinition", store: Store
) -> list[dg.SensorDefinition]:
    """Sensors on the runs of ``job``; on from the start, as a webhook in the settings is a wish."""
    if not has_webhook(settings):
        return []
    on = dg.DefaultSensorStatus.RUNNING

    @dg.run_failure_sensor(name="tell_of_failures", monitored_jobs=[job], default_status=on)
    def tell_of_failures(context: dg.RunFailureSensorContext) -> None:
        """Tells the webhook of a run that failed."""
        run_id = context.dagster_run.run_id
        what = "; ".join(failures(context.instance, run_id)) or "its process ended without a word"
        undelivered = send(settings, "failure", f"a run failed: {what}", run_id, figures_of(store, run_id))
        if undelivered is not None:
            context.log.warning(undelivered)

    @dg.run_status_sensor(
        name="tell_of_verdicts", run_status=dg.DagsterRunStatus.SUCCESS, monitored_jobs=[job], default_status=on
    )
    def tell_of_verdicts(context: dg.RunStatusSensorContext) -> None:
        """Tells the webhook of the verdict on a model that was measured anew."""
        run_id = context.dagster_run.run_id
        figures = figures_of(store, run_id)
        if figures:
            undelivered = send(settings, "verdict", verdict_sentence(figures), run_id, figures)
            if undelivered is not None:
                context.log.warning(undelivered)

    return [tell_of_failures, tell_of_verdicts]


def tell_of_confirmation(settings: Settings, reason: str) -> bool:
    """Tell that somebody must confirm; False when there is a webhook that did not take it."""
    return not has_webhook(settings) or send(settings, "confirmation", reason) is None


def send(
    settings: Settings, event: Event, sentence: str, run_id: str | None = None, figures: Mapping[str, Any] | None = None
) -> str | None:
    """One notification; None when it was taken, else why not."""
    automation = settings.automation
    url = automation.webhook_url or os.environ.get(automation.webhook_url_env or "")
    if not url:
        return f"nobody is told: the environment variable {automation.webhook_url_env} is not set"
    link = f"{automation.ui_url.rstrip('/')}/runs/{run_id}" if automation.ui_url and run_id else automation.ui_url
    text = f"embed_pipeline: {sentence}" + (f" {link}" if link else "")
    body = {
        "event": event,
        "run_id": run_id,
        "text": text,
        "sentence": sentence,
        "figures": dict(figures or {}),
        "link": link,
    }
    failed = post(url, body)
    return None if failed is None else f"the webhook did not take the {event}: {failed}"


def failures(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What failed in a run, without any message: ``documents (InputError)``, ``check verdict on metrics``."""
    found = []
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        kind = _kind(event.step_failure_data)
        if kind != "DagsterAssetCheckFailedError":  # told as a check
            found.append(f"{event.step_key} ({kind})")
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        check = entry.get_dagster_event().asset_check_evaluation_data
        if not check.passed:
            found.append(f"check {check.check_name} on {check.asset_key.to_user_string()}")
    return found


def _kind(data: Any) -> str:
    """Name of the error of a step: ours as :func:`~embed_pipeline.defs.assets.to_failure` notes it, else its class."""
    if data.user_failure_data is not None and "error" in data.user_failure_data.metadata:
        return str(data.user_failure_data.metadata["error"].value)
    error = data.error.cause or data.error if data.error is not None else None
    return str(error.cls_name) if error is not None else "unknown"


def figures_of(store: Store, run_id: str) -> dict[str, Any]:
    """Verdict and nDCG@10 by test set of the model that a run measured anew; empty where it measured none."""
    metrics = store.of_run(run_id, JUDGEMENT)
    try:
        computed = store.outcome_of_run(run_id, JUDGEMENT).get("outcome") == "computed"
        summary = metrics.json("summary") if metrics is not None and computed else None
    except (ArtifactError, OSError, ValueError):
        return {}
    if summary is None:
        return {}
    rows = {name: rows[METRIC] for name, rows in summary["comparison"].items() if METRIC in rows}
    return {
        "verdict": summary["verdict"],
        "provisional": not summary.get("decision", {"firm": True})["firm"],
        METRIC: {name: {one: row[one] for one in ("base", "tuned", "delta")} for name, row in rows.items()},
    }


def verdict_sentence(figures: Mapping[str, Any]) -> str:
    """``the verdict is ship (provisional): nDCG@10 0.612 -> 0.701 (synthetic)``."""
    word = figures["verdict"] + (" (provisional)" if figures["provisional"] else "")
    rows = [f"nDCG@10 {row['base']:.3f} -> {row['tuned']:.3f} ({name})" for name, row in figures[METRIC].items()]
    return f"the verdict is {word}: {', '.join(rows)}" if rows else f"the verdict is {word}"
