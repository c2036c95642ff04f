"""The one cached-asset mechanism; free of Dagster, so that ``--plan`` and ``status`` answer quickly.

:func:`run_stage` computes a :class:`~embed_pipeline.stages.declare.Stage` or reuses what is known;
:mod:`embed_pipeline.stages.plan` says beforehand which of the two it will be and why, and
:mod:`embed_pipeline.defs.assets` turns stages into Dagster assets.
"""

import importlib.metadata
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Literal

from embed_pipeline.errors import disk_full
from embed_pipeline.files import temporary_folder
from embed_pipeline.progress import say
from embed_pipeline.settings import Settings
from embed_pipeline.settings.differences import changed_settings
from embed_pipeline.stages.declare import Stage, StageRun
from embed_pipeline.stages.interrupts import raise_if_stopped
from embed_pipeline.store.artifacts import DATA, Artifact, Store

Outcome = Literal["computed", "reused", "skipped"]
LIBRARIES = (
    *("polars", "numpy", "torch", "sentence-transformers", "transformers", "peft", "dagster", "onnx"),
    *("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu12", "onnxruntime", "onnxruntime-gpu"),
    *("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "nvidia-modelopt"),
)
"""Those of them that are installed stand in an artifact's manifest."""


@dataclass(frozen=True)
class StageResult:
    """What a run of one stage gave; ``external``: versions of what lay outside the store, as it saw them."""

    artifact: Artifact
    outcome: Outcome
    key: str
    seconds: float
    external: Mapping[str, str] = field(default_factory=dict)


def run_stage(
    declared: Stage,
    settings: Settings,
    store: Store,
    inputs: Mapping[str, Artifact],
    force: bool = False,
    origin: Callable[[], Mapping[str, str | None]] = dict,
) -> StageResult:
    """Reuse the artifact of a known key, else compute, commit and remember it.

    Args:
        origin: where the run comes from (its id, the git revision), asked for when something is computed.

    Raises:
        EmbedPipelineError: whatever the stage refuses; nothing half-written remains.
        KeyboardInterrupt: somebody stopped it, even if the stage did not notice.
    """
    began = time.monotonic()
    settings = declared.derive(settings)
    external = declared.outside(settings, store.home)
    versions = {name: inputs[name].version for name in declared.inputs}
    key = declared.key(settings, versions, external)
    with store.lock(declared.name, key):
        known = None if force else store.lookup(declared.name, key, declared.family)
        if known is not None and known.asset != declared.name:
            known = store.adopt(known, declared.name, key, versions)
        if known is not None and declared.alive(known, settings, store.home):
            seconds = time.monotonic() - began
            outcome: Outcome = "skipped" if "skipped" in known.manifest().summary else "reused"
            return StageResult(known, outcome, key, seconds, external)
        try:
            artifact, skipped = _compute(declared, settings, store, inputs, key, external, origin())
        except Exception as error:
            full = disk_full(error, f"{declared.name} (home {store.home})")
            if full is None:
                raise
            raise full from error
    return StageResult(artifact, "skipped" if skipped else "computed", key, time.monotonic() - began, external)


def _compute(
    declared: Stage,
    settings: Settings,
    store: Store,
    inputs: Mapping[str, Artifact],
    key: str,
    external: Mapping[str, str],
    origin: Mapping[str, str | None],
) -> tuple[Artifact, bool]:
    began, started = time.monotonic(), datetime.now(UTC)
    with store.without_empty_work(declared.name, key), temporary_folder(store.staging(declared.name), "new") as staged:
        (staged / DATA).mkdir()
        run = StageRun(settings, store.home, staged / DATA, store.work_folder(declared.name, key), declared)
        declared.compute(run, **{declared.parameters.get(name, name): inputs[name] for name in declared.inputs})
        raise_if_stopped()  # what swallowed a stop may have made something else
        artifact = store.commit(
            staged,
            {
                "asset": declared.name,
                "key": key,
                "stage_version": declared.version,
                "settings": declared.settings_part(settings),
                "inputs": {name: inputs[name].version for name in declared.inputs},
                "external": dict(external),
                "started": started.isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - began, 3),
                "host": platform.node(),
                "device": declared.device,
                "libraries": library_versions(),
                "cost": run.cost,
                "summary": run.summary,
                "charts": run.charts,
                "origin": {**origin, "base_model": settings.base_model, **changed_settings(settings)},
            },
        )
    return artifact, run.skipped is not None


@cache
def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that matter."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def announce(result: StageResult) -> None:
    """The line a user reads when a stage is done."""
    artifact = result.artifact
    note = {"computed": f"computed in {result.seconds:.1f} s", "reused": "reused", "skipped": "skipped"}[result.outcome]
    summary = artifact.manifest().summary
    if result.outcome == "skipped":
        note += f" ({summary.get('skipped')})"
    facts = [f"{name} {value}" for name, value in list(summary.items())[:4] if name != "skipped"]
    say(f"{artifact.asset}: {note}{', ' if facts else ''}{', '.join(facts)}  [{artifact.version[:12]}]")
