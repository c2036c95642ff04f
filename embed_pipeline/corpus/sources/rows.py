"""Rows of tables as documents (``corpus.columns``), which are cut into passages like others."""

from collections.abc import Mapping

import polars as pl

from embed_pipeline.corpus.parsers.blocks import clean_text, one_line
from embed_pipeline.corpus.parsers.file import DocumentRow, Skipped, document_row
from embed_pipeline.corpus.sources.detect import CorpusSource, unchanged_names
from embed_pipeline.errors import InputError
from embed_pipeline.formats.row_files import ID, RowDocument, read_row_documents
from embed_pipeline.progress import track
from embed_pipeline.tables import Metadata, empty, validate


def read_row_corpus(
    source: CorpusSource, sha256_of: dict[str, str], columns: Mapping[str, str]
) -> tuple[list[DocumentRow], list[Skipped], pl.DataFrame]:
    """The documents of the tables, the rows that give none, and what else they tell.

    Returns:
        The third is a :class:`~embed_pipeline.tables.Metadata`. Without a column of ids, rows with the same title and
        text are one document, and the others are skipped by name.

    Raises:
        InputError: a row is malformed, or two have the same id; names file and line.
    """
    names = unchanged_names(source, sha256_of)
    rows, skipped, told = [], [], []
    places: dict[str, str] = {}
    for row in track(read_row_documents(source.files, columns), "read the documents"):
        name, text = names[row.file], clean_text(row.text).strip()
        known = places.setdefault(row.doc_id, row.where)
        if known != row.where:
            skipped.append(_repeated(row, known, columns))
        elif text:
            rows.append(document_row(row.doc_id, name, one_line(row.title), text, sha256_of[name]))
            told += [(row.doc_id, *pair) for pair in row.told]
        else:
            skipped.append(Skipped(row.doc_id, f"{row.where} has no text"))
    return rows, skipped, validate(Metadata, pl.DataFrame(told, schema=empty(Metadata).schema, orient="row"))


def _repeated(row: RowDocument, known: str, columns: Mapping[str, str]) -> Skipped:
    if ID in columns:
        raise InputError(f"{row.where}: the id {row.doc_id!r} stands already in {known}; give every row its own.")
    return Skipped(row.doc_id, f"{row.where} repeats {known}")
