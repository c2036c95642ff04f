"""Jobs: the main graph, each variant, and all of them with their comparison."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.graph import main_names, selection

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

MAIN_JOB = "pipeline"
VARIANTS_JOB = "variants"


def main_job(graph: Mapping[str, Stage]) -> "UnresolvedAssetJobDefinition":
    """The job of everything but variants; it, and nothing else, deploys."""
    return _job(MAIN_JOB, main_names(graph), "Everything that is stale.")


def variant_jobs(settings: Settings, graph: Mapping[str, Stage]) -> "list[UnresolvedAssetJobDefinition]":
    """A job for each variant, and one for all of them; none without variants."""
    if not settings.variants:
        return []
    names = list(settings.variants)
    alone = [
        _job(f"variant_{one}", selection(None, graph, [one]), f"Everything that leads to the metrics of {one}.")
        for one in names
    ]
    return [
        *alone,
        _job(VARIANTS_JOB, selection(None, graph, names, compare=True), "Every variant, and the table of them."),
    ]


def job_of(names: Sequence[str], graph: Mapping[str, Stage]) -> str:
    """The name of a job that has all these assets."""
    return MAIN_JOB if set(names) <= set(main_names(graph)) else VARIANTS_JOB


def _job(name: str, assets: Sequence[str], about: str) -> "UnresolvedAssetJobDefinition":
    return dg.define_asset_job(name, selection=dg.AssetSelection.assets(*assets), description=about)
