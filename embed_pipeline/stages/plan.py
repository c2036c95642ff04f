"""What a run would do with each stage, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from embed_pipeline.errors import ArtifactError
from embed_pipeline.settings import Settings
from embed_pipeline.settings.dotted import flat
from embed_pipeline.stages.declare import Stage
from embed_pipeline.store.artifacts import Store

NOT_ALIVE = "not running any more, or failed its last check"


@dataclass(frozen=True)
class PlanStep:
    """What a run would do with one stage.

    ``version`` is known when the stage would be reused, or brought back to life as it was (an endpoint that
    does not run any more); then what follows need not be computed for its sake. ``key`` is known when the
    versions of all inputs are.
    """

    stage: Stage
    action: Literal["reuse", "compute"]
    reasons: tuple[str, ...]
    version: str | None
    key: str | None = None


def make_plan(
    stages: Iterable[Stage], settings: Settings, store: Store, force: Sequence[str] = ()
) -> dict[str, PlanStep]:
    """Say for each stage, in order, whether it would be reused or computed, and why.

    Args:
        stages: in dependency order, upstream first, and complete.
        force: names of stages to recompute in any case.
    """
    from embed_pipeline.corpus.addresses.looking import looking_only

    steps: dict[str, PlanStep] = {}
    with looking_only():
        for declared in stages:
            versions = {name: steps[name].version for name in declared.inputs}
            steps[declared.name] = plan_stage(declared, settings, store, versions, declared.name in force)
    return steps


def plan_stage(
    declared: Stage, settings: Settings, store: Store, inputs: Mapping[str, str | None], forced: bool = False
) -> PlanStep:
    """What a run would do with one stage, given the versions of its inputs; None: not known before they are computed.

    Raises:
        EmbedPipelineError: what lies outside the store (corpus, base model, gold set) cannot be read.
    """
    settings = declared.derive(settings)
    # Looked at even when inputs are unknown: what is missing shows early.
    external = declared.outside(settings, store.home)
    changing = [name for name in declared.inputs if inputs[name] is None]
    if changing:
        reasons = ("forced",) if forced else tuple(f"follows {name}" for name in changing)
        return PlanStep(declared, "compute", reasons, None)
    versions = {name: str(inputs[name]) for name in declared.inputs}
    key = declared.key(settings, versions, external)
    if forced:
        return PlanStep(declared, "compute", ("forced",), None, key)
    known = store.lookup(declared.name, key, declared.family)
    if known is not None and declared.alive(known, settings, store.home):
        return PlanStep(declared, "reuse", (), known.version, key)
    if known is not None:
        moved = declared.moved(known, settings)
        return PlanStep(declared, "compute", (moved or NOT_ALIVE,), known.version if moved is None else None, key)
    reasons = _why(declared, store, declared.settings_part(settings), versions, external)
    return PlanStep(declared, "compute", reasons, None, key)


def _why(
    declared: Stage,
    store: Store,
    part: Mapping[str, Any],
    versions: Mapping[str, str],
    external: Mapping[str, str],
) -> tuple[str, ...]:
    current = store.current(declared.name)
    if current is None:
        return ("never computed",)
    try:
        before = store.last_made(current)
    except ArtifactError:
        return ("stored artifact damaged",)
    reasons = []
    if before.stage_version != declared.version:
        reasons.append(f"stage version {before.stage_version} -> {declared.version}")
    reasons += [f"setting {name} changed" for name in _differing(flat(before.settings), flat(part))]
    reasons += [f"input {name} changed" for name in _differing(before.inputs, versions)]
    reasons += [f"{name} changed" for name in _differing(before.external, external)]
    return tuple(reasons) or ("stored artifact damaged",)


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def describe_plan(steps: Mapping[str, PlanStep]) -> str:
    """One line: how much a run would compute."""
    computing = [name for name, step in steps.items() if step.action == "compute"]
    if not computing:
        return f"nothing to do: all {len(steps)} assets are up to date"
    return f"{len(computing)} of {len(steps)} assets to compute: {', '.join(computing)}"
