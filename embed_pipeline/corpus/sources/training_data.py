"""Training data in other tools' formats: each of its texts is one document and one passage."""

from collections.abc import Sequence
from pathlib import Path

from embed_pipeline.corpus.parsers.blocks import clean_text
from embed_pipeline.corpus.parsers.file import DocumentRow, Skipped, document_row
from embed_pipeline.corpus.sources.detect import CorpusSource, unchanged_names
from embed_pipeline.formats.training_files import PassageText
from embed_pipeline.formats.training_questions import given_texts
from embed_pipeline.progress import track


def parse_training(files: Sequence[Path]) -> list[PassageText]:
    """Every text of the training data in ``files`` once, cleaned; ids are the file's, else the recipe's hash.

    Raises:
        InputError: one is malformed; names file and line.
    """
    return [given._replace(text=clean_text(given.text).strip()) for given in given_texts(files)]


def read_training(source: CorpusSource, sha256_of: dict[str, str]) -> tuple[list[DocumentRow], list[Skipped]]:
    """The texts of training data as documents, and those that are empty."""
    names = unchanged_names(source, sha256_of)
    rows, skipped = [], []
    for doc_id, text, file in track(parse_training(source.training), "read the documents"):
        if text:
            rows.append(document_row(doc_id, names[file], "", text, sha256_of[names[file]]))
        else:
            skipped.append(Skipped(doc_id, "its text is empty"))
    return rows, skipped
