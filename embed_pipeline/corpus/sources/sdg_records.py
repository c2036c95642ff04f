"""SDG records of the reference recipe: their documents, and their chunks as passages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from embed_pipeline.corpus.parsers.blocks import clean_text
from embed_pipeline.corpus.parsers.file import DocumentRow, Skipped, document_row
from embed_pipeline.corpus.sources.detect import CorpusSource, unchanged_names
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_text
from embed_pipeline.formats.sdg_records import ChunkPlace, chunk_places, read_records
from embed_pipeline.progress import track
from embed_pipeline.tables import Chunks, empty, validate

SEPARATOR = "\n\n"


@dataclass(frozen=True)
class RecordDocument:
    """A document: its chunks joined by a blank line, and (position, start, end) of each that has text."""

    doc_id: str
    path: Path
    text: str
    chunks: Sequence[tuple[int, int, int]]


def parse_records(files: Sequence[Path]) -> list[RecordDocument]:
    """Every document of the records once, in the order in which they first appear; some may have no text.

    Raises:
        InputError: a record is malformed, or a document has other chunks in another record; both are named.
    """
    found: list[RecordDocument] = []
    seen: dict[str, tuple[str, str]] = {}
    for file in files:
        for record in read_records(file, ["file_name", "chunks"]):
            for doc_id, places in _by_document(chunk_places(record)).items():
                document = _join(doc_id, file, places)
                content = sha256_text(f"{document.chunks}\n{document.text}")
                known, where = seen.setdefault(doc_id, ("", record.where))
                if not known:
                    seen[doc_id] = (content, record.where)
                    found.append(document)
                elif known != content:
                    raise InputError(
                        f"{record.where}: the document {doc_id!r} has other chunks than in {where}. "
                        "Every document must be cut the same way wherever it stands; remove one of the records."
                    )
    return found


def _by_document(places: Iterable[ChunkPlace]) -> dict[str, list[ChunkPlace]]:
    grouped: dict[str, list[ChunkPlace]] = {}
    for place in places:
        grouped.setdefault(place.doc_id, []).append(place)
    return grouped


def _join(doc_id: str, path: Path, places: Iterable[ChunkPlace]) -> RecordDocument:
    texts: list[str] = []
    chunks: list[tuple[int, int, int]] = []
    start = 0
    for place in places:
        text = clean_text(place.text).strip()
        if text:
            texts.append(text)
            chunks.append((place.position, start, start + len(text)))
            start += len(text) + len(SEPARATOR)
    return RecordDocument(doc_id, path, SEPARATOR.join(texts), chunks)


def read_record_documents(
    source: CorpusSource, sha256_of: dict[str, str]
) -> tuple[list[DocumentRow], list[Skipped], pl.DataFrame]:
    """The documents of SDG records, those without text, and the chunks (:class:`~embed_pipeline.tables.Chunks`)."""
    names = unchanged_names(source, sha256_of)
    rows, skipped, chunks = [], [], []
    for found in track(parse_records(list(names)), "read the documents"):
        if not found.text:
            skipped.append(Skipped(found.doc_id, "its chunks have no text"))
            continue
        name = names[found.path]
        rows.append(document_row(found.doc_id, name, "", found.text, sha256_of[name]))
        chunks += [(found.doc_id, *chunk) for chunk in found.chunks]
    return rows, skipped, validate(Chunks, pl.DataFrame(chunks, schema=empty(Chunks).schema, orient="row"))
