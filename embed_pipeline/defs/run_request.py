"""What was asked of a run: settings, overrides, force, by whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.graph import assets_of
from embed_pipeline.store.home_lock import Holder

STARTED_BY = "embed_pipeline/started_by"
STARTED_BY_VARIABLE = "EMBED_PIPELINE_STARTED_BY"
"""By which the web UI says that a command it starts is its own."""
EXPERIMENT = "embed_pipeline/experiment"
RESOURCE = "pipeline"

# Dagster's own tags of a run that was not started by hand.
AUTOMATIC = {"dagster/sensor_name": "sensor", "dagster/schedule_name": "schedule", "dagster/backfill": "backfill"}


@dataclass(frozen=True)
class RunRequest:
    """What was asked of a run.

    Attributes:
        base: the settings of the home.
        settings: those of this run: the overrides are applied.
        force: assets to compute in any case.
        started_by: cli, ui, sensor, schedule or backfill.
    """

    run_id: str
    base: Settings
    settings: Settings
    overrides: tuple[str, ...]
    force: tuple[str, ...]
    started_by: str

    @classmethod
    def given(cls, run: dg.DagsterRun, base: Settings) -> "RunRequest":
        """As its run config and tags say, word for word: nothing is checked, and the settings are those of the home."""
        force = tuple(_given(run.run_config).get("force") or ())
        return cls(run.run_id, base, base, overrides_of(run), force, started_by(run.tags))

    def applied(self, graph: Mapping[str, Stage]) -> "RunRequest":
        """The same with the overrides in the settings, and the assets that are meant by ``force``.

        Raises:
            SettingsError: a setting, its value, or a forced asset is unknown; names the nearest.
        """
        resource = PipelineResource(overrides=list(self.overrides), force=list(self.force))
        forced = [asset for name in self.force for asset in assets_of(name, graph)]
        return replace(self, settings=resource.settings(self.base), force=tuple(forced))

    @property
    def experiment(self) -> bool:
        """Whether the home stays as it is: its settings are not those of this run."""
        return bool(self.overrides)

    @property
    def holder(self) -> Holder:
        """How this run shows itself to those who wait for it."""
        return Holder.here(self.started_by, self.run_id)

    def chosen(self, assets: Sequence[str], graph: Mapping[str, Stage]) -> list[str]:
        """The assets to run of those asked for: an experiment deploys nothing."""
        return [name for name in assets if not (self.experiment and graph[name].group == "deploy")]


def overrides_of(run: dg.DagsterRun) -> tuple[str, ...]:
    """The settings of its own that a run was given in the launchpad, word for word; such a run is an experiment."""
    return tuple(_given(run.run_config).get("overrides") or ())


def started_by(tags: Mapping[str, str]) -> str:
    """Who started a run, as its tags tell."""
    automatic = [who for tag, who in AUTOMATIC.items() if tag in tags]
    return automatic[0] if automatic else tags.get(STARTED_BY, "ui")


def _given(run_config: Mapping[str, Any]) -> Mapping[str, Any]:
    resource = (run_config.get("resources") or {}).get(RESOURCE) or {}
    given: Mapping[str, Any] = resource.get("config") or {}
    return given
