"""Runs the graph on behalf of the command line, with Dagster recording it for the web UI."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from embed_pipeline.definitions import JOB, build_defs, defs
from embed_pipeline.defs.dead_runs import bury_dead_runs
from embed_pipeline.settings import Settings
from embed_pipeline.store.artifacts import Store, home_lock
from embed_pipeline.webui.dagster_home import prepare_dagster_home


@dataclass(frozen=True)
class AssetOutcome:
    """What became of one asset."""

    asset: str
    outcome: Literal["computed", "reused", "failed", "skipped"]
    seconds: float | None
    version: str | None


@dataclass(frozen=True)
class RunReport:
    """What became of a run.

    Attributes:
        errors: one clear line per failed stage or check.
        exit_code: 0, 1 (stage or check failed) or 2 (input, settings, surroundings).
    """

    run_id: str
    assets: tuple[AssetOutcome, ...]
    errors: tuple[str, ...]
    exit_code: int


def execute(settings: Settings, home: Path, names: Sequence[str], force: Sequence[str]) -> RunReport:
    """Run the assets ``names`` (upstream first), computing only what is stale.

    Raises:
        HomeBusyError: another run uses the home.
    """
    with home_lock(home):
        prepare_dagster_home(home)
        config: dict[str, Any] = {
            "resources": {"pipeline": {"config": {"force": list(force)}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }
        keys = [dg.AssetKey(name) for name in names]
        with dg.DagsterInstance.get() as instance:
            bury_dead_runs(instance)
            if settings.executor == "multiprocess":
                result: Any = dg.execute_job(
                    dg.reconstructable(pipeline_job), instance, config, raise_on_error=False, asset_selection=keys
                )
            else:
                job = build_defs(settings, home).resolve_job_def(JOB)
                result = job.execute_in_process(config, instance, raise_on_error=False, asset_selection=keys)
            return _report(instance, home, result.run_id, names, bool(result.success))


def pipeline_job() -> dg.JobDefinition:
    """The job as a step process of its own rebuilds it."""
    job: dg.JobDefinition = defs().resolve_job_def(JOB)
    return job


def _report(instance: dg.DagsterInstance, home: Path, run_id: str, names: Sequence[str], success: bool) -> RunReport:
    failures, codes = _failed_steps(instance, run_id)
    refusals = _failed_checks(instance, run_id)
    assets = tuple(_outcome(home, run_id, name, failures) for name in names)
    lines = tuple(f"{name}: {text}" for name, text in failures.items()) + tuple(refusals)
    if not success and not lines:
        lines = (f"the run failed; embed-pipeline ui shows run {run_id}",)
    return RunReport(run_id, assets, lines, 0 if not lines else max(codes, default=1))


def _failed_steps(instance: dg.DagsterInstance, run_id: str) -> tuple[dict[str, str], list[int]]:
    failures, codes = {}, []
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        data = event.step_failure_data
        if data.error is not None and data.error.cls_name == "DagsterAssetCheckFailedError":
            continue  # _failed_checks tells it in words
        text, code = _failure_line(data, run_id)
        failures[str(event.step_key)] = text
        codes.append(code)
    return failures, codes


def _failure_line(data: Any, run_id: str) -> tuple[str, int]:
    """One line about a failed step, and the exit code it asks for."""
    failure = data.user_failure_data
    code = failure.metadata.get("exit_code") if failure is not None else None
    if failure is not None and failure.description and code is not None:
        return failure.description, int(str(code.value))
    if data.error is not None and data.error.cls_name == "DagsterExecutionInterruptedError":
        return "stopped; finished stages are kept, run again to go on", 1
    cause = data.error.cause or data.error if data.error is not None else None
    text = " ".join(cause.message.split())[:400] if cause is not None else "unknown error"
    return f"{text} (embed-pipeline ui shows the whole trace of run {run_id})", 1


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    lines = []
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        evaluation = entry.get_dagster_event().asset_check_evaluation_data
        if not evaluation.passed:
            lines.append(
                f"check {evaluation.check_name} on {evaluation.asset_key.to_user_string()}: {evaluation.description}"
            )
    return lines


def _outcome(home: Path, run_id: str, name: str, failures: Mapping[str, str]) -> AssetOutcome:
    if name in failures:
        return AssetOutcome(name, "failed", None, None)
    try:
        done = json.loads((home / "runs" / run_id / f"{name}.json").read_text("utf-8"))
    except FileNotFoundError:
        return AssetOutcome(name, "skipped", None, None)
    return AssetOutcome(name, done["outcome"], done["seconds"], done["version"])


def served_summary(home: Path) -> tuple[str | None, dict[str, Any] | None]:
    """Verdict and endpoint of the current artifacts, where there are any."""
    store = Store(home)
    metrics, endpoint = store.current("metrics"), store.current("endpoint")
    verdict = metrics.json("summary")["verdict"] if metrics is not None else None
    return verdict, endpoint.json("endpoint") if endpoint is not None else None
