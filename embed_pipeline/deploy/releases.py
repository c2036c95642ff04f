"""Releases: immutable model folders, and the pointer that says which one is served.

::

    <home>/releases/<release id>/model/…        model, tokenizer, encoder.json
    <home>/releases/<release id>/release.json   written last
    <home>/deployments/current.json             the release served
    <home>/deployments/previous.json            the one before, for a roll-back
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embed_pipeline.errors import DeployError
from embed_pipeline.files import fsync_tree, sha256_json, temporary_folder, write_json

RELEASE_FILE = "release.json"


@dataclass(frozen=True)
class Release:
    """One immutable release.

    Attributes:
        release_id: hash of model version and model name.
        model_version: version of the model artifact.
        model_name: name that clients pass as ``model``.
        path: the model folder, relative to the home.
    """

    release_id: str
    model_version: str
    model_name: str
    path: str


def deployments_folder(home: Path) -> Path:
    """Where the pointers lie."""
    return home / "deployments"


def create_release(home: Path, model: Path, model_version: str, model_name: str) -> Release:
    """Copy a model folder into a release; an existing whole release is returned as it is."""
    release_id = "r-" + sha256_json([model_version, model_name])[:16]
    release = Release(release_id, model_version, model_name, f"releases/{release_id}/model")
    folder = home / "releases" / release_id
    if (folder / RELEASE_FILE).is_file():
        return release
    shutil.rmtree(folder, ignore_errors=True)
    with temporary_folder(home / "releases", release_id) as staged:
        shutil.copytree(model, staged / "model")
        write_json(staged / RELEASE_FILE, asdict(release))
        fsync_tree(staged)
        staged.rename(folder)
    return release


def current_release(home: Path) -> Release | None:
    """The release the pointer names."""
    return _read(deployments_folder(home) / "current.json")


def point_to(home: Path, release: Release) -> None:
    """Move the pointer; remember the release before it."""
    before = current_release(home)
    folder = deployments_folder(home)
    if before is not None and before.release_id != release.release_id:
        write_json(folder / "previous.json", asdict(before))
    write_json(folder / "current.json", asdict(release))


def roll_back(home: Path, bad_release_id: str) -> str | None:
    """Point back to the release before ``bad_release_id``.

    Returns:
        The release id now served, or None when there is no earlier one (the bad one then stays).
    """
    now, before = current_release(home), _read(deployments_folder(home) / "previous.json")
    if now is None or now.release_id != bad_release_id or before is None or before.release_id == bad_release_id:
        return None
    write_json(deployments_folder(home) / "current.json", asdict(before))
    return before.release_id


def release_in_use(home: Path) -> set[str]:
    """Release ids that the pointers name."""
    named = (current_release(home), _read(deployments_folder(home) / "previous.json"))
    return {release.release_id for release in named if release is not None}


def _read(path: Path) -> Release | None:
    try:
        value: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return Release(**value)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DeployError(
            f"{path}: not a readable release pointer ({error}). Remove it and run deploy again."
        ) from error
