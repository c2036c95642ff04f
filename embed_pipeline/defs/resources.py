"""What a run can be given in the launchpad."""

from typing import Any

import dagster as dg
from pydantic import Field

from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import with_overrides

PREFILLED: dict[str, Any] = {"resources": {"pipeline": {"config": {"overrides": [], "force": []}}}}
"""What the launchpad shows before anything is typed."""


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

    def settings(self, base: Settings) -> Settings:
        """The settings of this run.

        Raises:
            SettingsError: an override is unknown or does not fit.
        """
        return with_overrides(base, self.overrides) if self.overrides else base
