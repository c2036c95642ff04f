"""Garbage collection: removes what no pointer and no release needs."""

import shutil
import time
from pathlib import Path
from typing import Any

from embed_pipeline.store.artifacts import POINTER, Store
from embed_pipeline.store.home_lock import Holder, home_lock
from embed_pipeline.store.releases import release_in_use

DAYS_TO_GO_ON = 30


def collect(home: Path, dry_run: bool = False) -> dict[str, Any]:
    """Remove old artifact versions, leftovers of killed runs, old releases and run records.

    Kept: the version each pointer names, the inputs those were made from, the releases current and previous,
    the caches of embeddings and LLM responses, and for :data:`DAYS_TO_GO_ON` days the checkpoints of a training that
    was stopped.

    Returns:
        ``{"removed": [path relative to home], "bytes": freed}``.

    Raises:
        HomeBusyError: a run is under way there.
    """
    with home_lock(home, Holder.here("embed-pipeline gc")):
        return _collect(home, dry_run)


def _collect(home: Path, dry_run: bool) -> dict[str, Any]:
    store = Store(home)
    doomed = _old_artifacts(store) + _old_releases(home)
    doomed += [path for path in _children(home / "work") if not _may_go_on(path)] + _children(home / "runs")
    report = {
        "removed": [path.relative_to(home).as_posix() for path in doomed],
        "bytes": sum(_size(path) for path in doomed),
    }
    if not dry_run:
        for path in doomed:
            shutil.rmtree(path, ignore_errors=True)
        _forget_keys(store)
    return report


def _may_go_on(work: Path) -> bool:
    """Whether a stopped training left checkpoints there, not long ago, from which it goes on when it is run again."""
    checkpoints = _children(work / "checkpoints")
    return bool(checkpoints) and time.time() - max(path.stat().st_mtime for path in checkpoints) < DAYS_TO_GO_ON * 86400


def _kept_versions(store: Store) -> set[tuple[str, str]]:
    kept: set[tuple[str, str]] = set()
    waiting = [(path.name, str(store.pointer(path.name).get("version"))) for path in _children(store.root)]
    while waiting:
        asset, version = waiting.pop()
        artifact = store.handle(asset, version)
        if (asset, version) in kept or not artifact.folder.is_dir():
            continue
        kept.add((asset, version))
        waiting += list(artifact.manifest().inputs.items())
    return kept


def _old_artifacts(store: Store) -> list[Path]:
    kept = _kept_versions(store)
    return [
        version
        for asset in _children(store.root)
        for version in _children(asset)
        if version.is_dir() and version.name != "keys" and (asset.name, version.name) not in kept
    ]


def _old_releases(home: Path) -> list[Path]:
    used = release_in_use(home)
    return [path for path in _children(home / "releases") if path.name not in used]


def _forget_keys(store: Store) -> None:
    for asset in _children(store.root):
        for key in _children(asset / "keys"):
            if not (asset / str(store.version_of(asset.name, key.stem))).is_dir():
                key.unlink(missing_ok=True)


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != POINTER) if folder.is_dir() else []


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
