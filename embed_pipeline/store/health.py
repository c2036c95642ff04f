"""Whether what a home holds is whole; nothing is changed."""

from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from embed_pipeline.errors import ArtifactError, DeployError
from embed_pipeline.files import is_being_written, size_of
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.store.home import why_not_writable
from embed_pipeline.store.home_lock import LOCK, Holder, holder_of
from embed_pipeline.store.releases import pointers


def holder(home: Path) -> Holder | bool:
    """Who holds a home right now; True when that one has not written down who it is, False when nobody does.

    Nobody can hold one that cannot be written.
    """
    if not (home / LOCK).is_file() or why_not_writable(home) is not None:
        return False
    try:
        with FileLock(home / LOCK, timeout=0):
            return False
    except Timeout:
        return holder_of(home) or True


def damaged_artifacts(home: Path, deep: bool = False) -> Iterator[tuple[Artifact, str]]:
    """The artifacts in use that are not whole, with what is wrong.

    Args:
        deep: read every file and compare its hash, instead of its size alone.
    """
    store = Store(home)
    for folder in sorted(store.root.iterdir()) if store.root.is_dir() else []:
        artifact = store.current(folder.name)
        if artifact is not None:
            wrong = _wrong(store, artifact, deep)
            if wrong is not None:
                yield artifact, wrong
        elif (folder / "current.json").exists():
            yield store.handle(folder.name, ""), "its pointer current.json cannot be read"


def _wrong(store: Store, artifact: Artifact, deep: bool) -> str | None:
    if not artifact.folder.is_dir():
        return "the folder that its pointer names is not there"
    try:
        files = artifact.manifest().files
    except ArtifactError:
        return "its manifest.json cannot be read"
    for name, entry in files.items():
        path = artifact.path / name
        if not path.is_file():
            return f"{name} is not there"
        if path.stat().st_size != entry.bytes:
            return f"{name} has {path.stat().st_size} bytes instead of {entry.bytes}"
    return "a file has another content than when it was written" if deep and not store.is_intact(artifact) else None


def damaged_releases(home: Path) -> Iterator[str]:
    """What is wrong with the releases that the pointers name."""
    try:
        found = pointers(home)
    except DeployError as error:
        yield str(error)
        return
    for release in (found.current, found.previous):
        if release is not None and not (home / release.path).is_dir():
            yield f"{home / release.path}: the release {release.release_id} is not there. Run embed-pipeline deploy."


def leftovers(home: Path) -> tuple[int, int]:
    """How many temporary folders killed runs have left behind, and their bytes."""
    found = [path for pattern in ("artifacts/*/.*.tmp", "releases/.*.tmp") for path in home.glob(pattern)]
    dead = [path for path in found if not is_being_written(path)]
    return len(dead), sum(size_of(path) for path in dead)
