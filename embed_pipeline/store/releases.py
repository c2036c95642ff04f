"""Releases: immutable model folders, and the pointer that says which one is served.

::

    <home>/releases/<release id>/model/…        model, tokenizer, encoder.json
    <home>/releases/<release id>/release.json   written last
    <home>/deployments/current.json             the release served
    <home>/deployments/previous.json            the one before, for a roll-back
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from embed_pipeline.errors import DeployError
from embed_pipeline.files import fsync_folder, fsync_tree, hash_tree, sha256_json, temporary_folder, write_json

RELEASE_FILE = "release.json"


class Release(BaseModel):
    """One immutable release.

    Attributes:
        release_id: hash of model version and model name.
        model_version: version of the model artifact.
        model_name: name that clients pass as ``model``.
        path: the model folder, relative to the home (absolute when a folder is served on its own).
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    release_id: str
    model_version: str
    model_name: str
    path: str


def deployments_folder(home: Path) -> Path:
    """Where the pointers lie."""
    return home / "deployments"


def create_release(home: Path, model: Path, model_version: str, model_name: str) -> Release:
    """Copy a model folder into a release; an existing one whose bytes are the model's is returned as it is.

    One that was damaged on the disk is made anew.

    Raises:
        OSError: the copy cannot be written; nothing half-written remains.
    """
    release_id = "r-" + sha256_json([model_version, model_name])[:16]
    release = Release(
        release_id=release_id,
        model_version=model_version,
        model_name=model_name,
        path=f"releases/{release_id}/model",
    )
    folder = home / "releases" / release_id
    locks = home / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / "releases.lock"), temporary_folder(home / "releases", release_id) as staged:
        if _described(folder) == release and hash_tree(folder / "model") == hash_tree(model):
            return release
        shutil.copytree(model, staged / "model")
        write_json(staged / RELEASE_FILE, release.model_dump())
        fsync_tree(staged)
        shutil.rmtree(folder, ignore_errors=True)
        staged.rename(folder)
        fsync_folder(folder.parent)
    return release


def _described(folder: Path) -> Release | None:
    """What a release folder says it is; None when it says nothing that can be read."""
    try:
        return Release.model_validate_json((folder / RELEASE_FILE).read_bytes())
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Pointers:
    """The release served and the one before it."""

    current: Release | None
    previous: Release | None


def pointers(home: Path) -> Pointers:
    """Both pointers.

    Raises:
        DeployError: one of them is damaged.
    """
    folder = deployments_folder(home)
    return Pointers(_read(folder / "current.json"), _read(folder / "previous.json"))


def restore(home: Path, before: Pointers) -> None:
    """Put both pointers back."""
    for name, release in (("current", before.current), ("previous", before.previous)):
        path = deployments_folder(home) / f"{name}.json"
        if release is None:
            path.unlink(missing_ok=True)
        else:
            write_json(path, release.model_dump())


def current_release(home: Path) -> Release | None:
    """The release the pointer names."""
    return pointers(home).current


def repair_pointers(home: Path, served: str | None) -> list[str]:
    """Put damaged pointers right, and say what was done.

    Args:
        served: id of the release that a server answers with right now.
    """
    told = []
    for name in ("current", "previous"):
        path = deployments_folder(home) / f"{name}.json"
        try:
            _read(path)
            continue
        except DeployError:
            found = _described(home / "releases" / served) if name == "current" and served is not None else None
        if found is not None:
            write_json(path, found.model_dump())
            told.append(f"{path} was damaged; it names {served} again, which is served")
        else:
            path.unlink()
            told.append(f"{path} was damaged and is removed; nobody knows any more which release it named")
    return told


def point_to(home: Path, release: Release) -> None:
    """Move the pointer; remember the release before it."""
    before = current_release(home)
    folder = deployments_folder(home)
    if before is not None and before.release_id != release.release_id:
        write_json(folder / "previous.json", before.model_dump())
    write_json(folder / "current.json", release.model_dump())


def roll_back(home: Path, bad_release_id: str) -> str | None:
    """Point back to the release before ``bad_release_id``.

    Returns:
        The release id now served, or None when there is no earlier one (the bad one then stays).
    """
    found = pointers(home)
    now, before = found.current, found.previous
    if now is None or now.release_id != bad_release_id or before is None or before.release_id == bad_release_id:
        return None
    write_json(deployments_folder(home) / "current.json", before.model_dump())
    return before.release_id


def releases(home: Path) -> list[Release]:
    """The releases whose folders are there."""
    found = (_described(folder) for folder in sorted((home / "releases").glob("r-*")))
    return [one for one in found if one is not None]


def release_in_use(home: Path) -> set[str]:
    """Release ids that the pointers name."""
    found = pointers(home)
    return {release.release_id for release in (found.current, found.previous) if release is not None}


def _read(path: Path) -> Release | None:
    try:
        return Release.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DeployError(
            f"{path}: not a readable release pointer ({error}). Remove it and run deploy again."
        ) from error
