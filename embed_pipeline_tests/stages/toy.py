"""A graph of three stages that takes milliseconds, as Dagster assets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from embed_pipeline import charts
from embed_pipeline.defs.assets import build_asset
from embed_pipeline.defs.executor import build_executor
from embed_pipeline.defs.io_managers import FolderIOManager, TableIOManager
from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_file, write_json
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.declare import Stage, StageRun, Version, stage
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.tables import CorpusManifest

JOB = "pipeline"


def corpus_hash(settings: Settings) -> dict[str, Version]:
    assert settings.corpus.folder is not None
    file = settings.corpus.folder / "names.txt"
    return {"corpus": lambda _: sha256_file(file)}


@stage(group="corpus", version="1", storage="table", schema=CorpusManifest, external=corpus_hash, kinds=("polars",))
def names(run: StageRun) -> None:
    """One row a name."""
    assert run.settings.corpus.folder is not None
    found = (run.settings.corpus.folder / "names.txt").read_text().split()
    if not found:
        raise InputError("names.txt: holds no names.")
    rows = [{"path": name, "bytes": len(name), "sha256": "0" * 200, "status": "read", "reason": None} for name in found]
    run.write_table(pl.DataFrame(rows, schema_overrides={"reason": pl.String}))
    run.summary |= {"names": len(found), "share": 0.5, "engine": "toy"}
    run.charts["lengths"] = charts.bars("lengths", {name: float(len(name)) for name in found}, "letters")
    run.cost["tokens"] = 7.0


@stage(group="finetune", version="1", storage="model", settings=("finetune.epochs",), device="gpu", kinds=("pytorch",))
def model(run: StageRun, names: Artifact) -> None:
    """Counts the names."""
    write_json(run.folder / "model.json", {"names": names.frame().height, "epochs": run.settings.finetune.epochs})


@stage(group="eval", version="1", storage="json", after=("names",))
def score(run: StageRun, model: Artifact) -> None:
    """A number."""
    write_json(run.folder / "score.json", model.json("model")["names"])


STAGES = {one.name: one for one in (names, model, score)}


def corpus_of(folder: Path, text: str = "ann bob") -> Path:
    (folder / "corpus").mkdir(exist_ok=True)
    (folder / "corpus" / "names.txt").write_text(text)
    return folder / "corpus"


def settings_of(folder: Path, *overrides: str) -> Settings:
    return load_settings(None, None, [f"corpus.path={folder / 'corpus'}", *overrides], {})


def toy_defs(
    settings: Settings,
    home: Path,
    stages: dict[str, Stage] | None = None,
    checks: tuple[Any, ...] = (),
) -> dg.Definitions:
    """The toy graph as :func:`embed_pipeline.definitions.build_defs` builds the real one."""
    chosen, store = stages or STAGES, Store(home)
    return dg.Definitions(
        assets=[build_asset(one, settings, store) for one in chosen.values()],
        asset_checks=list(checks),
        jobs=[
            dg.define_asset_job(
                f"{JOB}_{retries}", dg.AssetSelection.all(), op_retry_policy=dg.RetryPolicy(max_retries=retries)
            )
            for retries in (0, 1)
        ],
        executor=build_executor(settings, store, chosen),
        resources={
            "pipeline": PipelineResource(),
            "table_io": TableIOManager(store, chosen),
            "folder_io": FolderIOManager(store, chosen),
        },
    )


def run(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    assets: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    **pipeline: object,
) -> dg.DagsterRun:
    """Run it as the command line and the web UI do: with the executor of the definitions."""
    job = definitions.resolve_job_def(f"{JOB}_0")
    config: dict[str, Any] = {
        "resources": {"pipeline": {"config": pipeline}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    chosen = frozenset(dg.AssetKey(name) for name in assets) or None
    made = instance.create_run_for_job(job, run_config=config, tags=tags, asset_selection=chosen)
    for _ in execute_run_iterator(InMemoryJob(job), made, instance):
        pass
    ended = instance.get_run_by_id(made.run_id)
    assert ended is not None
    return ended


def launch(
    definitions: dg.Definitions, instance: dg.DagsterInstance, retries: int = 0, **pipeline: object
) -> dg.ExecuteInProcessResult:
    """Run everything in process, without the executor, with a launchpad config for the resource ``pipeline``."""
    config: dict[str, Any] = {
        "resources": {"pipeline": {"config": pipeline}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    job = definitions.resolve_job_def(f"{JOB}_{retries}")
    return job.execute_in_process(config, instance, raise_on_error=False)
