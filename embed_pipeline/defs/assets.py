"""Stages as Dagster assets: key, reuse, data version, metadata, GPU tags and pool in one place."""

import os
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from embed_pipeline.defs import OWNERS
from embed_pipeline.defs.experiments import observed, require_type
from embed_pipeline.defs.outside import outside_keys, provenance
from embed_pipeline.defs.provenance import origin_of
from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.defs.types import table_type
from embed_pipeline.defs.up_to_date import as_before, fresh, up_to_date_spec
from embed_pipeline.errors import EmbedPipelineError
from embed_pipeline.progress import LogReporter, Reporter, current_reporter, reporting
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.interrupts import stoppable
from embed_pipeline.stages.run import StageResult, announce, run_stage
from embed_pipeline.store.artifacts import Artifact, Store

GPU_TAG = {"embed_pipeline/device": "gpu"}
# What every executor needs to put a step on a GPU follows from the one tag.
GPU_OP_TAGS = {
    **GPU_TAG,
    "dagster-k8s/config": {"container_config": {"resources": {"limits": {"nvidia.com/gpu": 1}}}},
}


def build_asset(stage: Stage, settings: Settings, store: Store) -> dg.AssetsDefinition:
    """The Dagster asset of a stage."""
    gpu = stage.device == "gpu"
    type_of_output = table_type(stage.name)

    @dg.asset(
        name=stage.name,
        group_name=stage.group,
        description=stage.description,
        ins={name: dg.AssetIn(key=name, dagster_type=dg.Any) for name in stage.inputs},
        deps=[*stage.after, *outside_keys(stage, settings)],
        check_specs=[up_to_date_spec(stage.name)],
        code_version=stage.code_version(settings),
        kinds=set(stage.kinds),
        owners=OWNERS,
        tags={"embed_pipeline/device": stage.device},
        op_tags=GPU_OP_TAGS if gpu else {"embed_pipeline/device": "cpu"},
        pool="gpu" if gpu else None,
        io_manager_key="table_io" if stage.storage == "table" else "folder_io",
        dagster_type=type_of_output or dg.Any,
        output_required=False,  # an experiment materializes nothing
        freshness_policy=_freshness(stage, settings),
    )
    def materialize(
        context: dg.AssetExecutionContext, pipeline: PipelineResource, **inputs: Artifact
    ) -> Iterator[dg.Output[StageResult] | dg.AssetObservation | dg.AssetCheckResult]:
        result = _run(context, stage, settings, pipeline, store, inputs)
        if pipeline.overrides:
            require_type(type_of_output, result)  # which Dagster checks of outputs alone
            yield observed(result, stage, store, pipeline, context)
            yield as_before(stage.name, context.instance)
        else:
            version, made_from = dg.DataVersion(result.artifact.version), provenance(result.external, stage, settings)
            yield dg.Output(result, data_version=version, tags=made_from)
            yield fresh(stage.name)

    return materialize


def _freshness(stage: Stage, settings: Settings) -> dg.FreshnessPolicy | None:
    hours = settings.automation.max_age_hours
    if stage.name != "endpoint" or hours is None:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=hours))


def _run(
    context: dg.AssetExecutionContext,
    stage: Stage,
    settings: Settings,
    pipeline: PipelineResource,
    store: Store,
    inputs: dict[str, Artifact],
) -> StageResult:
    os.environ.setdefault("TQDM_DISABLE", "1")
    with stoppable(), reporting(_Both(LogReporter(context.log.info), current_reporter())):
        try:
            chosen, run_id = pipeline.settings(settings), context.run.run_id
            forced = pipeline.forces(stage)
            result = run_stage(stage, chosen, store, inputs, forced, origin=lambda: origin_of(run_id))
        except EmbedPipelineError as error:
            raise to_failure(error) from error
        announce(result)
        return result


class _Both:
    """Log lines in the UI and whatever listens outside, the terminal for example."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def start(self, name: str, total: int | None) -> object:
        return [reporter.start(name, total) for reporter in self._reporters]

    def update(self, handle: object, done: int, note: str = "") -> None:
        assert isinstance(handle, list)
        for reporter, own in zip(self._reporters, handle, strict=True):
            reporter.update(own, done, note)

    def finish(self, handle: object) -> None:
        assert isinstance(handle, list)
        for reporter, own in zip(self._reporters, handle, strict=True):
            reporter.finish(own)

    def message(self, text: str) -> None:
        for reporter in self._reporters:
            reporter.message(text)


def to_failure(error: EmbedPipelineError) -> dg.Failure:
    """The failure of a step; its metadata carries the exit code for the command line."""
    return dg.Failure(
        description=str(error),
        metadata={"error": type(error).__name__, "exit_code": error.exit_code},
        allow_retries=error.transient,
    )
