"""Every file of the corpus folder: what is read, what is skipped and why."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from embed_pipeline.corpus.parsers.encoding import is_binary
from embed_pipeline.corpus.parsers.registry import HOW_TO_INSTALL, SUPPORTED, format_of
from embed_pipeline.corpus.selection import (
    EVERYTHING,
    NOT_INCLUDED,
    NOT_SAMPLED,
    Selection,
    fitting_nothing,
    selection_of,
)
from embed_pipeline.corpus.walk import OUTSIDE, Found, found_in, look_at, open_source, unreadable
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_bytes, sha256_file, sha256_json
from embed_pipeline.progress import track
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import CorpusManifest, empty, validate

FileRow = tuple[str, int, str, str | None]
"""Path, bytes, hash, and why it is not read."""
_SHOWN_REASONS = 5
_SHOWN_PATHS = 3
NOT_ASKED = tuple(set(OUTSIDE) - {NOT_INCLUDED, NOT_SAMPLED})
"""Reasons of what ``corpus.include`` was not asked about."""
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
        InputError: the path is missing, a file without training data, empty, or holds nothing that can be read; or
            ``include`` fits nothing.
    """
    selection = selection_of(settings)
    source = open_source(root, selection)
    limit = int(settings.max_file_mb * 1_000_000) if source.kind == "files" else None
    rows = [file_row(entry, limit) for entry in track(found_in(source, selection), "look through the corpus folder")]
    return manifest_of(rows, root, settings.include)


def manifest_of(rows: Sequence[FileRow], root: Path | str, patterns: Sequence[str] = ()) -> pl.DataFrame:
    """The listing of a corpus.

    Args:
        rows: of every file.
        root: the corpus, for errors.
        patterns: of ``corpus.include``, by which the files were chosen.

    Raises:
        InputError: there is no row, or nothing is read.
    """
    if not rows:
        raise InputError(f"{root}: the corpus folder is empty. Put documents into it ({SUPPORTED}).")
    if all(reason is not None for *_, reason in rows):
        _refuse_nothing_included(root, rows, patterns)
        first = sorted(rows, key=lambda row: row[3] in OUTSIDE)[:_SHOWN_REASONS]
        reasons = "; ".join(f"{path}: {reason}" for path, *_, reason in first)
        more = f"; and {len(rows) - _SHOWN_REASONS} more" if len(rows) > _SHOWN_REASONS else ""
        raise InputError(f"{root}: no file in the corpus folder can be read ({reasons}{more}). Supported: {SUPPORTED}.")
    listed = [(*row[:3], "read" if row[3] is None else "skipped", row[3]) for row in rows]
    frame = pl.DataFrame(listed, schema=empty(CorpusManifest).schema, orient="row")
    return validate(CorpusManifest, frame, str(root)).sort("path")


def include_warning(manifest: pl.DataFrame, settings: CorpusSettings) -> str | None:
    """What to say where a pattern of ``corpus.include`` fits no file beside others that do; else None.

    Args:
        manifest: a :class:`~embed_pipeline.tables.CorpusManifest`.
    """
    paths = _looked_at(manifest.select("path", "reason").iter_rows())
    useless = fitting_nothing(settings.include, paths)
    if not useless:
        return None
    return f"corpus.include: {_quoted(useless)} {_fits(useless)} none of {_named(paths)}; correct it or take it out"


def _refuse_nothing_included(root: Path | str, rows: Sequence[FileRow], patterns: Sequence[str]) -> None:
    """Where there are files, and ``corpus.include`` takes none of them."""
    paths = _looked_at((path, reason) for path, *_, reason in rows)
    if not patterns or not paths or any(reason not in OUTSIDE for *_, reason in rows):
        return
    useless = fitting_nothing(patterns, paths)
    told = f"{_quoted(useless)} {_fits(useless)} none of" if useless else "what fits is taken back again, of"
    raise InputError(
        f"{root}: corpus.include leaves no file: {told} {_named(paths)}. Patterns are those of .gitignore, relative to "
        "this folder; what is hidden or excluded is not looked at."
    )


def _looked_at(rows: Iterable[tuple[str, str | None]]) -> list[str]:
    """The files that ``corpus.include`` was asked about."""
    return [path for path, reason in rows if reason not in NOT_ASKED]


def _quoted(patterns: Sequence[str]) -> str:
    return ", ".join(map(repr, patterns))


def _fits(patterns: Sequence[str]) -> str:
    return "fits" if len(patterns) == 1 else "fit"


def _named(paths: Sequence[str]) -> str:
    """How many they are, and the first of them."""
    more = ", …" if len(paths) > _SHOWN_PATHS else ""
    count = "the 1 file" if len(paths) == 1 else f"the {len(paths):,} files"
    return f"{count} looked at ({', '.join(paths[:_SHOWN_PATHS])}{more})"


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


def file_row(entry: Found, limit: int | None) -> tuple[str, int, str, str | None]:
    """Path, bytes, hash, and why it is not read; ``limit`` in bytes, None for data sets."""
    size, digest, reason = 0, "", entry.reason
    if reason is None:
        try:
            size, digest, reason = _looked_into(entry, limit)
        except OSError as error:
            reason = unreadable(error)
    return entry.path, size, digest, reason


def _looked_into(entry: Found, limit: int | None) -> tuple[int, str, str | None]:
    """Bytes and hash of a file, and why it is not parsed, None when it is; what is not large is read once.

    Args:
        limit: in bytes; None for BEIR, SDG records and other data of a form of its own.
    """
    size = entry.file.stat().st_size
    if size > _LARGE:
        digest = sha256_file(entry.file)
        reason = name_reason(entry.path, size, limit)
        if reason is None and _is_text(entry.path, limit) and is_binary(entry.file.read_bytes()):
            reason = BINARY
        return size, digest, reason
    data = _bytes_of(entry.file)
    reason = name_reason(entry.path, len(data), limit)
    if reason is None and _is_text(entry.path, limit) and is_binary(data):
        reason = BINARY
    return len(data), sha256_bytes(data), reason


def _bytes_of(file: Path) -> bytes:
    return file.read_bytes()


def _is_text(path: str, limit: int | None) -> bool:
    chosen = format_of(path)
    return limit is not None and chosen is not None and chosen.is_text


def name_reason(path: str, size: int | None, limit: int | None) -> str | None:
    """Why a file is not parsed, as far as its name and size tell.

    Args:
        size: in bytes; None where it is not known.
        limit: the largest size; None for data sets, of which every file is read.
    """
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
    if size is not None and size > limit:
        return f"larger than corpus.max_file_mb ({size / 1e6:.1f} MB > {limit / 1e6:g} MB)"
    return None
