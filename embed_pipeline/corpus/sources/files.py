"""A folder of documents: every file that can be read is one."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from embed_pipeline.corpus.parsers.file import LOSSES, DocumentRow, FileBatch, Skipped
from embed_pipeline.corpus.parsers.registry import EXTRA, HOW_TO_INSTALL, is_installed
from embed_pipeline.corpus.parsers.workers import default_processes, parse_batches
from embed_pipeline.errors import SettingsError
from embed_pipeline.progress import task
from embed_pipeline.settings import CorpusSettings

_FILES_AT_ONCE = 16
_WORTH_PROCESSES = 8_000_000  # bytes; fewer are read before the other processes would have started


class ReadFiles(NamedTuple):
    """Rows of documents, the files that give none, and rows of what the documents lost."""

    rows: list[DocumentRow]
    skipped: list[Skipped]
    dropped: list[dict[str, Any]]


def read_files(root: Path, files: Sequence[tuple[str, str, int]], settings: CorpusSettings) -> ReadFiles:
    """The documents of a folder, and the files that give none; many files are read in several processes.

    Args:
        files: path, SHA-256 and bytes of each, as the manifest has them.

    Raises:
        SettingsError: ``ocr`` is set and its package is not installed.
    """
    if settings.ocr and not is_installed("rapidocr"):
        raise SettingsError(f"corpus.ocr needs the extra {EXTRA}: {HOW_TO_INSTALL}, or set corpus.ocr to false.")
    few = sum(size for *_, size in files) < _WORTH_PROCESSES
    processes = settings.processes or (1 if few else default_processes())
    read: list[DocumentRow | Skipped] = []
    with task("read the documents", len(files)) as running:
        for part in parse_batches(_batches(root, files, settings), processes):
            read.extend(part)
            running.advance(len(part))
    rows = [row for row in read if isinstance(row, dict)]
    dropped = [{"doc_id": row["doc_id"], **loss} for row in rows for loss in row.pop(LOSSES)]
    return ReadFiles(rows, [row for row in read if isinstance(row, Skipped)], dropped)


def _batches(root: Path, files: Sequence[tuple[str, str, int]], settings: CorpusSettings) -> Iterator[FileBatch]:
    for start in range(0, len(files), _FILES_AT_ONCE):
        part = files[start : start + _FILES_AT_ONCE]
        yield FileBatch(root, [(path, sha256) for path, sha256, _ in part], settings.min_document_chars, settings.ocr)
