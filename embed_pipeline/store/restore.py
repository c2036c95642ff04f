"""A home made of a backup; every file of it is checked before the home is there."""

import glob
import hashlib
import json
import os
import tarfile
import uuid
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from embed_pipeline.errors import HomeError
from embed_pipeline.files import (
    fsync_folder,
    fsync_tree,
    is_being_written,
    remove_leftovers,
    remove_tree,
    temporary_folder,
)
from embed_pipeline.progress import track
from embed_pipeline.store.artifacts import FileEntry
from embed_pipeline.store.backup import BACKUP_VERSION, HEADER, LISTING, TOP, BackupHeader
from embed_pipeline.store.home import HOME_FILE, HOME_VERSION, open_home
from embed_pipeline.store.home_lock import Holder, home_lock, lock_of_ui

MOST_LISTING_BYTES = 2**30
_BLOCK = 2**20
_ENTRIES = TypeAdapter(dict[str, FileEntry])


def restore(source: Path, home: Path, force: bool = False) -> BackupHeader:
    """Make a home of a backup, whole or not at all.

    Args:
        force: replace what is at ``home``; it stays until the new home is whole.

    Raises:
        HomeError: no backup, damaged, of a newer version, or ``home`` is not empty.
        HomeBusyError: a run is under way in the home to be replaced, or a web UI serves it.
        OSError: it cannot be written.
    """
    if not source.is_file():
        raise HomeError(f"{source}: there is no such backup.")
    mounted = os.path.ismount(home)
    parent = home if mounted else home.parent
    parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(parent)
    occupied = home.exists() and any(home.iterdir())
    if occupied and not force:
        raise HomeError(f"{home}: is not empty. Choose another --home, or replace what is there with --force.")
    if occupied and mounted:
        raise HomeError(f"{home}: is a mount point, which cannot be replaced as a whole. Empty it first.")
    with temporary_folder(parent, home.name) as fresh:
        header = _unpack(source, fresh)
        fsync_tree(fresh)
        _put_in_place(fresh, home, occupied, mounted)
    fsync_folder(parent)
    return header


def left_by_restore(home: Path) -> tuple[list[Path], list[Path]]:
    """What restores that were killed left beside a home (in it, where it is a mount point).

    Returns:
        (half-made homes, homes that were to be replaced: whole, and the only one where ``home`` is not there).
    """
    parent = home if os.path.ismount(home) else home.parent
    name = glob.escape(home.name)
    half = [path for path in sorted(parent.glob(f".{name}.*.tmp")) if path.is_dir() and not is_being_written(path)]
    return half, [path for path in sorted(parent.glob(f".{name}.*.old")) if path.is_dir()]


def _put_in_place(fresh: Path, home: Path, occupied: bool, mounted: bool) -> None:
    if mounted:
        for path in sorted(fresh.iterdir(), key=lambda path: path.name == HOME_FILE):  # the mark of a home comes last
            path.rename(home / path.name)
    elif occupied:
        with home_lock(home, Holder.here("embed-pipeline restore")):
            no_ui = lock_of_ui(home)
            try:
                _swap(fresh, home)
            finally:
                no_ui.release()
    else:
        with suppress(FileNotFoundError):
            home.rmdir()
        fresh.rename(home)


def _swap(fresh: Path, home: Path) -> None:
    old = home.with_name(f".{home.name}.{uuid.uuid4().hex[:8]}.old")
    home.rename(old)
    try:
        fresh.rename(home)
    except BaseException:
        if not home.exists():
            old.rename(home)
        raise
    remove_tree(old)


def _unpack(source: Path, folder: Path) -> BackupHeader:
    """Write the files of a backup and check them all."""
    found: dict[str, FileEntry] = {}
    try:
        with tarfile.open(source, "r:gz") as tar:
            header = _header(_next_json(tar, HEADER, source), source)
            listing: dict[str, FileEntry] | None = None
            for member in track(tar, "restore the home"):
                name = _safe_name(member, source)
                if name == HEADER:
                    continue
                if name in found:
                    raise HomeError(f"{source}: holds {name} twice. Nothing was restored.")
                if name == LISTING:
                    listing = _ENTRIES.validate_python(_json(tar, member))
                    break
                content = tar.extractfile(member)
                assert content is not None
                found[name] = FileEntry(bytes=member.size, sha256=_copy(content, folder / name))
            if listing is not None and (more := tar.next()) is not None:
                raise HomeError(f"{source}: holds {more.name!r} after its list of files. Nothing was restored.")
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        if getattr(error, "errno", None) is not None:  # of the disk, not of the backup
            raise
        raise HomeError(f"{source}: cannot be read as a backup ({error}). Take another one.") from error
    if listing is None:
        raise HomeError(f"{source}: ends too early. Take another backup.")
    for name in {*listing, *found}:
        if listing.get(name) != found.get(name):
            raise HomeError(f"{source}: {name} is not as it was saved. Take another backup.")
    open_home(folder)
    return header


def _next_json(tar: tarfile.TarFile, name: str, source: Path) -> Any:
    member = tar.next()
    if member is None or member.name != f"{TOP}/{name}" or not member.isreg():
        raise HomeError(f"{source}: is no backup of a home; embed-pipeline backup writes one.")
    return _json(tar, member)


def _json(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    content = tar.extractfile(member)
    if content is None or member.size > MOST_LISTING_BYTES:
        raise ValueError(f"{member.name} is no list of files")
    return json.loads(content.read())


def _header(values: Any, source: Path) -> BackupHeader:
    try:
        header = BackupHeader.model_validate(values)
    except ValidationError as error:
        raise HomeError(f"{source}: is no backup of a home ({error.errors()[0]['msg']}).") from error
    if header.version > BACKUP_VERSION or header.home_version > HOME_VERSION:
        raise HomeError(f"{source}: was written by a newer embed_pipeline. Upgrade embed_pipeline, then restore.")
    return header


def _safe_name(member: tarfile.TarInfo, source: Path) -> str:
    """The path of a member below the home.

    Raises:
        HomeError: it is no plain file, or would land somewhere else.
    """
    path = PurePosixPath(member.name)
    inside = len(path.parts) > 1 and path.parts[0] == TOP and ".." not in path.parts
    if not member.isreg() or not inside or "\\" in member.name:
        raise HomeError(f"{source}: holds {member.name!r}, which is no file of a home. Nothing was restored.")
    return PurePosixPath(*path.parts[1:]).as_posix()


def _copy(content: IO[bytes], target: Path) -> str:
    """Write a new file; its hash."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as file:
        while block := content.read(_BLOCK):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()
