"""Composition root: everything Dagster loads.

Dagster reads the module attribute ``defs``; the command line and the tests call :func:`build_defs` with
settings of their own. Which settings and which home the web UI works with comes from the environment:
``EMBED_PIPELINE_CONFIG``, ``EMBED_PIPELINE_PROFILE``, ``EMBED_PIPELINE_OVERRIDES`` (a JSON list),
``EMBED_PIPELINE_HOME``; without them ``./pipeline.yaml`` and ``./.embed_pipeline``, as on the command line.
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
from embed_pipeline.defs.outside import outside_assets
from embed_pipeline.defs.promotion import build_promotion
from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.defs.up_to_date import build_outside_sensor
from embed_pipeline.defs.variants import MAIN_JOB, main_job, variant_jobs
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import stages
from embed_pipeline.store.artifacts import Store

warnings.filterwarnings("ignore", category=dg.BetaWarning)  # Output.data_version, which the cache contract needs

JOB = MAIN_JOB
DEFAULT_HOME = ".embed_pipeline"


def home_folder(environment: Mapping[str, str] | None = None) -> Path:
    """``$EMBED_PIPELINE_HOME``, else ``./.embed_pipeline``."""
    values = os.environ if environment is None else environment
    return Path(values.get("EMBED_PIPELINE_HOME") or DEFAULT_HOME).expanduser().resolve()


def settings_file() -> Path | None:
    """``$EMBED_PIPELINE_CONFIG`` (none, where it is empty), else ``./pipeline.yaml``, if there is one."""
    named = os.environ.get("EMBED_PIPELINE_CONFIG")
    if named is not None:
        return Path(named) if named else None
    beside = Path("pipeline.yaml")
    return beside.resolve() if beside.is_file() else None


def settings_from_environment() -> Settings:
    """The settings the web UI works with."""
    overrides = json.loads(os.environ.get("EMBED_PIPELINE_OVERRIDES") or "[]")
    return load_settings(settings_file(), os.environ.get("EMBED_PIPELINE_PROFILE") or None, overrides)


def build_defs(
    settings: Settings | None = None, home: Path | None = None, resources: Mapping[str, object] | None = None
) -> dg.Definitions:
    """All assets, checks, jobs, the sensor and the schedule.

    Args:
        settings: from the environment when not given.
        home: from the environment when not given.
        resources: replace or add resources (tests).
    """
    settings = settings or settings_from_environment()
    store = Store(home or home_folder())
    graph = stages(settings)
    job = main_job(graph)
    sensor, schedule = build_automation(settings, job)
    return dg.Definitions(
        assets=[*(build_asset(stage, settings, store) for stage in graph.values()), *outside_assets(graph, settings)],
        asset_checks=build_checks(settings, store.home),
        jobs=[job, *variant_jobs(settings, graph), build_promotion(store.home)],
        sensors=[sensor, build_outside_sensor(settings, store, graph)],
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
