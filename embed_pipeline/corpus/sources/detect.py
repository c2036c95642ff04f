"""What a corpus is: a folder of documents, a BEIR folder, the reference recipe's SDG records, or training data."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from embed_pipeline.corpus.parsers.registry import BEIR_CORPUS, kind_of
from embed_pipeline.errors import InputError
from embed_pipeline.formats.sdg_records import SUFFIXES, holds_records, record_files
from embed_pipeline.formats.training_files import text_files, training_file

CorpusKind = Literal["files", "beir", "records", "training"]


def corpus_kind(root: Path) -> CorpusKind:
    """The kind of a corpus folder; a folder that does not exist is one of documents.

    It is a BEIR folder when it has a corpus.jsonl. It holds records when a .jsonl, .json or .parquet file in it
    or in its ``data/`` is one of SDG records and there is no document but a README; training data likewise
    (:mod:`embed_pipeline.formats.training_files`), which may be named as a file, too.

    Raises:
        InputError: the record files are of several kinds, one cannot be read, or several could be meant.
    """
    if root.is_file():
        return "training" if training_file(root) is not None else "files"
    if (root / BEIR_CORPUS).is_file():
        return "beir"
    candidates = [path for folder in (root, root / "data") for path in _files(folder)]
    if not any(path.suffix.lower() in SUFFIXES for path in candidates) or _has_documents(root):
        return "files"
    if training_file(root) is not None:
        return "training"
    return "records" if any(holds_records(path) for path in candidates) else "files"


def data_files(root: Path, kind: CorpusKind) -> list[Path]:
    """The files that the documents of a BEIR folder, records or training data are read from.

    Raises:
        InputError: see :func:`~embed_pipeline.formats.sdg_records.record_files`; or a corpus of training data is
            missing.
    """
    if kind == "training":
        file = training_file(root)
        if file is None:
            raise InputError(f"{root}: there is no training data any more; run again.")
        return text_files(file)
    return [root / BEIR_CORPUS] if kind == "beir" else record_files(root)


def name_below(file: Path, root: Path) -> str:
    """Path of a file relative to the corpus, with ``/``; the corpus of training data may lie beside it."""
    return Path(os.path.relpath(file, root.parent if root.is_file() else root)).as_posix()


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))


def _has_documents(root: Path) -> bool:
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            is_readme = Path(folder) == root and name.lower().startswith("readme")
            if not name.startswith(".") and not is_readme and kind_of(name) is not None:
                return True
    return False
