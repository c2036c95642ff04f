"""A folder of documents: every file that can be read is one."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from embed_pipeline.corpus.parsers.file import LOSSES, DocumentRow, FileBatch, Skipped
from embed_pipeline.corpus.parsers.registry import EXTRA, HOW_TO_INSTALL, is_installed
from embed_pipeline.corpus.parsers.workers import default_processes, parse_batches
from embed_pipeline.errors import SettingsError
from embed_pipeline.progress import task
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.store.kept import Kept, code_version

Item = TypeVar("Item")
FileOf = tuple[str, str, int]
"""Path, SHA-256 and bytes, as the manifest has them."""
Read = DocumentRow | Skipped
_FILES_AT_ONCE = 16
_STORED_AT_ONCE = 256
_LOOKED_UP = 1000
_WORTH_PROCESSES = 8_000_000  # bytes; fewer are read before the other processes would have started
_LARGE = 16_000_000
"""Bytes of a file that is read in this process: what another one made of it would be in memory several times."""
_LARGEST_KEPT = 20_000_000
"""Characters of a text that is kept."""
_OWN = ("doc_id", "path", "group_id", "sha256")
"""What of a row is not of the file's content."""


class ReadFiles(NamedTuple):
    """Rows of documents, the files that give none, and rows of what the documents lost."""

    rows: list[DocumentRow]
    skipped: list[Skipped]
    dropped: list[dict[str, Any]]


def read_files(root: Path, files: Sequence[FileOf], settings: CorpusSettings, kept: Kept | None = None) -> ReadFiles:
    """The documents of a folder, and the files that give none; many files are read in several processes.

    Args:
        files: path, SHA-256 and bytes of each, as the manifest has them.
        kept: where it is kept what was made of a file's bytes, so that the file is not parsed again; None: nowhere.

    Raises:
        SettingsError: ``ocr`` is set and its package is not installed.
    """
    if settings.ocr and not is_installed("rapidocr"):
        raise SettingsError(f"corpus.ocr needs the extra {EXTRA}: {HOW_TO_INSTALL}, or set corpus.ocr to false.")
    rows: list[DocumentRow] = []
    skipped: list[Skipped] = []
    dropped: list[dict[str, Any]] = []
    for one in _read(root, files, settings, kept):
        if isinstance(one, Skipped):
            skipped.append(one)
        else:
            dropped += [{"doc_id": one["doc_id"], **loss} for loss in one.pop(LOSSES)]
            rows.append(one)
    return ReadFiles(rows, skipped, dropped)


def _read(root: Path, files: Sequence[FileOf], settings: CorpusSettings, kept: Kept | None) -> list[Read]:
    """What every file gives, in their order."""
    found: dict[str, Read] = {}
    with task("read the documents", len(files)) as running:
        if kept is not None:
            for part in _batched(files, _LOOKED_UP):
                known = _known(part, settings, kept)
                found |= known
                running.advance(len(known))
        missing = [file for file in files if file[0] not in found]
        for some in _batched(_parsed(root, missing, settings), _STORED_AT_ONCE):
            if kept is not None:
                _keep(missing, some, settings, kept)
            found |= {_path_of(one): one for one in some}
            running.advance(len(some))
    return [found[path] for path, *_ in files]


def _parsed(root: Path, files: Sequence[FileOf], settings: CorpusSettings) -> Iterator[Read]:
    small = [file for file in files if file[2] < _LARGE]
    few = sum(size for *_, size in small) < _WORTH_PROCESSES
    processes = settings.processes or (1 if few else default_processes())
    for some, at_once in ((small, processes), ([file for file in files if file[2] >= _LARGE], 1)):
        for part in parse_batches(_batches(root, some, settings), at_once):
            yield from part


def _batches(root: Path, files: Sequence[FileOf], settings: CorpusSettings) -> Iterator[FileBatch]:
    for part in _batched(files, _FILES_AT_ONCE):
        yield FileBatch(root, [(path, sha256) for path, sha256, _ in part], settings.min_document_chars, settings.ocr)


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while part := list(islice(remaining, size)):
        yield part


def _path_of(one: Read) -> str:
    return one.path if isinstance(one, Skipped) else str(one["path"])


# -- what is kept ----------------------------------------------------------------------------------------


def _key(file: FileOf, settings: CorpusSettings) -> bytes:
    """Of the file's bytes and its name, which tells format and title, and of everything that reads it."""
    path, sha256, _ = file
    read_with = json.dumps([settings.min_document_chars, settings.ocr])
    return Kept.key(code_version("corpus/parsers", "text"), path.rpartition("/")[2], sha256, read_with)


def _known(files: Sequence[FileOf], settings: CorpusSettings, kept: Kept) -> dict[str, Read]:
    keys = {file[0]: _key(file, settings) for file in files}
    values = kept.get_json(keys.values())
    return {path: _as_read(path, sha256, values[keys[path]]) for path, sha256, _ in files if keys[path] in values}


def _as_read(path: str, sha256: str, value: Any) -> Read:
    if isinstance(value, str):
        return Skipped(path, value)
    return {"doc_id": path, "path": path, "group_id": path, "sha256": sha256, **value}


def _keep(files: Sequence[FileOf], read: Sequence[Read], settings: CorpusSettings, kept: Kept) -> None:
    by_path = {file[0]: file for file in files}
    kept.put_json(
        {
            _key(by_path[_path_of(one)], settings): _content(one)
            for one in read
            if isinstance(one, Skipped) or _is_kept(one)
        }
    )


def _is_kept(row: DocumentRow) -> bool:
    return len(row["text"]) <= _LARGEST_KEPT


def _content(one: Read) -> Any:
    return one.reason if isinstance(one, Skipped) else {name: one[name] for name in one if name not in _OWN}
