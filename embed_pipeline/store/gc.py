"""Garbage collection: removes what no pointer, no release and no run needs.

Whatever goes loses its name before its files, so that a kill at any moment leaves a home that is whole. What cost
money (``cache/*.sqlite``: replies of language models, scores) is never touched, nor are ``history/`` and ``checks/``.
"""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from embed_pipeline.errors import ArtifactError
from embed_pipeline.files import is_being_written, remove_tree, size_of
from embed_pipeline.settings import KeepSettings
from embed_pipeline.store.artifacts import MANIFEST, POINTER, Artifact, Store
from embed_pipeline.store.home_lock import Holder, home_lock
from embed_pipeline.store.releases import release_in_use

DAYS_TO_GO_ON = 30
EMBEDDINGS = "cache/embeddings"

EncodersOf = Callable[[Iterable[Artifact]], Collection[str]]
"""The names of the folders under cache/embeddings that these artifacts can ask for."""


@dataclass(frozen=True)
class Doomed:
    """One thing to be removed, and what kind of thing it is."""

    kind: str
    path: Path
    bytes: int


def collect(
    home: Path, keep: KeepSettings | None = None, encoders_of: EncodersOf | None = None, dry_run: bool = False
) -> dict[str, Any]:
    """Remove old artifact versions, leftovers of killed runs, old releases, run records, embeddings and lock files.

    Kept: the version each pointer names, the inputs those were made from, ``keep.artifacts`` more of each asset, the
    releases current and previous, the responses of language models, ``keep.runs`` run records, and for
    :data:`DAYS_TO_GO_ON` days the checkpoints of a training that was stopped.

    Args:
        encoders_of: says which embeddings the artifacts that stay can ask for; without it all embeddings stay.
        dry_run: say what would be removed, remove nothing.

    Returns:
        ``{"removed": [path relative to home], "bytes": freed, "kinds": {kind: {"count", "bytes"}}}``.

    Raises:
        HomeBusyError: a run is under way there.
        DeployError: a pointer to a release is damaged, so that nobody knows which releases are needed.
    """
    with home_lock(home, Holder.here("embed-pipeline gc")):
        doomed = _doomed(home, keep or KeepSettings(), encoders_of)
        if not dry_run:
            for one in doomed:
                _remove(one)
            _forget_keys(Store(home))
    return report_of(home, doomed)


def report_of(home: Path, doomed: Iterable[Doomed]) -> dict[str, Any]:
    """What is said of a collection, see :func:`collect`."""
    kinds: dict[str, dict[str, int]] = {}
    removed = []
    for one in doomed:
        sums = kinds.setdefault(one.kind, {"count": 0, "bytes": 0})
        sums["count"] += 1
        sums["bytes"] += one.bytes
        removed.append(one.path.relative_to(home).as_posix())
    return {"removed": removed, "bytes": sum(one["bytes"] for one in kinds.values()), "kinds": kinds}


def _doomed(home: Path, keep: KeepSettings, encoders_of: EncodersOf | None) -> list[Doomed]:
    store = Store(home)
    kept = kept_artifacts(store, keep.artifacts)
    groups = {
        "artifacts": _old_artifacts(store, kept),
        "releases": _old_releases(home),
        "work": [path for path in _children(home / "work") if not (_may_go_on(path) or _is_under_way(home, path))],
        "runs": _old_runs(home, keep.runs),
        "embeddings": _unused_embeddings(home, keep.embeddings, encoders_of(kept)) if encoders_of else [],
        "locks": [path for path in _children(home / "locks") if path.suffix == ".lock" and _is_free(path)],
    }
    return [Doomed(kind, path, size_of(path)) for kind, paths in groups.items() for path in paths]


def _remove(one: Doomed) -> None:
    if one.kind != "locks":
        remove_tree(one.path)
        return
    try:
        with FileLock(one.path, timeout=0):  # whoever waits for it sees that the file has gone, and makes it anew
            one.path.unlink(missing_ok=True)
    except Timeout:
        pass  # somebody holds it


def kept_artifacts(store: Store, more: int = 0) -> list[Artifact]:
    """The artifacts that pointers name and the ``more`` newest others of each asset, with all they were made from."""
    kept: dict[tuple[str, str], Artifact] = {}
    waiting: list[tuple[str, str]] = []
    for folder in _children(store.root):
        current = str(store.pointer(folder.name).get("version"))
        others = [one for one in _versions(folder) if one.name != current and (one / MANIFEST).is_file()]
        waiting += [(folder.name, current)]
        waiting += [(folder.name, one.name) for one in _newest_first(others, MANIFEST)[:more]]
    while waiting:
        asset, version = waiting.pop()
        artifact = store.handle(asset, version)
        if (asset, version) in kept or not artifact.folder.is_dir():
            continue
        kept[asset, version] = artifact
        try:
            waiting += [*artifact.manifest().inputs.items(), *store.last_made(artifact).inputs.items()]
        except ArtifactError:  # damaged: doctor tells it, and what it was made from is in use or is made again
            continue
    return list(kept.values())


def _old_artifacts(store: Store, kept: Iterable[Artifact]) -> list[Path]:
    stay = {(one.asset, one.version) for one in kept}
    return [
        version
        for asset in _children(store.root)
        for version in _versions(asset)
        if (asset.name, version.name) not in stay
    ]


def _versions(asset: Path) -> list[Path]:
    """Folders of versions, and leftovers of processes that were killed."""
    return [path for path in _children(asset) if path.is_dir() and path.name != "keys" and not is_being_written(path)]


def _old_releases(home: Path) -> list[Path]:
    used = release_in_use(home)
    return [path for path in _children(home / "releases") if path.name not in used and not is_being_written(path)]


def _may_go_on(work: Path) -> bool:
    """Whether a stopped training left checkpoints there, not long ago, from which it goes on when it is run again."""
    checkpoints = _children(work / "checkpoints")
    return bool(checkpoints) and time.time() - max(path.stat().st_mtime for path in checkpoints) < DAYS_TO_GO_ON * 86400


def _is_under_way(home: Path, work: Path) -> bool:
    """Whether somebody computes there right now, in a notebook for example."""
    lock = home / "locks" / f"{work.name}.lock"
    return lock.is_file() and not _is_free(lock)


def _is_free(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return True
    except Timeout:
        return False


def _old_runs(home: Path, keep: int) -> list[Path]:
    runs, leftovers = _leftovers_apart(home / "runs")
    return _newest_first(runs)[keep:] + leftovers


def _unused_embeddings(home: Path, more: int, used: Collection[str]) -> list[Path]:
    models, leftovers = _leftovers_apart(home / EMBEDDINGS)
    return _newest_first([path for path in models if path.name not in used], "index.sqlite")[more:] + leftovers


def _leftovers_apart(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders in it, and apart from them what a removal that was killed left behind."""
    found = [path for path in _children(folder) if path.is_dir()]
    return [path for path in found if path.name[0] != "."], [path for path in found if path.name[0] == "."]


def _forget_keys(store: Store) -> None:
    for asset in _children(store.root):
        for key in _children(asset / "keys"):
            if not (asset / str(store.version_of(asset.name, key.stem))).is_dir():
                key.unlink(missing_ok=True)


def _newest_first(paths: Iterable[Path], file: str = "") -> list[Path]:
    """By the time of ``file`` in each, else of the folder itself."""

    def changed(path: Path) -> float:
        chosen = path / file
        return (chosen if chosen.exists() else path).stat().st_mtime

    return sorted(paths, key=changed, reverse=True)


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != POINTER) if folder.is_dir() else []
