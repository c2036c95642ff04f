"""A corpus folder to documents: what cannot be read is skipped by name; near-duplicates become groups."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from embed_pipeline.corpus.dropped import dropped_lines
from embed_pipeline.corpus.kept import KeptCorpus
from embed_pipeline.corpus.near_duplicates import group_documents
from embed_pipeline.corpus.parsers.file import Skipped
from embed_pipeline.corpus.sources.beir import read_beir
from embed_pipeline.corpus.sources.detect import CorpusKind, corpus_source
from embed_pipeline.corpus.sources.files import read_files
from embed_pipeline.corpus.sources.sdg_records import read_record_documents
from embed_pipeline.corpus.sources.training_data import read_training
from embed_pipeline.errors import InputError
from embed_pipeline.progress import say
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import Documents, Dropped, empty, validate

_SHOWN = 20


@dataclass(frozen=True)
class ParsedCorpus:
    """What a corpus holds.

    Attributes:
        documents: :class:`~embed_pipeline.tables.Documents`.
        skipped: (path or id, reason) of what gave no document.
        kind: what it is; of a BEIR folder or training data every document is one passage.
        chunks: :class:`~embed_pipeline.tables.Chunks` of SDG records, which are the passages; else None.
        dropped: :class:`~embed_pipeline.tables.Dropped`: what of the files is not in the documents.
    """

    documents: pl.DataFrame
    skipped: pl.DataFrame
    kind: CorpusKind = "files"
    chunks: pl.DataFrame | None = None
    dropped: pl.DataFrame = field(default_factory=lambda: empty(Dropped))


def read_documents(
    root: Path, manifest: pl.DataFrame, settings: CorpusSettings, kept: KeptCorpus | None = None
) -> ParsedCorpus:
    """Extract the text of every file that the manifest marks as read.

    Args:
        root: the folder the manifest was made of.
        manifest: a :class:`~embed_pipeline.tables.CorpusManifest`.
        settings: ``min_document_chars`` is used, but only for a folder of documents; BEIR rows, the
            documents of SDG records and the texts of training data are all kept. ``near_duplicate_threshold``
            decides the groups.
        kept: what was made of files before, so that only what is new is parsed; the result is the same without.

    Raises:
        InputError: a file changed since the manifest was made, every document had to be skipped, or a BEIR
            row, SDG record or row of training data is malformed.
    """
    files = manifest.filter(pl.col("status") == "read").select("path", "sha256", "bytes").rows()
    source, chunks = corpus_source(root), None
    lost: list[dict[str, Any]] = []
    if source.kind == "files":
        rows, skipped, lost = read_files(root, files, settings, kept.documents if kept else None)
    elif source.kind == "beir":
        rows, skipped = read_beir(root, files[0][1])
    elif source.kind == "training":
        rows, skipped = read_training(source, {path: sha256 for path, sha256, _ in files})
    else:
        rows, skipped, chunks = read_record_documents(source, {path: sha256 for path, sha256, _ in files})
    _tell(skipped)
    if not rows:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped[:5])
        raise InputError(f"{root}: no document of the corpus can be used ({reasons}).")
    documents = validate(Documents, pl.DataFrame(rows, schema=empty(Documents).schema, orient="row"), str(root))
    del rows  # the texts are in memory once
    skipped_frame = pl.DataFrame(skipped, schema={"path": pl.String, "reason": pl.String}, orient="row")
    dropped = validate(Dropped, pl.DataFrame(lost, schema=empty(Dropped).schema, orient="row"), str(root))
    for line in dropped_lines(documents, dropped):
        say(line)
    grouped = group_documents(documents, settings.near_duplicate_threshold, kept.fingerprints if kept else None)
    return ParsedCorpus(grouped, skipped_frame, source.kind, chunks, dropped)


def _tell(skipped: Sequence[Skipped]) -> None:
    for path, reason in skipped[:_SHOWN]:
        say(f"skipped {path}: {reason}")
    if len(skipped) > _SHOWN:
        say(f"skipped {len(skipped) - _SHOWN} more documents")
