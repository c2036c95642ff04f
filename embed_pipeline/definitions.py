"""Composition root: everything Dagster loads.

Dagster reads the module attribute ``defs``; the command line and the tests call :func:`build_defs` with
settings of their own. Which settings and which home the web UI works with comes from the environment:
``EMBED_PIPELINE_CONFIG``, ``EMBED_PIPELINE_PROFILE``, ``EMBED_PIPELINE_OVERRIDES`` (a JSON list),
``EMBED_PIPELINE_HOME``.
"""

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from embed_pipeline.defs.assets import build_asset
from embed_pipeline.defs.automation import build_automation
from embed_pipeline.defs.checks import build_checks
from embed_pipeline.defs.executor import build_executor
from embed_pipeline.defs.io_managers import FolderIOManager, TableIOManager
from embed_pipeline.defs.promotion import build_promotion
from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import stages
from embed_pipeline.store.artifacts import Store

warnings.filterwarnings("ignore", category=dg.BetaWarning)  # Output.data_version, which the cache contract needs

JOB = "pipeline"
DEFAULT_HOME = ".embed_pipeline"


def home_folder(environment: Mapping[str, str] | None = None) -> Path:
    """``$EMBED_PIPELINE_HOME``, else ``./.embed_pipeline``."""
    values = os.environ if environment is None else environment
    return Path(values.get("EMBED_PIPELINE_HOME") or DEFAULT_HOME).expanduser().resolve()


def settings_from_environment() -> Settings:
    """The settings the web UI works with."""
    config = os.environ.get("EMBED_PIPELINE_CONFIG")
    overrides = json.loads(os.environ.get("EMBED_PIPELINE_OVERRIDES") or "[]")
    return load_settings(Path(config) if config else None, os.environ.get("EMBED_PIPELINE_PROFILE") or None, overrides)


def build_defs(
    settings: Settings | None = None, home: Path | None = None, resources: Mapping[str, object] | None = None
) -> dg.Definitions:
    """All assets, checks, the job, the sensor and the schedule.

    Args:
        settings: from the environment when not given.
        home: from the environment when not given.
        resources: replace or add resources (tests).
    """
    settings = settings or settings_from_environment()
    store = Store(home or home_folder())
    job = dg.define_asset_job(JOB, selection=dg.AssetSelection.all(), description="Everything that is stale.")
    sensor, schedule = build_automation(settings, job)
    graph = stages(settings)
    return dg.Definitions(
        assets=[build_asset(stage, settings, store) for stage in graph.values()],
        asset_checks=build_checks(settings, store.home),
        jobs=[job, build_promotion(store.home)],
        sensors=[sensor],
        schedules=[schedule],
        executor=build_executor(settings, store, graph),
        resources={
            "pipeline": PipelineResource(),
            "table_io": TableIOManager(store, graph),
            "folder_io": FolderIOManager(store, graph),
            **(resources or {}),
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What ``dg`` and ``dagster`` load."""
    return build_defs()
