"""Declaring a stage: its function, the settings and outside files that can change its result, storage and device."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from embed_pipeline.files import sha256_json
from embed_pipeline.progress import say
from embed_pipeline.settings import Settings, sections_of
from embed_pipeline.store.artifacts import Artifact, Store, stage_key

if TYPE_CHECKING:
    import dataframely as dy
    import polars as pl

    from embed_pipeline.encoders.spec import Encoder, EncoderSpec

Storage = Literal["table", "folder", "model", "json"]
Version = Callable[[Path], str]
"""Finds the version of something outside the store; takes the home, which may remember what was hashed."""

_LARGE = 2**27
"""Bytes of a table that is stored without the least and the greatest value of each column, which may be long texts."""

External = Callable[[Settings], Mapping[str, Version]]
"""What lies outside the store, for these settings: name -> how its version is found.

Asking for the names costs nothing and never fails; finding a version may hash files, and refuses what is missing."""


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
        frame.write_parquet(self.folder / f"{name}.parquet", statistics=frame.estimated_size() < _LARGE)

    def skip(self, reason: str) -> None:
        """Say that there is nothing to do here, and why; the run goes on."""
        self.skipped = reason
        self.summary["skipped"] = reason

    def previous(self) -> Artifact | None:
        """The artifact of this stage in use, if it was made with the same settings; for results that grow.

        It is not part of the key: two homes with another history may hold different results for the same key.
        """
        store = Store(self.home)
        current = store.current(self.declared.name)
        if current is None:
            return None
        if not store.is_intact(current):
            say(f"{self.declared.name}: the artifact in use is damaged, so nothing is taken over from it")
            return None
        same = store.last_made(current).settings == self.declared.settings_part(self.settings)
        return current if same else None

    def encoder(self, spec: "EncoderSpec") -> "Encoder":
        """A torch encoder whose vectors are cached by content."""
        return cached_encoder(self.home, self.settings, spec)

    def base_encoder(self) -> "Encoder":
        """The base model's encoder."""
        from embed_pipeline.encoders.base_model import base_encoder_spec

        return self.encoder(base_encoder_spec(self.settings.base_model, self.settings.encoder))


def cached_encoder(home: Path, settings: Settings, spec: "EncoderSpec") -> "Encoder":
    """A torch encoder of ``spec`` that computes each text once, ever."""
    from embed_pipeline.encoders.cached_encoder import CachedEncoder
    from embed_pipeline.encoders.spec import Encoder
    from embed_pipeline.encoders.torch_encoder import TorchEncoder

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
        looks_at: the settings that say what ``external`` looks at; None: any of them may.
        family: assets of one family (their names begin with it) hold the same content under the same key, so that
            any of them can take over what another has computed; those of the same name in variants do so anyway.
        parameters: input asset -> parameter of ``compute``, where the names differ.
        derive: the settings this asset works with, from those of the run; of what it gives it makes the same.
        alternative: not part of the graph by itself: taken in the place of another stage, or where settings ask for it.
    """

    name: str
    group: str
    version: str
    compute: Callable[..., None]
    inputs: tuple[str, ...]
    after: tuple[str, ...]
    settings: tuple[str, ...]
    external: External
    alive: Callable[[Artifact, Settings, Path], bool]
    moved: Callable[[Artifact, Settings], str | None]
    storage: Storage
    schema: "type[dy.Schema] | None"
    device: Literal["cpu", "gpu"]
    kinds: tuple[str, ...]
    description: str
    looks_at: tuple[str, ...] | None = None
    family: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    derive: Callable[[Settings], Settings] = unchanged
    alternative: bool = False

    @property
    def upstream(self) -> tuple[str, ...]:
        """Everything that must come before: inputs, and assets that only gate."""
        return self.inputs + self.after

    def settings_part(self, settings: Settings) -> dict[str, Any]:
        """The settings that can change this stage's result."""
        return self.derive(settings).key_part(self.settings)

    def outside(self, settings: Settings, home: Path) -> dict[str, str]:
        """Versions of what lies outside the store and decides the result.

        Raises:
            EmbedPipelineError: something is missing or cannot be read.
        """
        return {name: version(home) for name, version in self.external(self.derive(settings)).items()}

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


def has_setting(name: str, model: type[BaseModel] = Settings) -> bool:
    """Whether there is a setting or a section of this dotted name."""
    first, _, rest = name.partition(".")
    if not rest:
        return first in model.model_fields
    section = sections_of(model).get(first)
    return section is not None and has_setting(rest, section)


def no_external(settings: Settings) -> dict[str, Version]:
    """Nothing outside the store decides the result."""
    return {}


def always_alive(artifact: Artifact, settings: Settings, home: Path) -> bool:
    """The files are all there is."""
    return True


def never_moved(artifact: Artifact, settings: Settings) -> None:
    """Whatever is brought back to life is what it was."""


def stage(
    *,
    group: str,
    version: str,
    storage: Storage,
    settings: Sequence[str] = (),
    schema: "type[dy.Schema] | None" = None,
    after: Sequence[str] = (),
    external: External = no_external,
    looks_at: Sequence[str] | None = None,
    alive: Callable[[Artifact, Settings, Path], bool] = always_alive,
    moved: Callable[[Artifact, Settings], str | None] = never_moved,
    device: Literal["cpu", "gpu"] = "cpu",
    kinds: Sequence[str] = (),
    family: str | None = None,
    alternative: bool = False,
) -> Callable[[Callable[..., None]], Stage]:
    """Declare a stage from a function of ``run`` and its input assets (parameter name = asset name).

    In a module of :mod:`embed_pipeline.stages` that is all it takes: the graph finds it there.

    Args:
        group: asset group in the UI.
        version: raise it by hand when the code changes the results.
        storage: decides the IO manager.
        settings: dotted names of the settings (or whole sections) that can change the result.
        schema: of ``table.parquet``.
        after: assets that must have succeeded before, without being part of the key.
        external: what outside the store decides the result; see :data:`External`.
        looks_at: dotted names of the settings (or whole sections) that say what this is.
        alive: whether a stored artifact still stands for something real (a running endpoint).
        moved: why one that is not alive would become another when it is brought back, in words; None if it would not.
        device: gpu assets carry the GPU tags and pool.
        kinds: badges in the UI.
        family, alternative: see :class:`Stage`.
    """
    unknown = [name for name in (*settings, *(looks_at or ())) if not has_setting(name)]
    if unknown:
        raise ValueError(f"{unknown[0]}: a stage names this setting, but embed_pipeline/settings declares none such.")

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
            moved=moved,
            storage=storage,
            schema=schema,
            device=device,
            kinds=tuple(kinds),
            description=inspect.cleandoc(compute.__doc__ or ""),
            looks_at=tuple(looks_at) if looks_at is not None else () if external is no_external else None,
            family=family,
            alternative=alternative,
        )

    return declare
