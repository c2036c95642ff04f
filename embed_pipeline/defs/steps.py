"""The steps of a run: which of them make an asset, which check one, and what a check looks at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan

from embed_pipeline.settings import Settings
from embed_pipeline.settings.dotted import value_at
from embed_pipeline.stages.declare import Stage

SETTINGS_OF_CHECK = "embed_pipeline/settings"
"""Metadata of a check: the dotted settings that decide whether it passes; all of them where it is not given."""


def name_of(key: dg.AssetKey) -> str:
    """The name of the stage behind an asset."""
    return key.path[-1]


@dataclass(frozen=True)
class CheckStep:
    """A step that checks an asset.

    Attributes:
        step: key of the step.
        asset: the asset it is about.
        looks_at: every asset it reads.
        settings: dotted names of the settings that decide; None: all.
    """

    step: str
    key: dg.AssetCheckKey
    asset: str
    looks_at: tuple[str, ...]
    settings: tuple[str, ...] | None

    def settings_part(self, settings: Settings) -> dict[str, Any]:
        """The values of these settings, as JSON."""
        values = settings.model_dump(mode="json")
        return values if self.settings is None else {name: value_at(values, name) for name in self.settings}


@dataclass(frozen=True)
class Steps:
    """The steps of an execution plan.

    Attributes:
        assets: asset -> key of its step, in the order of the data.
        checks: asset -> the steps that check it.
        others: keys of all other steps: of assets that are no stages, and checks without their asset.
        checks_alone: whether there is a check without its asset.
    """

    assets: Mapping[str, str]
    checks: Mapping[str, tuple[CheckStep, ...]]
    others: tuple[str, ...]
    checks_alone: bool

    @classmethod
    def of(cls, plan: ExecutionPlan, context: PlanOrchestrationContext, graph: Mapping[str, Stage]) -> "Steps":
        """Sort the steps that are to be executed."""
        assets: dict[str, str] = {}
        checks: list[CheckStep] = []
        others: list[str] = []
        for step in plan.get_steps_to_execute_in_topo_order():
            outputs = [output.properties for output in step.step_outputs]
            made = [name_of(one.asset_key) for one in outputs if one.asset_key is not None]
            checked = [one.asset_check_key for one in outputs if one.asset_check_key is not None]
            if len(made) == 1 and made[0] in graph:
                assets[made[0]] = step.key
            elif not made and len(checked) == 1 and name_of(checked[0].asset_key) in graph:
                checks.append(_check_step(step.key, checked[0], context))
            else:
                others.append(step.key)
        of_assets: dict[str, tuple[CheckStep, ...]] = dict.fromkeys(assets, ())
        for check in checks:
            if check.asset in assets:
                of_assets[check.asset] += (check,)
            else:
                others.append(check.step)
        in_order = {name: assets[name] for name in graph if name in assets}
        return cls(in_order, of_assets, tuple(others), any(check.asset not in assets for check in checks))


def _check_step(step: str, key: dg.AssetCheckKey, context: PlanOrchestrationContext) -> CheckStep:
    graph = context.job.get_definition().asset_layer.asset_graph
    parents = {one for one in graph.get(key).parent_entity_keys if isinstance(one, dg.AssetKey)}
    looks_at = tuple(sorted(name_of(one) for one in parents | {key.asset_key}))
    given = graph.get_check_spec(key).metadata.get(SETTINGS_OF_CHECK)
    settings = getattr(given, "value", given)
    return CheckStep(step, key, name_of(key.asset_key), looks_at, None if settings is None else tuple(settings))
