"""Runs with overrides of their own: computed and kept by key as ever, but the home stays as it is."""

import re

import dagster as dg

from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.run import StageResult
from embed_pipeline.store.artifacts import Store

LONGEST_TAG = 63


def observed(
    result: StageResult, stage: Stage, store: Store, pipeline: PipelineResource, context: dg.AssetExecutionContext
) -> dg.AssetObservation:
    """Write down what an experiment made of an asset, for that run alone, and show it without moving anything.

    Figures are text, so that they add no point to the plots of the asset.
    """
    artifact = result.artifact
    store.record_run(artifact, result.key, result.outcome, result.seconds, context.run.run_id)
    manifest = artifact.manifest()
    facts = {name: str(value) for name, value in {**manifest.summary, **manifest.cost}.items()}
    return dg.AssetObservation(
        context.asset_key,
        description=f"experiment: {', '.join(pipeline.overrides)}",
        metadata={
            "overrides": ", ".join(pipeline.overrides),
            "outcome": result.outcome,
            "version": artifact.version[:12],
            "path": dg.MetadataValue.path(str(artifact.path)),
            "seconds": f"{result.seconds:.3f}",
            **facts,
        },
        tags={"embed_pipeline/experiment": context.run.run_id, **override_tags(pipeline.overrides)},
    )


def require_type(declared: dg.DagsterType | None, result: StageResult) -> None:
    """Check what an experiment made as Dagster checks the output of an asset.

    Raises:
        Failure: it breaks the type's constraints.
    """
    if declared is None:
        return
    found = dg.check_dagster_type(declared, result)
    if not found.success:
        raise dg.Failure(f"{result.artifact.asset}: {found.description}", {"exit_code": 1}, allow_retries=False)


def override_tags(overrides: list[str]) -> dict[str, str]:
    """``override/<setting>: <value>``, in the letters and the length that Dagster allows in a tag."""
    tags = {}
    for override in overrides:
        name, _, value = override.partition("=")
        tags[f"override/{_allowed(name)}"] = _allowed(value)
    return tags


def _allowed(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text.strip())[:LONGEST_TAG]
