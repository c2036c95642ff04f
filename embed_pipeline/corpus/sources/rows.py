"""Rows of tables as documents (``corpus.columns``), which are cut into passages like others."""

from collections.abc import Mapping

from embed_pipeline.corpus.parsers.blocks import clean_text, one_line
from embed_pipeline.corpus.parsers.file import Skipped, document_row
from embed_pipeline.corpus.sources.detect import CorpusSource, unchanged_names
from embed_pipeline.corpus.sources.gathered import Gathered
from embed_pipeline.errors import InputError
from embed_pipeline.formats.row_files import ID, RowDocument, read_row_documents
from embed_pipeline.progress import track


def read_row_corpus(source: CorpusSource, sha256_of: dict[str, str], columns: Mapping[str, str]) -> Gathered:
    """The documents of the tables, the rows that give none, and what else they tell.

    Without a column of ids, rows with the same title and text are one document, and the others are skipped by name.

    Raises:
        InputError: a row is malformed, or two have the same id; names file and line.
    """
    names = unchanged_names(source, sha256_of)
    found = Gathered()
    places: dict[str, str] = {}
    for row in track(read_row_documents(source.files, columns), "read the documents"):
        name, text = names[row.file], clean_text(row.text).strip()
        known = places.setdefault(row.doc_id, row.where)
        if known != row.where:
            found.skipped.append(_repeated(row, known, columns))
        elif text:
            found.add_row(document_row(row.doc_id, name, one_line(row.title), text, sha256_of[name]), row.told)
        else:
            found.skipped.append(Skipped(row.doc_id, f"{row.where} has no text"))
    return found


def _repeated(row: RowDocument, known: str, columns: Mapping[str, str]) -> Skipped:
    if ID in columns:
        raise InputError(f"{row.where}: the id {row.doc_id!r} stands already in {known}; give every row its own.")
    return Skipped(row.doc_id, f"{row.where} repeats {known}")
