"""Atomic writes, content hashes, and small things of files: where one would lie, when it was written."""

import hashlib
import json
import os
import platform
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def sha256_text(text: str) -> str:
    """Hex SHA-256 of ``text`` in UTF-8 (lone surrogates pass through unchanged)."""
    return sha256_bytes(text.encode("utf-8", "surrogatepass"))


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of a JSON value, independent of key order."""
    return sha256_text(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str))


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_SETTLED_NS = 2_000_000_000
_remembered: dict[tuple[str, int, int, int], str] = {}


def remembered_sha256(path: Path) -> str:
    """:func:`sha256_file` of a file that is looked at again and again: read anew only when it has changed.

    Told by inode, size and time of the last change; what changed within the last two seconds is not remembered, since
    a second change could have the same time.

    Raises:
        OSError: as :func:`sha256_file`.
    """
    stat = path.stat()
    known = (str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns)
    digest = _remembered.get(known)
    if digest is None:
        digest = sha256_file(path)
        if time.time_ns() - stat.st_mtime_ns > _SETTLED_NS:
            _remembered[known] = digest
    return digest


def hash_tree(folder: Path) -> dict[str, tuple[int, str]]:
    """``{relative POSIX path: (bytes, sha256)}`` of every file under ``folder``, sorted."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found[path.relative_to(folder).as_posix()] = (path.stat().st_size, sha256_file(path))
    return found


def fsync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """Flush every file and folder under ``folder`` to the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            fsync_folder(path)
    fsync_folder(folder)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: temporary name, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON whole or not at all. NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
    """Write one JSON object a line, whole or not at all."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder under ``parent`` that is removed at the end unless it was renamed away."""
    parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(parent)
    folder = parent / f".{prefix}.{_host()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder: it loses its name at once, so that a kill in between leaves no half of it under that name."""
    doomed = folder.with_name(f".gone.{_host()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)


def is_being_written(folder: Path) -> bool:
    """Whether it is a temporary folder of a process of this machine that still runs."""
    parts = folder.name.split(".")
    if len(parts) < 5 or parts[-1] != "tmp" or parts[-4] != _host() or not parts[-3].isdecimal():
        return False
    return int(parts[-3]) != os.getpid() and _runs(int(parts[-3]))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    found = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in found if file.is_file())


def _host() -> str:
    return sha256_text(platform.node())[:8]


def remove_leftovers(parent: Path) -> None:
    """Remove temporary folders of processes of this machine that were killed."""
    for folder in parent.glob(f".*.{_host()}.*.*.tmp"):
        pid = folder.name.split(".")[-3]
        if pid.isdecimal() and not _runs(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def existing_part(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    return next(one for one in (path, *path.parents) if one.exists())


def now_text() -> str:
    """This moment in UTC, to the second, as ISO 8601 has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
