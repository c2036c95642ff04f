"""The one cached-asset mechanism; free of Dagster, so that ``--plan`` and ``status`` answer quickly.

A :class:`Stage` declares an asset: its function, the settings and outside files that can change its result,
its storage and its device. :func:`run_stage` computes it or reuses it, :func:`make_plan` says beforehand
which of the two it will be and why. :mod:`embed_pipeline.defs.assets` turns stages into Dagster assets.
"""

import importlib.metadata
import inspect
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from embed_pipeline.artifacts import DATA, Artifact, Store, stage_key
from embed_pipeline.content_cache import ContentCache
from embed_pipeline.errors import ArtifactError, disk_full
from embed_pipeline.files import sha256_json, temporary_folder
from embed_pipeline.progress import say
from embed_pipeline.settings import Settings

if TYPE_CHECKING:
    import dataframely as dy
    import polars as pl

    from embed_pipeline.encoder import Encoder, EncoderSpec

Storage = Literal["table", "folder", "model", "json"]
Outcome = Literal["computed", "reused", "skipped"]
LIBRARIES = ("polars", "torch", "sentence-transformers", "transformers", "faiss-cpu", "onnxruntime", "numpy")


@dataclass
class StageRun:
    """What a stage's function works with.

    Attributes:
        settings: all settings.
        home: the home folder.
        folder: write the content here.
        work: scratch that survives a kill.
        declared: the stage itself.
        summary: short facts for the UI; numbers are plotted over time.
        charts: name -> Markdown for the UI, at most 30 kB each.
        cost: tokens and money, where there are any.
    """

    settings: Settings
    home: Path
    folder: Path
    work: Path
    declared: "Stage"
    summary: dict[str, Any] = field(default_factory=dict)
    charts: dict[str, str] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    skipped: str | None = None

    def write_table(self, frame: "pl.DataFrame", name: str = "table", schema: "type[dy.Schema] | None" = None) -> None:
        """Check a table against its schema (the stage's own for "table") and write ``<name>.parquet``."""
        from embed_pipeline.tables import validate

        declared = schema or (self.declared.schema if name == "table" else None)
        if declared is not None:
            frame = validate(declared, frame)
        frame.write_parquet(self.folder / f"{name}.parquet")

    def skip(self, reason: str) -> None:
        """Say that there is nothing to do here, and why; the run goes on."""
        self.skipped = reason
        self.summary["skipped"] = reason

    def previous(self) -> Artifact | None:
        """The artifact of this stage in use, if it was made with the same settings; for results that grow.

        It is not part of the key: two homes with another history may hold different results for the same key.
        """
        current = Store(self.home).current(self.declared.name)
        if current is None:
            return None
        if not Store(self.home).is_intact(current):
            say(f"{self.declared.name}: the artifact in use is damaged, so nothing is taken over from it")
            return None
        same = current.manifest().settings == self.declared.settings_part(self.settings)
        return current if same else None

    def responses(self) -> ContentCache:
        """Every LLM response ever received."""
        return ContentCache(self.home / "cache" / "responses.sqlite")

    def encoder(self, spec: "EncoderSpec") -> "Encoder":
        """A torch encoder whose vectors are cached by content."""
        return cached_encoder(self.home, self.settings, spec)

    def base_encoder(self) -> "Encoder":
        """The base model's encoder."""
        from embed_pipeline.encoder import base_encoder_spec

        return self.encoder(base_encoder_spec(self.settings.base_model, self.settings.encoder))


def cached_encoder(home: Path, settings: Settings, spec: "EncoderSpec") -> "Encoder":
    """A torch encoder of ``spec`` that computes each text once, ever."""
    from embed_pipeline.cached_encoder import CachedEncoder
    from embed_pipeline.encoder import Encoder, TorchEncoder

    def load() -> Encoder:
        return TorchEncoder.load(spec, settings.encoder.device, settings.encoder.batch_size)

    return CachedEncoder(spec, load, home / "cache" / "embeddings")


def unchanged(settings: Settings) -> Settings:
    """The settings of the run as they are."""
    return settings


@dataclass(frozen=True)
class Stage:
    """Declaration of one cached asset.

    Attributes:
        family: assets of one family (their names begin with it) hold the same content under the same key, so that
            any of them can take over what another has computed.
        parameters: input asset -> parameter of ``compute``, where the names differ.
        derive: the settings this asset works with, from those of the run.
    """

    name: str
    group: str
    version: str
    compute: Callable[..., None]
    inputs: tuple[str, ...]
    after: tuple[str, ...]
    settings: tuple[str, ...]
    external: Callable[[Settings], dict[str, str]]
    alive: Callable[[Artifact, Settings, Path], bool]
    storage: Storage
    schema: "type[dy.Schema] | None"
    device: Literal["cpu", "gpu"]
    kinds: tuple[str, ...]
    description: str
    family: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    derive: Callable[[Settings], Settings] = unchanged

    @property
    def upstream(self) -> tuple[str, ...]:
        """Everything that must come before: inputs, and assets that only gate."""
        return self.inputs + self.after

    def settings_part(self, settings: Settings) -> dict[str, Any]:
        """The settings that can change this stage's result."""
        return self.derive(settings).key_part(self.settings)

    def key(self, settings: Settings, versions: Mapping[str, str], external: Mapping[str, str]) -> str:
        """Key of this stage's work, given the versions of its inputs and what lies outside the store."""
        inputs = {self.parameters.get(name, name): version for name, version in versions.items()}
        return stage_key(self.version, self.settings_part(settings), inputs, external)

    def renamed(self, name: str, inputs: Mapping[str, str], **changes: Any) -> "Stage":
        """The same work as another asset: ``inputs`` maps inputs to the assets taken in their place."""
        return replace(
            self,
            name=name,
            inputs=tuple(inputs.get(one, one) for one in self.inputs),
            after=tuple(inputs.get(one, one) for one in self.after),
            parameters={inputs.get(one, one): self.parameters.get(one, one) for one in self.inputs},
            **changes,
        )

    def code_version(self, settings: Settings) -> str:
        """Stage version and a hash of the settings: shows staleness before a run."""
        return f"{self.version}-{sha256_json(self.settings_part(settings))[:12]}"


def no_external(settings: Settings) -> dict[str, str]:
    """Nothing outside the store decides the result."""
    return {}


def always_alive(artifact: Artifact, settings: Settings, home: Path) -> bool:
    """The files are all there is."""
    return True


def stage(
    *,
    group: str,
    version: str,
    storage: Storage,
    settings: Sequence[str] = (),
    schema: "type[dy.Schema] | None" = None,
    after: Sequence[str] = (),
    external: Callable[[Settings], dict[str, str]] = no_external,
    alive: Callable[[Artifact, Settings, Path], bool] = always_alive,
    device: Literal["cpu", "gpu"] = "cpu",
    kinds: Sequence[str] = (),
    family: str | None = None,
) -> Callable[[Callable[..., None]], Stage]:
    """Declare a stage from a function of ``run`` and its input assets (parameter name = asset name).

    Args:
        group: asset group in the UI.
        version: raise it by hand when the code changes the results.
        storage: decides the IO manager.
        settings: dotted names of the settings (or whole sections) that can change the result.
        schema: of ``table.parquet``.
        after: assets that must have succeeded before, without being part of the key.
        external: hashes of files outside the store that decide the result.
        alive: whether a stored artifact still stands for something real (a running endpoint).
        device: gpu assets carry the GPU tags and pool.
        kinds: badges in the UI.
        family: see :class:`Stage`.
    """

    def declare(compute: Callable[..., None]) -> Stage:
        inputs = tuple(inspect.signature(compute).parameters)[1:]
        return Stage(
            name=compute.__name__,
            group=group,
            version=version,
            compute=compute,
            inputs=inputs,
            after=tuple(after),
            settings=tuple(settings),
            external=external,
            alive=alive,
            storage=storage,
            schema=schema,
            device=device,
            kinds=tuple(kinds),
            description=inspect.cleandoc(compute.__doc__ or ""),
            family=family,
        )

    return declare


@dataclass(frozen=True)
class StageResult:
    """What a run of one stage gave."""

    artifact: Artifact
    outcome: Outcome
    key: str
    seconds: float


def run_stage(
    declared: Stage, settings: Settings, store: Store, inputs: Mapping[str, Artifact], force: bool = False
) -> StageResult:
    """Reuse the artifact of a known key, else compute, commit and remember it.

    Raises:
        EmbedPipelineError: whatever the stage refuses; nothing half-written remains.
    """
    began = time.monotonic()
    settings = declared.derive(settings)
    external = declared.external(settings)
    versions = {name: inputs[name].version for name in declared.inputs}
    key = declared.key(settings, versions, external)
    with store.lock(declared.name, key):
        known = None if force else store.lookup(declared.name, key, declared.family)
        if known is not None and known.asset != declared.name:
            known = store.adopt(known, declared.name, versions)
        if known is not None and declared.alive(known, settings, store.home):
            seconds = time.monotonic() - began
            outcome: Outcome = "skipped" if "skipped" in known.manifest().summary else "reused"
            return StageResult(known, outcome, key, seconds)
        try:
            artifact, skipped = _compute(declared, settings, store, inputs, key, external)
        except Exception as error:
            full = disk_full(error, f"{declared.name} (home {store.home})")
            if full is None:
                raise
            raise full from error
    return StageResult(artifact, "skipped" if skipped else "computed", key, time.monotonic() - began)


def _compute(
    declared: Stage,
    settings: Settings,
    store: Store,
    inputs: Mapping[str, Artifact],
    key: str,
    external: Mapping[str, str],
) -> tuple[Artifact, bool]:
    began, started = time.monotonic(), datetime.now(UTC)
    with temporary_folder(store.staging(declared.name), "new") as staged:
        (staged / DATA).mkdir()
        run = StageRun(settings, store.home, staged / DATA, store.work_folder(declared.name, key), declared)
        declared.compute(run, **{declared.parameters.get(name, name): inputs[name] for name in declared.inputs})
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


@dataclass(frozen=True)
class PlanStep:
    """What a run would do with one stage.

    ``version`` is known when the stage would be reused, or brought back to life as it was (an endpoint that
    does not run any more); then what follows need not be computed for its sake.
    """

    stage: Stage
    action: Literal["reuse", "compute"]
    reasons: tuple[str, ...]
    version: str | None


def make_plan(
    stages: Iterable[Stage], settings: Settings, store: Store, force: Sequence[str] = ()
) -> dict[str, PlanStep]:
    """Say for each stage, in order, whether it would be reused or computed, and why.

    Args:
        stages: in dependency order, upstream first, and complete.
        force: names of stages to recompute in any case.
    """
    steps: dict[str, PlanStep] = {}
    for declared in stages:
        steps[declared.name] = _plan_step(declared, settings, store, steps, declared.name in force)
    return steps


def _plan_step(
    declared: Stage, settings: Settings, store: Store, steps: Mapping[str, PlanStep], forced: bool
) -> PlanStep:
    settings = declared.derive(settings)
    external = declared.external(settings)  # looked at even when inputs are unknown: what is missing shows early
    changing = [name for name in declared.inputs if steps[name].version is None]
    if forced:
        return PlanStep(declared, "compute", ("forced",), None)
    if changing:
        return PlanStep(declared, "compute", tuple(f"follows {name}" for name in changing), None)
    versions = {name: str(steps[name].version) for name in declared.inputs}
    part = declared.settings_part(settings)
    key = declared.key(settings, versions, external)
    known = store.lookup(declared.name, key, declared.family)
    if known is not None and declared.alive(known, settings, store.home):
        return PlanStep(declared, "reuse", (), known.version)
    reasons = _why(declared, store, part, versions, external, alive=known is None)
    return PlanStep(declared, "compute", reasons, known.version if known is not None else None)


def _why(
    declared: Stage,
    store: Store,
    part: Mapping[str, Any],
    versions: Mapping[str, str],
    external: Mapping[str, str],
    alive: bool,
) -> tuple[str, ...]:
    if not alive:
        return ("not running any more, or failed its last check",)
    current = store.current(declared.name)
    if current is None:
        return ("never computed",)
    try:
        before = current.manifest()
    except ArtifactError:
        return ("stored artifact damaged",)
    reasons = []
    if before.stage_version != declared.version:
        reasons.append(f"stage version {before.stage_version} -> {declared.version}")
    reasons += [f"setting {name} changed" for name in _differing(_flat(before.settings), _flat(part))]
    reasons += [f"input {name} changed" for name in _differing(before.inputs, versions)]
    reasons += [f"{name} changed" for name in _differing(before.external, external)]
    return tuple(reasons) or ("stored artifact damaged",)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def describe_plan(steps: Mapping[str, PlanStep]) -> str:
    """One line: how much a run would compute."""
    computing = [name for name, step in steps.items() if step.action == "compute"]
    if not computing:
        return f"nothing to do: all {len(steps)} assets are up to date"
    return f"{len(computing)} of {len(steps)} assets to compute: {', '.join(computing)}"


def announce(result: StageResult) -> None:
    """The line a user reads when a stage is done."""
    artifact = result.artifact
    note = {"computed": f"computed in {result.seconds:.1f} s", "reused": "reused", "skipped": "skipped"}[result.outcome]
    summary = artifact.manifest().summary
    if result.outcome == "skipped":
        note += f" ({summary.get('skipped')})"
    facts = [f"{name} {value}" for name, value in list(summary.items())[:4] if name != "skipped"]
    say(f"{artifact.asset}: {note}{', ' if facts else ''}{', '.join(facts)}  [{artifact.version[:12]}]")
