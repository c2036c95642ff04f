"""Questions from elsewhere, instead of generated ones or beside them (``sdg.import_from``).

Told apart by what lies there: plain JSONL and BEIR folders (:mod:`embed_pipeline.sdg.exchange.own`), the reference
recipe's SDG records (:mod:`embed_pipeline.sdg.exchange.sdg_records`), and training data, which mostly has negatives
(:mod:`embed_pipeline.sdg.exchange.training_data`).
"""

from pathlib import Path

import polars as pl

from embed_pipeline.errors import InputError
from embed_pipeline.files import remembered_sha256, sha256_json
from embed_pipeline.formats import sdg_records
from embed_pipeline.formats.beir import QUERIES
from embed_pipeline.formats.rows import SUFFIXES
from embed_pipeline.formats.training_files import text_files, training_files
from embed_pipeline.sdg.candidates import set_aside_frame
from embed_pipeline.sdg.exchange.cut_rows import CutRows
from embed_pipeline.sdg.exchange.own import QRELS, own_fingerprint, own_questions
from embed_pipeline.sdg.exchange.sdg_records import Imported, recipe_questions
from embed_pipeline.sdg.exchange.training_data import training_questions

__all__ = ["Imported", "import_fingerprint", "import_questions", "read_questions"]


def read_questions(path: Path, passages: pl.DataFrame, documents: pl.DataFrame, cut_rows: bool = False) -> Imported:
    """Read questions as candidates.

    Args:
        path: a .jsonl file or a BEIR folder of one's own; or the reference recipe's SDG records: a .jsonl,
            .json or .parquet file, a folder of one of these, or their generation_result.json; or training data
            (see :mod:`embed_pipeline.formats.training_files`), a file or a folder.
        passages: :class:`embed_pipeline.tables.Passages`.
        documents: :class:`embed_pipeline.tables.Documents`.
        cut_rows: the documents are rows, the long ones cut into passages (``corpus.split_long_rows``): what names or
            holds a whole row is about the piece that answers, see :mod:`embed_pipeline.sdg.exchange.cut_rows`.

    Returns:
        The candidates, and what had to be set aside. A mistake in questions of one's own is an error instead:
        they can be corrected, while records are the output of another program.

    Raises:
        InputError: the file is missing, of no known form, broken, or nothing in it can be used.
    """
    path = _existing(path)
    rows = CutRows(passages) if cut_rows else None
    training = _training_files(path)
    if training:
        return training_questions(training, passages, documents, rows)
    if _is_recipe(path):
        return recipe_questions(path, passages, documents)
    return Imported(own_questions(path, passages, documents, rows), set_aside_frame([]))


def import_questions(
    path: Path, passages: pl.DataFrame, documents: pl.DataFrame, cut_rows: bool = False
) -> pl.DataFrame:
    """The candidates of :func:`read_questions` alone."""
    return read_questions(path, passages, documents, cut_rows).candidates


def import_fingerprint(path: Path) -> str:
    """Hash of everything :func:`read_questions` reads at ``path``.

    Raises:
        InputError: nothing of a known form lies there, or it cannot be read.
    """
    path = _existing(path)
    try:
        return _fingerprint(path)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be read: {error.strerror or error}.") from error


def training_files_of(path: Path) -> list[Path]:
    """The files of training data at ``path``; none where questions of another form lie there.

    Raises:
        InputError: nothing of a known form lies there, or it cannot be read.
    """
    return _training_files(_existing(path))


def _fingerprint(path: Path) -> str:
    training = _training_files(path)
    if training:
        return sha256_json([remembered_sha256(file) for file in dict.fromkeys([*training, *text_files(training)])])
    if not _is_recipe(path):
        return own_fingerprint(path)
    files = sdg_records.record_files(path) if path.is_dir() else [path]
    return sha256_json([remembered_sha256(file) for file in files])


def _existing(path: Path) -> Path:
    """The path itself; for a generation_result.json the folder it describes."""
    if path.name == sdg_records.RESULT and path.is_file():
        return path.parent
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; correct sdg.import_from.")
    if path.is_file() and path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: only .jsonl files, BEIR folders, the reference recipe's SDG records and training data (.jsonl, "
            ".json, .parquet) can be imported; convert it to one of them."
        )
    return path


def _training_files(path: Path) -> list[Path]:
    return [] if _is_beir(path) else training_files(path)


def _is_beir(path: Path) -> bool:
    return any((path / name).exists() for name in (QUERIES, QRELS))


def _is_recipe(path: Path) -> bool:
    if path.is_dir():
        return not _is_beir(path) and sdg_records.holds_records(path)
    return path.suffix.lower() != ".jsonl" or sdg_records.holds_records(path)
