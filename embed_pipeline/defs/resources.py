"""What a run can be given in the launchpad."""

import dagster as dg
from pydantic import Field

from embed_pipeline.settings import Settings
from embed_pipeline.settings.protected import LAUNCHPAD, refuse_protected
from embed_pipeline.settings.sources import with_overrides
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.graph import GROUPS


class PipelineResource(dg.ConfigurableResource[None]):
    """Changes for one run; part of every key, so that a result never hides which settings made it."""

    overrides: list[str] = Field(
        default=[],
        description=(
            "Settings of this run alone, for example ['finetune.epochs=2', 'prep.seed=7']. The run is then an "
            "experiment: it moves no pointer of the home and deploys nothing; embed-pipeline promote takes it over."
        ),
    )
    force: list[str] = Field(
        default=[],
        description="Assets or stages to compute even if nothing changed, for example ['metrics'] or ['eval'].",
    )

    def forces(self, stage: Stage) -> bool:
        """Whether this asset, or the stage of the command line that it belongs to, is to be computed in any case."""
        return any(name == stage.name or stage.group in GROUPS.get(name, (name,)) for name in self.force)

    def settings(self, base: Settings) -> Settings:
        """The settings of this run.

        Raises:
            SettingsError: an override is wrong, or changes what the launchpad must not.
        """
        if not self.overrides:
            return base
        refuse_protected(base, self.overrides)
        return with_overrides(base, self.overrides, LAUNCHPAD)
