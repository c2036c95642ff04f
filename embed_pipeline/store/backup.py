"""A home in one file: a gzipped tar that proves itself whole.

::

    home/backup.json     first: what it is, versions, when
    home/<path>…         the files
    home/files.json      last: {path: {bytes, sha256}} of all of them

It is consistent while a run is under way: pointers are read first and what they name never changes; SQLite files are
copied through SQLite, and vectors after the index that names them. What belongs to this machine or to running
processes stays behind: locks, the record of the server, half-done work, temporary folders.
:mod:`embed_pipeline.store.restore` makes a home of it again.
"""

import hashlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict

from embed_pipeline.errors import HomeError
from embed_pipeline.files import fsync_folder, now_text
from embed_pipeline.progress import track
from embed_pipeline.store.artifacts import FileEntry
from embed_pipeline.store.home import HOME_FILE, check_home, is_home, open_home, why_not_writable

TOP, HEADER, LISTING = "home", "backup.json", "files.json"
BACKUP_VERSION = 1
CACHE = "cache"
DATABASES = (".sqlite", ".db")
_LEFT_BEHIND = ("locks", "work", "run.lock", "run.lock.json", "deployments/server.json", "deployments/server.log")
_BESIDE = ("-wal", "-shm", "-journal", ".lock", ".tmp")
_FIRST = (HOME_FILE, "deployments/current.json", "deployments/previous.json", "/current.json")
"""Pointers: what they name is there when they are read, and stays."""
_LAST = (".f32",)
"""Vectors grow at the end, and their index names none that is not there."""


class BackupHeader(BaseModel):
    """The first member of a backup."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["embed_pipeline backup"] = "embed_pipeline backup"
    version: int = BACKUP_VERSION
    home_version: int
    created: str
    caches: bool


def back_up(home: Path, target: Path, caches: bool = True) -> dict[str, Any]:
    """Write a home to one file, whole or not at all.

    Args:
        target: the file; one that is there is replaced.
        caches: also embeddings, replies of language models and scores.

    Returns:
        ``{"file", "files": how many, "bytes": of the files, "size": of the backup}``.

    Raises:
        HomeError: there is no home, the file would lie in it, a database is damaged, or ``gc`` came in between.
        OSError: it cannot be written.
    """
    if check_home(home) is None and not is_home(home):
        raise HomeError(f"{home}: is no home of embed_pipeline; choose one with --home.")
    if target.resolve().is_relative_to(home.resolve()):
        raise HomeError(f"{target}: lies in the home that is to be saved; choose a place outside of it.")
    header = BackupHeader(home_version=open_home(home).version, created=now_text(), caches=caches)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as file:
            entries = _write(file, home, header)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(target.parent)
    total = sum(entry.bytes for entry in entries.values())
    return {"file": str(target), "files": len(entries), "bytes": total, "size": target.stat().st_size}


def _write(file: IO[bytes], home: Path, header: BackupHeader) -> dict[str, FileEntry]:
    entries: dict[str, FileEntry] = {}
    with (
        tarfile.open(fileobj=file, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as tar,
        tempfile.TemporaryDirectory(prefix="embed-pipeline-backup.") as copies,
    ):
        _add_json(tar, HEADER, header.model_dump())
        for names in (_pointers, _others):  # what the pointers name is looked for after they were read
            for name in track(names(home, header.caches), "save the home"):
                try:
                    entries[name] = _add(tar, name, home / name, Path(copies) / "database")
                except FileNotFoundError as error:
                    raise HomeError(
                        f"{home / name}: was removed while it was being saved. Run the backup again."
                    ) from error
        _add_json(tar, LISTING, {name: entry.model_dump() for name, entry in entries.items()})
    return entries


def _pointers(home: Path, caches: bool) -> list[str]:
    return sorted(name for name in _walk(home, caches) if name.endswith(_FIRST))


def _others(home: Path, caches: bool) -> list[str]:
    """The rest, in the order in which it must be read."""
    rest = (name for name in _walk(home, caches) if not name.endswith(_FIRST))
    return sorted(rest, key=lambda name: (name.endswith(_LAST), name))


def _walk(home: Path, caches: bool) -> Iterator[str]:
    """Paths of the files to be saved, relative to the home."""
    for folder, folders, files in os.walk(home):  # links to folders are not followed
        here = Path(folder).relative_to(home)
        folders[:] = [name for name in folders if _belongs(here / name, caches)]
        for name in files:
            path = home / here / name
            if _belongs(here / name, caches) and path.is_file() and not path.is_symlink():
                yield (here / name).as_posix()


def _belongs(path: Path, caches: bool) -> bool:
    name = path.as_posix()
    return name not in _LEFT_BEHIND and not name.endswith(_BESIDE) and (caches or path.parts[0] != CACHE)


def _add(tar: tarfile.TarFile, name: str, path: Path, copy: Path) -> FileEntry:
    """Add a file as it is now; of a database a copy of one moment."""
    if path.suffix in DATABASES:
        _copy_database(path, copy)
        path = copy
    with path.open("rb") as content:
        hashing = _Hashing(content)
        size = os.fstat(content.fileno()).st_size  # what is appended from here on is left out
        try:
            tar.addfile(_member(name, size), hashing)  # type: ignore[arg-type]
        except OSError as error:
            raise HomeError(f"{path}: became shorter while it was being saved. Run the backup again.") from error
    return FileEntry(bytes=size, sha256=hashing.digest.hexdigest())


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self.digest.update(block)
        return block


def _copy_database(path: Path, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    frozen = "&immutable=1" if why_not_writable(path.parent) is not None else ""  # where SQLite cannot put its locks
    address = f"{path.absolute().as_uri()}?mode=ro{frozen}"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=60)) as live, closing(sqlite3.connect(copy)) as saved:
            live.backup(saved)
    except sqlite3.DatabaseError as error:
        raise HomeError(f"{path}: cannot be saved ({error}); embed-pipeline doctor says what to do.") from error


def _add_json(tar: tarfile.TarFile, name: str, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1).encode()
    tar.addfile(_member(name, len(text)), io.BytesIO(text))


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"{TOP}/{name}")
    member.size, member.mode = size, 0o644
    return member
