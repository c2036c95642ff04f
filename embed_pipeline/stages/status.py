"""How every asset stands: fresh, stale or missing, and why; what ``status`` prints and the web UI shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from embed_pipeline.errors import ArtifactError
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.plan import PlanStep, make_plan
from embed_pipeline.store.artifacts import Store

FITS = "an earlier result fits; the next run takes it up again"


@dataclass(frozen=True)
class AssetStatus:
    """How one asset stands.

    Attributes:
        reasons: of one that is not fresh, why.
        computed_at: when the artifact in use was computed.
        materialized_at: when a run last computed or reused it.
    """

    asset: str
    group: str
    state: Literal["fresh", "stale", "missing"]
    reasons: tuple[str, ...]
    version: str | None
    computed_at: str | None
    materialized_at: str | None


def asset_statuses(graph: Mapping[str, Stage], settings: Settings, store: Store) -> list[AssetStatus]:
    """Every asset of the graph for these settings, upstream first.

    Raises:
        EmbedPipelineError: something outside the store is missing or cannot be read.
    """
    steps = make_plan(graph.values(), settings, store)
    return [_status(step, store) for step in steps.values()]


def _status(step: PlanStep, store: Store) -> AssetStatus:
    name = step.stage.name
    pointer = store.pointer(name)
    version = pointer.get("version")
    fresh = version is not None and step.action == "reuse" and step.version == version
    return AssetStatus(
        asset=name,
        group=step.stage.group,
        state="missing" if version is None else "fresh" if fresh else "stale",
        reasons=() if fresh else step.reasons or (FITS,),
        version=version,
        computed_at=_computed_at(store, name, version),
        materialized_at=pointer.get("materialized_at"),
    )


def _computed_at(store: Store, name: str, version: str | None) -> str | None:
    try:
        return None if version is None else store.last_made(store.handle(name, version)).started
    except ArtifactError:
        return None
