"""Every file of the corpus folder: what is read, what is skipped and why."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from embed_pipeline.corpus.parsers.encoding import is_binary
from embed_pipeline.corpus.parsers.registry import HOW_TO_INSTALL, SUPPORTED, format_of
from embed_pipeline.corpus.selection import EVERYTHING, Selection, selection_of
from embed_pipeline.corpus.walk import OUTSIDE, Found, found_in, look_at, open_source, unreadable
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_bytes, sha256_file, sha256_json
from embed_pipeline.progress import track
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import CorpusManifest, validate

_SHOWN_REASONS = 5
_LARGE = 16_000_000
"""Bytes; a larger file is hashed piece by piece."""
BINARY = "binary content in a text file"


def scan_corpus(root: Path, settings: CorpusSettings) -> pl.DataFrame:
    """List the corpus folder.

    Args:
        root: folder of documents, a BEIR folder, a folder of SDG records, or training data (file or folder); of a
            BEIR folder only corpus.jsonl is listed, of records and training data only their files, of any size.
        settings: ``max_file_mb``, ``include``, ``exclude``, ``sample`` and ``columns`` are used.

    Returns:
        A :class:`~embed_pipeline.tables.CorpusManifest`, sorted by path. Links, special, hidden and
        unreadable files have an empty sha256.

    Raises:
        InputError: the path is missing, a file without training data, empty, or holds nothing that can be read.
    """
    selection = selection_of(settings)
    source = open_source(root, selection)
    limit = int(settings.max_file_mb * 1_000_000) if source.kind == "files" else None
    rows = [_row(entry, limit) for entry in track(found_in(source, selection), "look through the corpus folder")]
    if not rows:
        raise InputError(f"{root}: the corpus folder is empty. Put documents into it ({SUPPORTED}).")
    if not any(row["status"] == "read" for row in rows):
        reasons = "; ".join(f"{row['path']}: {row['reason']}" for row in rows[:_SHOWN_REASONS])
        more = f"; and {len(rows) - _SHOWN_REASONS} more" if len(rows) > _SHOWN_REASONS else ""
        raise InputError(f"{root}: no file in the corpus folder can be read ({reasons}{more}). Supported: {SUPPORTED}.")
    return validate(CorpusManifest, pl.DataFrame(rows, infer_schema_length=None), str(root)).sort("path")


def corpus_fingerprint(root: Path, selection: Selection = EVERYTHING) -> str:
    """Hash over the relative paths and the contents of the files that belong to the corpus.

    Neither touching a file nor moving the folder changes it, nor what is hidden, left out or a home. Of a BEIR folder
    only corpus.jsonl counts, of SDG records only their files, of training data only those that hold the texts.

    Raises:
        InputError: the path is missing, or a file without training data.
    """
    return fingerprint_of((entry.path, entry.reason or _hash_or_reason(entry)) for entry in look_at(root, selection))


def fingerprint_of(contents: Iterable[tuple[str, str]]) -> str:
    """The fingerprint of a corpus by the path of each file and its hash, or the reason why there is none.

    A file whose format needs an extra counts as another one while that is missing: it is read once it is there.
    """
    return _fingerprint((path, content, _missing(path)) for path, content in contents)


def listed_fingerprint(manifest: pl.DataFrame) -> str:
    """The fingerprint of a corpus as it was when its manifest was made."""
    rows = manifest.select("path", "sha256", "reason").iter_rows()
    return _fingerprint(
        (path, digest or reason, reason is not None and reason.endswith(HOW_TO_INSTALL))
        for path, digest, reason in rows
        if reason not in OUTSIDE
    )


def _fingerprint(contents: Iterable[tuple[str, str, bool]]) -> str:
    """Of path, content, and whether a package to read it was missing; what needs none counts as it always did."""
    return sha256_json(
        sorted(
            (path, f"{content} read" if _has_package(path) and not missing else content)
            for path, content, missing in contents
        )
    )


def _has_package(path: str) -> bool:
    chosen = format_of(path)
    return chosen is not None and chosen.package is not None


def _missing(path: str) -> bool:
    chosen = format_of(path)
    return chosen is not None and chosen.needs is not None


def _hash_or_reason(entry: Found) -> str:
    try:
        return sha256_file(entry.file)
    except OSError as error:
        return unreadable(error)


def _row(entry: Found, limit: int | None) -> dict[str, object]:
    size, digest, reason = 0, "", entry.reason
    if reason is None:
        try:
            size, digest, reason = _looked_into(entry, limit)
        except OSError as error:
            reason = unreadable(error)
    status = "read" if reason is None else "skipped"
    return {"path": entry.path, "bytes": size, "sha256": digest, "status": status, "reason": reason}


def _looked_into(entry: Found, limit: int | None) -> tuple[int, str, str | None]:
    """Bytes and hash of a file, and why it is not parsed, None when it is; what is not large is read once.

    Args:
        limit: in bytes; None for BEIR, SDG records and other data of a form of its own.
    """
    size = entry.file.stat().st_size
    if size > _LARGE:
        digest = sha256_file(entry.file)
        reason = _reason(entry.path, size, limit)
        if reason is None and _is_text(entry.path, limit) and is_binary(entry.file.read_bytes()):
            reason = BINARY
        return size, digest, reason
    data = _bytes_of(entry.file)
    reason = _reason(entry.path, len(data), limit)
    if reason is None and _is_text(entry.path, limit) and is_binary(data):
        reason = BINARY
    return len(data), sha256_bytes(data), reason


def _bytes_of(file: Path) -> bytes:
    return file.read_bytes()


def _is_text(path: str, limit: int | None) -> bool:
    chosen = format_of(path)
    return limit is not None and chosen is not None and chosen.is_text


def _reason(path: str, size: int, limit: int | None) -> str | None:
    """Why a readable file is not parsed, by its name and size."""
    if size == 0:
        return "empty file"
    if limit is None:
        return None
    chosen = format_of(path)
    if chosen is None:
        suffix = Path(path).suffix
        return f"unsupported format {suffix}" if suffix else "no file suffix"
    if chosen.needs is not None:
        return chosen.needs
    if size > limit:
        return f"larger than corpus.max_file_mb ({size / 1e6:.1f} MB > {limit / 1e6:g} MB)"
    return None
