"""The artifact store: immutable content, known keys, a pointer that moves last.

::

    <home>/artifacts/<asset>/
        <version>/data/…            the content, never changed
        <version>/manifest.json     its existence proves the content whole
        keys/<key>.json             key -> version: this work is known, and what it was
        current.json                the pointer: version in use
    <home>/runs/<run id>/<asset>.json   the version one run produced or reused
    <home>/work/<asset>-<key>/          scratch that survives a kill (training checkpoints)
    <home>/cache/                       embeddings and LLM responses by content

``key`` is the hash of everything that determines a result, ``version`` the hash of the result. Content is
written to a temporary folder, flushed and renamed; then the key is recorded; the pointer moves last. A kill
at any moment leaves the previous artifact valid.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from embed_pipeline.errors import ArtifactError
from embed_pipeline.files import (
    fsync_folder,
    fsync_tree,
    hash_tree,
    now_text,
    sha256_file,
    sha256_json,
    temporary_folder,
    write_json,
)
from embed_pipeline.store.home import open_home
from embed_pipeline.store.names import plain_name

if TYPE_CHECKING:
    import polars as pl

MANIFEST = "manifest.json"
DATA = "data"
POINTER = "current.json"
WORK = ("stage_version", "settings", "external", "started", "seconds", "origin")
"""What ``keys/<key>.json`` tells of a piece of work beside ``version`` and ``inputs``: fields of :class:`Manifest`."""


class FileEntry(BaseModel):
    """One file of an artifact."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """manifest.json: what an artifact is and how it came to be.

    ``seconds``, ``started``, ``host``, ``device``, ``libraries`` and ``origin`` describe the run that made it; they
    are not part of the version. ``origin`` holds its settings that differ from a profile, its id, and the git revision
    of the settings file.

    The file tells of the first work that gave this content, for ever; :meth:`Store.last_made` of the last.
    """

    model_config = ConfigDict(frozen=True)

    asset: str
    key: str
    version: str
    stage_version: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    external: dict[str, str]
    started: str
    seconds: float
    host: str
    device: str
    libraries: dict[str, str]
    cost: dict[str, float] = {}
    summary: dict[str, Any] = {}
    charts: dict[str, str] = {}
    origin: dict[str, Any] = {}
    files: dict[str, FileEntry]


@dataclass(frozen=True)
class Artifact:
    """A lazy handle on one stored artifact: nothing is read until asked for."""

    asset: str
    version: str
    folder: Path

    @property
    def path(self) -> Path:
        """Folder of the content."""
        return self.folder / DATA

    def manifest(self) -> Manifest:
        """Read manifest.json.

        Raises:
            ArtifactError: missing or damaged.
        """
        try:
            return Manifest.model_validate_json((self.folder / MANIFEST).read_bytes())
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{self.folder / MANIFEST}: cannot be read: {error}") from error

    def file(self, name: str) -> Path:
        """Path of one file of the content.

        Raises:
            ArtifactError: the artifact has no such file.
        """
        path = self.path / name
        if not path.exists():
            raise ArtifactError(
                f"artifact {self.asset} {self.version[:12]} has no {name} in {self.path}. "
                f"Recompute it with --force {self.asset}."
            )
        return path

    def frame(self, name: str = "table") -> "pl.DataFrame":
        """Read ``<name>.parquet``."""
        import polars as pl

        return pl.read_parquet(self.file(f"{name}.parquet"))

    def scan(self, name: str = "table") -> "pl.LazyFrame":
        """Scan ``<name>.parquet`` lazily."""
        import polars as pl

        return pl.scan_parquet(self.file(f"{name}.parquet"))

    def json(self, name: str) -> Any:
        """Read ``<name>.json``."""
        return json.loads(self.file(f"{name}.json").read_text("utf-8"))


def content_version(files: Mapping[str, FileEntry]) -> str:
    """Version of a content: hash of its paths and file hashes."""
    return sha256_json({name: entry.sha256 for name, entry in files.items()})


def stage_key(
    stage_version: str, settings: Mapping[str, Any], inputs: Mapping[str, str], external: Mapping[str, str]
) -> str:
    """Key of a piece of work.

    Args:
        stage_version: raised by hand when a stage's code changes its results.
        settings: the settings that can change the result.
        inputs: versions of the input artifacts by name.
        external: hashes of what lies outside the store (corpus folder, base model, prompts).
    """
    return sha256_json(
        {
            "stage_version": stage_version,
            "settings": dict(settings),
            "inputs": dict(inputs),
            "external": dict(external),
        }
    )


def _link_or_copy(source: str, target: str) -> None:
    """Artifacts never change, so two names may share the bytes; copied where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


class Store:
    """Artifacts of one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "artifacts"
        self._intact: dict[tuple[str, str], bool] = {}

    # -- reading ---------------------------------------------------------------------------------------

    def lookup(self, asset: str, key: str, family: str | None = None) -> Artifact | None:
        """The intact artifact of a known key, else None.

        Args:
            family: also look among the assets whose names begin so; it is looked among those of the same name, in
                variants and in the main graph, anyway.
        """
        for name in dict.fromkeys((asset, *self._kin(plain_name(asset), family))):
            version = self.version_of(name, key)
            if version is not None and self.is_intact(self.handle(name, version)):
                return self.handle(name, version)
        return None

    def _kin(self, asset: str, family: str | None) -> list[str]:
        names = sorted(path.name for path in self.root.iterdir()) if self.root.is_dir() else []
        return [
            name
            for name in names
            if plain_name(name) == asset or (family is not None and plain_name(name).startswith(family))
        ]

    def version_of(self, asset: str, key: str) -> str | None:
        """The version recorded for a key, intact or not, else None."""
        return self._read(self._key_file(asset, key)).get("version")

    def handle(self, asset: str, version: str) -> Artifact:
        """Handle on a version, without looking whether it exists."""
        return Artifact(asset, version, self.root / asset / version)

    def current(self, asset: str) -> Artifact | None:
        """The artifact the pointer names, else None."""
        version = self.pointer(asset).get("version")
        return self.handle(asset, version) if version else None

    def pointer(self, asset: str) -> dict[str, Any]:
        """``{"version", "key", "outcome", "seconds", "materialized_at"}``, or empty."""
        return self._read(self.root / asset / POINTER)

    def made_by(self, artifact: Artifact, key: str) -> Manifest:
        """The manifest, but of the work of this key: its inputs, and what :data:`WORK` names.

        It is the manifest as it stands where nobody knows that work: the key gives another version, or its file is
        damaged or from a time when it held less.

        Raises:
            ArtifactError: the manifest is missing or damaged.
        """
        manifest, known = artifact.manifest(), self._read(self._key_file(artifact.asset, key))
        if known.get("version") != artifact.version or not {"inputs", *WORK} <= known.keys():
            return manifest
        work = {name: known[name] for name in ("inputs", *WORK)}
        try:
            return Manifest.model_validate({**manifest.model_dump(), **work, "key": key})
        except ValidationError:
            return manifest

    def last_made(self, artifact: Artifact) -> Manifest:
        """The manifest, but of the work that the pointer names, if it names this artifact; see :meth:`made_by`."""
        pointer = self.pointer(artifact.asset)
        in_use = pointer.get("version") == artifact.version
        return self.made_by(artifact, str(pointer.get("key"))) if in_use else artifact.manifest()

    def was_made_from(self, asset: str, version: str, inputs: Mapping[str, str]) -> bool:
        """Whether known work has given this version from these inputs, with whatever settings."""
        latest = self._key_file(asset, str(self.pointer(asset).get("key")))
        return any(
            (work := self._read(file)).get("version") == version and work.get("inputs") == dict(inputs)
            for file in (latest, *latest.parent.glob("*.json"))
        )

    def of_run(self, run_id: str, asset: str) -> Artifact | None:
        """The artifact that a run produced or reused."""
        version = self.outcome_of_run(run_id, asset).get("version")
        return self.handle(asset, version) if version else None

    def is_intact(self, artifact: Artifact) -> bool:
        """Manifest readable and every file of the recorded size and hash (hashed once per process)."""
        known = (artifact.asset, artifact.version)
        if known not in self._intact or not (artifact.folder / MANIFEST).is_file():
            self._intact[known] = self._verify(artifact)
        return self._intact[known]

    def _verify(self, artifact: Artifact) -> bool:
        try:
            manifest = artifact.manifest()
        except ArtifactError:
            return False
        for name, entry in manifest.files.items():
            path = artifact.path / name
            if not path.is_file() or path.stat().st_size != entry.bytes or sha256_file(path) != entry.sha256:
                return False
        return content_version(manifest.files) == artifact.version

    # -- writing ---------------------------------------------------------------------------------------

    def lock(self, asset: str, key: str) -> FileLock:
        """Held while one process computes this key or stores this version; freed by the system when it dies."""
        folder = self.home / "locks"
        if not folder.is_dir():
            open_home(self.home)
            folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{asset}-{key[:16]}.lock")

    def work_folder(self, asset: str, key: str) -> Path:
        """Scratch of a key that survives a kill; removed when the artifact is committed."""
        folder = self.home / "work" / f"{asset}-{key[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def without_empty_work(self, asset: str, key: str) -> Iterator[None]:
        """Whatever happens inside, no empty scratch folder of this key is left behind."""
        try:
            yield
        finally:
            with suppress(OSError):  # there is none, or it holds something from which to go on
                (self.home / "work" / f"{asset}-{key[:16]}").rmdir()

    def staging(self, asset: str) -> Path:
        """Parent of temporary folders, on the same file system as the artifacts."""
        folder = self.root / asset
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def commit(self, staged: Path, manifest_values: Mapping[str, Any]) -> Artifact:
        """Turn ``staged`` (holding ``data/``) into an artifact and record its key.

        Args:
            staged: a folder from :func:`embed_pipeline.files.temporary_folder` under :meth:`staging`.
            manifest_values: every field of :class:`Manifest` but ``version`` and ``files``.
        """
        files = {
            name: FileEntry(bytes=size, sha256=digest) for name, (size, digest) in hash_tree(staged / DATA).items()
        }
        version = content_version(files)
        manifest = Manifest.model_validate({**manifest_values, "version": version, "files": files})
        artifact = self.handle(manifest.asset, version)
        write_json(staged / MANIFEST, manifest.model_dump(mode="json"))
        self._intact.pop((artifact.asset, version), None)
        with self.lock(artifact.asset, version):  # another key may be giving the same content right now
            if not self.is_intact(artifact):
                shutil.rmtree(artifact.folder, ignore_errors=True)
                fsync_tree(staged)
                staged.rename(artifact.folder)
                fsync_folder(artifact.folder.parent)
        self._intact[(artifact.asset, version)] = True
        work = manifest.model_dump(mode="json", include=set(WORK))
        self.record_key(manifest.asset, manifest.key, version, manifest.inputs, work)
        shutil.rmtree(self.home / "work" / f"{manifest.asset}-{manifest.key[:16]}", ignore_errors=True)
        return artifact

    def adopt(self, artifact: Artifact, asset: str, key: str, inputs: Mapping[str, str]) -> Artifact:
        """The content that ``key`` gave as an artifact of ``asset`` as well, made from ``inputs``; files are shared."""
        made = self.made_by(artifact, key).model_dump(exclude={"version", "files"})
        values = made | {"asset": asset, "key": key, "inputs": dict(inputs)}
        with temporary_folder(self.staging(asset), "new") as staged:
            shutil.copytree(artifact.path, staged / DATA, copy_function=_link_or_copy)
            return self.commit(staged, values)

    def record_key(
        self, asset: str, key: str, version: str, inputs: Mapping[str, str], work: Mapping[str, Any] | None = None
    ) -> None:
        """Remember that ``key`` gives ``version``, and what that work was: the fields that :data:`WORK` names."""
        write_json(self._key_file(asset, key), {"version": version, "inputs": dict(inputs), **(work or {})})

    def _key_file(self, asset: str, key: str) -> Path:
        return self.root / asset / "keys" / f"{key}.json"

    def point(self, artifact: Artifact, key: str, outcome: str, seconds: float, run_id: str | None = None) -> None:
        """Move the pointer, for one run and for everybody."""
        value = self.record_run(artifact, key, outcome, seconds, run_id)
        write_json(self.root / artifact.asset / POINTER, value)

    def record_run(
        self, artifact: Artifact, key: str, outcome: str, seconds: float, run_id: str | None
    ) -> dict[str, Any]:
        """What the pointer would say, written down for one run alone."""
        value = {
            "version": artifact.version,
            "key": key,
            "outcome": outcome,
            "seconds": round(seconds, 3),
            "materialized_at": now_text(),
        }
        if run_id is not None:
            write_json(self.home / "runs" / run_id / f"{artifact.asset}.json", value)
        return value

    def outcome_of_run(self, run_id: str, asset: str) -> dict[str, Any]:
        """As :meth:`pointer`, of what one run executed; empty where it did not."""
        return self._read(self.home / "runs" / run_id / f"{asset}.json")

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            value = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}
