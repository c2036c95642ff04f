"""A corpus folder to documents: what cannot be read is skipped by name; near-duplicates become groups."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

from embed_pipeline.corpus.dropped import dropped_lines
from embed_pipeline.corpus.kept import KeptCorpus
from embed_pipeline.corpus.near_duplicates import group_documents
from embed_pipeline.corpus.parsers.file import Skipped
from embed_pipeline.corpus.sources.beir import read_beir
from embed_pipeline.corpus.sources.detect import CorpusKind, corpus_source
from embed_pipeline.corpus.sources.files import read_files
from embed_pipeline.corpus.sources.gathered import Gathered
from embed_pipeline.corpus.sources.rows import read_row_corpus
from embed_pipeline.corpus.sources.sdg_records import read_record_documents
from embed_pipeline.corpus.sources.training_data import read_training
from embed_pipeline.errors import InputError
from embed_pipeline.progress import say
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import Documents, Dropped, Metadata, empty, validate, with_column

_SHOWN = 20
_LARGE = 4_000_000
"""Characters of a text."""


@dataclass(frozen=True)
class ParsedCorpus:
    """What a corpus holds.

    Attributes:
        documents: :class:`~embed_pipeline.tables.Documents`.
        skipped: (path or id, reason) of what gave no document.
        kind: what it is; of a BEIR folder or training data every document is one passage.
        chunks: :class:`~embed_pipeline.tables.Chunks` of SDG records, which are the passages; else None.
        dropped: :class:`~embed_pipeline.tables.Dropped`: what of the files is not in the documents.
        metadata: :class:`~embed_pipeline.tables.Metadata`: what is told of the documents.
    """

    documents: pl.DataFrame
    skipped: pl.DataFrame
    kind: CorpusKind = "files"
    chunks: pl.DataFrame | None = None
    dropped: pl.DataFrame = field(default_factory=lambda: empty(Dropped))
    metadata: pl.DataFrame = field(default_factory=lambda: empty(Metadata))


def parse_corpus(
    root: Path, manifest: pl.DataFrame, settings: CorpusSettings, kept: KeptCorpus | None = None
) -> ParsedCorpus:
    """The same as :func:`read_documents`, each document a group of its own; where all were skipped there is none.

    Raises:
        InputError: a file changed since the manifest was made, or a BEIR row, SDG record or row of training data is
            malformed.
    """
    files = manifest.filter(pl.col("status") == "read").select("path", "sha256", "bytes").rows()
    source, chunks = corpus_source(root, bool(settings.columns)), None
    hashes = {path: sha256 for path, sha256, _ in files}
    if source.kind == "files":
        found = read_files(root, files, settings, kept.documents if kept else None)
    elif source.kind == "beir":
        found = read_beir(source.files[0], files[0][1])
    elif source.kind == "training":
        found = Gathered(*read_training(source, hashes))
    elif source.kind == "rows":
        found = read_row_corpus(source, hashes, settings.columns)
    else:
        rows, skipped, chunks = read_record_documents(source, hashes)
        found = Gathered(rows, skipped)
        del rows
    frame = _frame(found.rows)
    found.rows.clear()  # the texts are in memory once
    documents = validate(Documents, frame, str(root))
    del frame
    skipped_frame = pl.DataFrame(found.skipped, schema={"path": pl.String, "reason": pl.String}, orient="row")
    dropped, metadata = _table(Dropped, found.dropped, root), _table(Metadata, found.told, root)
    return ParsedCorpus(documents, skipped_frame, source.kind, chunks, dropped, metadata)


def _table(schema: type[dy.Schema], rows: Sequence[Any], root: Path) -> pl.DataFrame:
    return validate(schema, pl.DataFrame(rows, schema=empty(schema).schema, orient="row"), str(root))


def read_documents(
    root: Path, manifest: pl.DataFrame, settings: CorpusSettings, kept: KeptCorpus | None = None
) -> ParsedCorpus:
    """Extract the text of every file that the manifest marks as read, and tell what is not in it.

    Args:
        root: the folder the manifest was made of.
        manifest: a :class:`~embed_pipeline.tables.CorpusManifest`.
        settings: ``min_document_chars`` is used, but only for a folder of documents; BEIR rows, the documents of SDG
            records, the texts of training data and the rows of tables (``columns``) are all kept.
            ``near_duplicate_threshold`` decides the groups.
        kept: what was made of files before, so that only what is new is parsed; the result is the same without.

    Raises:
        InputError: every document had to be skipped; and see :func:`parse_corpus`.
    """
    parsed = parse_corpus(root, manifest, settings, kept)
    skipped = [Skipped(*row) for row in parsed.skipped.iter_rows()]
    _tell(skipped)
    if parsed.documents.is_empty():
        reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped[:5])
        raise InputError(f"{root}: no document of the corpus can be used ({reasons}).")
    for line in dropped_lines(parsed.documents, parsed.dropped):
        say(line)
    grouped = group_documents(parsed.documents, settings.near_duplicate_threshold, kept.fingerprints if kept else None)
    return replace(parsed, documents=grouped)


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """The rows as a table; their texts, which fill the memory, are taken out of them."""
    texts = _texts(rows)
    schema = empty(Documents).schema
    return with_column(pl.DataFrame([row | {"text": ""} for row in rows], schema=schema, orient="row"), texts)


def _texts(rows: list[dict[str, Any]]) -> pl.Series:
    """The texts taken out of the rows; a large one that is alone without the copies that polars makes of it."""
    if len(rows) != 1 or len(rows[0]["text"]) < _LARGE:
        return pl.Series("text", [row.pop("text") for row in rows], pl.String)
    import pyarrow

    data = rows[0].pop("text").encode("utf-8")
    ends = pyarrow.array([0, len(data)], pyarrow.int64()).buffers()[1]
    return pl.Series("text", pyarrow.LargeStringArray.from_buffers(1, ends, pyarrow.py_buffer(data)))


def _tell(skipped: Sequence[Skipped]) -> None:
    for path, reason in skipped[:_SHOWN]:
        say(f"skipped {path}: {reason}")
    if len(skipped) > _SHOWN:
        say(f"skipped {len(skipped) - _SHOWN} more documents")
