"""A corpus folder to documents: what cannot be read is skipped by name; near-duplicates become groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from embed_pipeline.corpus.near_duplicates import group_documents
from embed_pipeline.corpus.parsers.file import FileBatch, Row, Skipped, document_row, read_unchanged
from embed_pipeline.corpus.parsers.registry import BEIR_CORPUS
from embed_pipeline.corpus.parsers.workers import default_processes, parse_batches
from embed_pipeline.corpus.sources.beir import parse_beir
from embed_pipeline.corpus.sources.detect import CorpusKind, corpus_kind, data_files, name_below
from embed_pipeline.corpus.sources.sdg_records import parse_records
from embed_pipeline.corpus.sources.training_data import parse_training
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_file
from embed_pipeline.progress import say, task, track
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import Chunks, Documents, validate

_SHOWN = 20
_FILES_AT_ONCE = 16
_WORTH_PROCESSES = 8_000_000  # bytes; fewer are read before the other processes would have started


@dataclass(frozen=True)
class ParsedCorpus:
    """What a corpus holds.

    Attributes:
        documents: :class:`~embed_pipeline.tables.Documents`.
        skipped: (path or id, reason) of what gave no document.
        kind: what it is; of a BEIR folder or training data every document is one passage.
        chunks: :class:`~embed_pipeline.tables.Chunks` of SDG records, which are the passages; else None.
    """

    documents: pl.DataFrame
    skipped: pl.DataFrame
    kind: CorpusKind = "files"
    chunks: pl.DataFrame | None = None


def read_documents(root: Path, manifest: pl.DataFrame, settings: CorpusSettings) -> ParsedCorpus:
    """Extract the text of every file that the manifest marks as read.

    Args:
        root: the folder the manifest was made of.
        manifest: a :class:`~embed_pipeline.tables.CorpusManifest`.
        settings: ``min_document_chars`` is used, but only for a folder of documents; BEIR rows, the
            documents of SDG records and the texts of training data are all kept. ``near_duplicate_threshold``
            decides the groups.

    Raises:
        InputError: a file changed since the manifest was made, every document had to be skipped, or a BEIR
            row, SDG record or row of training data is malformed.
    """
    files = manifest.filter(pl.col("status") == "read").select("path", "sha256", "bytes").rows()
    kind, chunks = corpus_kind(root), None
    if kind == "files":
        rows, skipped = _read_files(root, files, settings)
    elif kind == "beir":
        rows, skipped = _read_beir(root, files[0][1])
    elif kind == "training":
        rows, skipped = _read_training(root, {path: sha256 for path, sha256, _ in files})
    else:
        rows, skipped, chunks = _read_records(root, {path: sha256 for path, sha256, _ in files})
    _tell(skipped)
    if not rows:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped[:5])
        raise InputError(f"{root}: no document of the corpus can be used ({reasons}).")
    documents = validate(Documents, pl.DataFrame(rows, schema=_schema(Documents), orient="row"), str(root))
    skipped_frame = pl.DataFrame(skipped, schema={"path": pl.String, "reason": pl.String}, orient="row")
    return ParsedCorpus(group_documents(documents, settings.near_duplicate_threshold), skipped_frame, kind, chunks)


def _tell(skipped: Sequence[Skipped]) -> None:
    for path, reason in skipped[:_SHOWN]:
        say(f"skipped {path}: {reason}")
    if len(skipped) > _SHOWN:
        say(f"skipped {len(skipped) - _SHOWN} more documents")


def _schema(table: Any) -> dict[str, pl.DataType]:
    return {name: column.dtype for name, column in table.columns().items()}


def _read_files(
    root: Path, files: Sequence[tuple[str, str, int]], settings: CorpusSettings
) -> tuple[list[Row], list[Skipped]]:
    few = sum(size for *_, size in files) < _WORTH_PROCESSES
    processes = settings.processes or (1 if few else default_processes())
    found: list[Row | Skipped] = []
    with task("read the documents", len(files)) as running:
        for part in parse_batches(_batches(root, files, settings.min_document_chars), processes):
            found.extend(part)
            running.advance(len(part))
    return [row for row in found if isinstance(row, dict)], [row for row in found if isinstance(row, Skipped)]


def _batches(root: Path, files: Sequence[tuple[str, str, int]], least: int) -> Iterator[FileBatch]:
    for start in range(0, len(files), _FILES_AT_ONCE):
        part = files[start : start + _FILES_AT_ONCE]
        yield FileBatch(root, [(path, sha256) for path, sha256, _ in part], least)


def _read_beir(root: Path, sha256: str) -> tuple[list[Row], list[Skipped]]:
    path = root / BEIR_CORPUS
    found, empty = parse_beir(read_unchanged(path, sha256), path)
    rows = [
        document_row(row.doc_id, BEIR_CORPUS, row.title, row.text, sha256) for row in track(found, "read the documents")
    ]
    return rows, [Skipped(*each) for each in empty]


def _read_training(root: Path, sha256_of: dict[str, str]) -> tuple[list[Row], list[Skipped]]:
    names = _unchanged(root, "training", sha256_of)
    rows, skipped = [], []
    for doc_id, text, file in track(parse_training(root), "read the documents"):
        if text:
            rows.append(document_row(doc_id, names[file], "", text, sha256_of[names[file]]))
        else:
            skipped.append(Skipped(doc_id, "its text is empty"))
    return rows, skipped


def _unchanged(root: Path, kind: CorpusKind, sha256_of: dict[str, str]) -> dict[Path, str]:
    """The names of the data files, which must be as the manifest has them."""
    names = {file: name_below(file, root) for file in data_files(root, kind)}
    for file, name in names.items():
        if sha256_of.get(name) != sha256_file(file):
            raise InputError(f"{file}: changed while it was being read; run again.")
    return names


def _read_records(root: Path, sha256_of: dict[str, str]) -> tuple[list[Row], list[Skipped], pl.DataFrame]:
    names = _unchanged(root, "records", sha256_of)
    rows, skipped, chunks = [], [], []
    for found in track(parse_records(list(names)), "read the documents"):
        if not found.text:
            skipped.append(Skipped(found.doc_id, "its chunks have no text"))
            continue
        name = names[found.path]
        rows.append(document_row(found.doc_id, name, "", found.text, sha256_of[name]))
        chunks += [(found.doc_id, *chunk) for chunk in found.chunks]
    return rows, skipped, validate(Chunks, pl.DataFrame(chunks, schema=_schema(Chunks), orient="row"))
