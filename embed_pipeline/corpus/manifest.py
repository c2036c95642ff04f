"""Every file of the corpus folder: what is read, what is skipped and why.

Links are never followed, special files (pipes, sockets) never opened, hidden files and folders never read.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from embed_pipeline.corpus.parsers.registry import SUPPORTED, format_of
from embed_pipeline.corpus.sources.detect import CorpusSource, corpus_source, name_below
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_file, sha256_json
from embed_pipeline.progress import track
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import CorpusManifest, validate

_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
_HIDDEN = ("hidden file", "hidden folder")
_SHOWN_REASONS = 5


@dataclass(frozen=True)
class _Found:
    """One entry below the corpus folder; ``reason`` is set when it is not a file to look into."""

    path: str
    absolute: Path
    reason: str | None = None


def scan_corpus(root: Path, settings: CorpusSettings) -> pl.DataFrame:
    """List the corpus folder.

    Args:
        root: folder of documents, a BEIR folder, a folder of SDG records, or training data (file or folder); of a
            BEIR folder only corpus.jsonl is listed, of records and training data only their files, of any size.
        settings: ``max_file_mb`` is used.

    Returns:
        A :class:`~embed_pipeline.tables.CorpusManifest`, sorted by path. Links, special, hidden and
        unreadable files have an empty sha256.

    Raises:
        InputError: the path is missing, a file without training data, empty, or holds nothing that can be read.
    """
    source = _source(root)
    entries = list(_entries(source))
    limit = int(settings.max_file_mb * 1_000_000) if source.kind == "files" else None
    rows = [_row(entry, limit) for entry in track(entries, "look through the corpus folder")]
    if not rows:
        raise InputError(f"{root}: the corpus folder is empty. Put documents into it ({SUPPORTED}).")
    if not any(row["status"] == "read" for row in rows):
        reasons = "; ".join(f"{row['path']}: {row['reason']}" for row in rows[:_SHOWN_REASONS])
        more = f"; and {len(rows) - _SHOWN_REASONS} more" if len(rows) > _SHOWN_REASONS else ""
        raise InputError(f"{root}: no file in the corpus folder can be read ({reasons}{more}). Supported: {SUPPORTED}.")
    return validate(CorpusManifest, pl.DataFrame(rows, infer_schema_length=None), str(root)).sort("path")


def corpus_fingerprint(root: Path) -> str:
    """Hash over the relative paths and the contents of the files that are not hidden.

    Neither touching a file nor moving the folder changes it. Of a BEIR folder only corpus.jsonl counts, of SDG
    records only their files, of training data only those that hold the texts.

    Raises:
        InputError: the path is missing, or a file without training data.
    """
    entries = [entry for entry in _entries(_source(root)) if entry.reason not in _HIDDEN]
    return sha256_json(sorted((entry.path, entry.reason or _hash_or_reason(entry)) for entry in entries))


def _hash_or_reason(entry: _Found) -> str:
    try:
        return sha256_file(entry.absolute)
    except OSError as error:
        return _unreadable(error)


def _source(root: Path) -> CorpusSource:
    if not root.exists():
        raise InputError(f"{root}: there is no such corpus folder. Set corpus.path to a folder of documents.")
    return corpus_source(root)


def _entries(source: CorpusSource) -> Iterator[_Found]:
    """Everything below the root in the order of the paths; of data with a form of its own only its files."""
    root = source.root
    if source.kind != "files":
        return iter([_Found(name_below(file, root), file) for file in source.files])
    if not root.is_dir():
        raise InputError(
            f"{root}: the corpus must be a folder, but this is a file (and no training data). "
            "Set corpus.path to its folder."
        )
    return iter(sorted(_walk(root.resolve(), root.resolve()), key=lambda entry: entry.path))


def _walk(folder: Path, root: Path) -> Iterator[_Found]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield _Found(_relative(folder, root), folder, _unreadable(error))
        return
    for entry in entries:
        path = Path(entry.path)
        reason = _not_a_document(entry, root)
        if reason is None and entry.is_dir(follow_symlinks=False):
            yield from _walk(path, root)
        else:
            yield _Found(_relative(path, root), path, reason)


def _not_a_document(entry: os.DirEntry[str], root: Path) -> str | None:
    """Why an entry is not looked into, judged without opening it."""
    is_folder = entry.is_dir(follow_symlinks=False)
    if entry.name.startswith("."):
        return "hidden folder" if is_folder else "hidden file"
    if entry.is_symlink():
        return _link_reason(Path(entry.path), root)
    if not is_folder and not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
        return "not a regular file"
    if not _is_utf8(entry.name):
        return "the file name is not valid UTF-8; rename it"
    if entry.name.startswith("~$"):
        return "lock file of an office program"
    return None


def _link_reason(link: Path, root: Path) -> str:
    try:
        target = link.resolve(strict=True)
    except FileNotFoundError:
        return "broken link"
    except (OSError, RuntimeError):  # a loop: OSError from 3.13 on, RuntimeError before
        return "link that leads back to itself"
    if not target.is_relative_to(root):
        return "link that leaves the corpus folder"
    return f"link to {_relative(target, root)}"


def _row(entry: _Found, limit: int | None) -> dict[str, object]:
    size, digest, reason = 0, "", entry.reason
    if reason is None:
        try:
            size, digest = entry.absolute.stat().st_size, sha256_file(entry.absolute)
            reason = _content_reason(entry, size, limit)
        except OSError as error:
            size, digest, reason = 0, "", _unreadable(error)
    status = "read" if reason is None else "skipped"
    return {"path": entry.path, "bytes": size, "sha256": digest, "status": status, "reason": reason}


def _content_reason(entry: _Found, size: int, limit: int | None) -> str | None:
    """Why a readable file is not parsed, None when it is. ``limit`` in bytes; None for BEIR and SDG records."""
    if size == 0:
        return "empty file"
    if limit is None:
        return None
    chosen = format_of(entry.path)
    if chosen is None:
        suffix = Path(entry.path).suffix
        return f"unsupported format {suffix}" if suffix else "no file suffix"
    if size > limit:
        return f"larger than corpus.max_file_mb ({size / 1e6:.1f} MB > {limit / 1e6:g} MB)"
    if chosen.is_text and _is_binary(entry.absolute.read_bytes()):
        return "binary content in a text file"
    return None


def _is_binary(data: bytes) -> bool:
    return b"\0" in data and not data.startswith(_BYTE_ORDER_MARKS)


def _relative(path: Path, root: Path) -> str:
    """Relative POSIX path, undecodable bytes escaped."""
    return path.relative_to(root).as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror or type(error).__name__}"
