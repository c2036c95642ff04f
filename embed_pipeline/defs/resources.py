"""What a run can be given in the launchpad."""

import dagster as dg
from pydantic import Field

from embed_pipeline.settings import Settings
from embed_pipeline.settings.protected import refuse_protected
from embed_pipeline.settings.sources import with_overrides


class PipelineResource(dg.ConfigurableResource[None]):
    """Changes for one run; part of every key, so that a result never hides which settings made it."""

    overrides: list[str] = Field(default_factory=list, description="section.key=value, as for --set.")
    force: list[str] = Field(default_factory=list, description="Assets to recompute even if nothing changed.")

    def settings(self, base: Settings) -> Settings:
        """The settings of this run.

        Raises:
            SettingsError: an override is wrong, or changes what the launchpad must not.
        """
        if not self.overrides:
            return base
        refuse_protected(base, self.overrides)
        return with_overrides(base, self.overrides)
