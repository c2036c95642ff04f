"""Runs the graph on behalf of the command line, with Dagster recording it for the web UI."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from dagster._core.definitions.job_base import IJob, InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from embed_pipeline.definitions import JOB, build_defs, defs
from embed_pipeline.defs.dead_runs import bury_dead_runs
from embed_pipeline.defs.run_request import STARTED_BY, STARTED_BY_VARIABLE
from embed_pipeline.defs.variants import VARIANTS_JOB, job_of
from embed_pipeline.settings import Settings
from embed_pipeline.stages.graph import stages
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.dagster_home import prepare_dagster_home
from embed_pipeline.store.history import History


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
        exit_code: 0; 1 (stage or check failed); 2 (input, settings, surroundings); 130 or 143 (stopped by a signal).
    """

    run_id: str
    assets: tuple[AssetOutcome, ...]
    errors: tuple[str, ...]
    exit_code: int


def execute(settings: Settings, home: Path, names: Sequence[str], force: Sequence[str]) -> RunReport:
    """Run the assets ``names`` (upstream first), computing only what is stale; waits while another run has the home."""
    prepare_dagster_home(home)
    config: dict[str, Any] = {
        "resources": {"pipeline": {"config": {"force": list(force)}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    with dg.DagsterInstance.get() as instance:
        bury_dead_runs(instance)
        job = _job(settings, home, job_of(names, stages(settings)))
        run = instance.create_run_for_job(
            job.get_definition(),
            run_config=config,
            tags={STARTED_BY: os.environ.get(STARTED_BY_VARIABLE, "cli")},
            asset_selection=frozenset(dg.AssetKey(name) for name in names),
        )
        for _ in execute_run_iterator(job, run, instance):
            pass
        return _report(instance, home, run.run_id, names)


def _job(settings: Settings, home: Path, name: str) -> IJob:
    """The job; step processes of their own rebuild it from the environment."""
    if settings.executor == "multiprocess":
        job: IJob = dg.reconstructable(pipeline_job if name == JOB else variants_job)
        return job
    return InMemoryJob(build_defs(settings, home).resolve_job_def(name))


def pipeline_job() -> dg.JobDefinition:
    """The job as a step process of its own rebuilds it."""
    job: dg.JobDefinition = defs().resolve_job_def(JOB)
    return job


def variants_job() -> dg.JobDefinition:
    """The same for a run of variants."""
    job: dg.JobDefinition = defs().resolve_job_def(VARIANTS_JOB)
    return job


def _report(instance: dg.DagsterInstance, home: Path, run_id: str, names: Sequence[str]) -> RunReport:
    record = History(home).of(run_id)
    assets = tuple(_outcome(name, record.get("assets", {}).get(name, {})) for name in names)
    lines = tuple(error["text"] for error in record.get("errors", ()))
    run = instance.get_run_by_id(run_id)
    if not lines and (run is None or not run.is_success):
        lines = (f"the run failed; embed-pipeline ui shows run {run_id}",)
    code = max((error["exit_code"] for error in record.get("errors", ())), default=1)
    return RunReport(run_id, assets, lines, 0 if not lines else code)


def _outcome(name: str, done: dict[str, Any]) -> AssetOutcome:
    return AssetOutcome(name, done.get("outcome", "skipped"), done.get("seconds"), done.get("version"))


def served_summary(home: Path) -> tuple[str | None, dict[str, Any] | None]:
    """Verdict and endpoint of the current artifacts, where there are any."""
    store = Store(home)
    metrics, endpoint = store.current("metrics"), store.current("endpoint")
    verdict = metrics.json("summary")["verdict"] if metrics is not None else None
    return verdict, endpoint.json("endpoint") if endpoint is not None else None
