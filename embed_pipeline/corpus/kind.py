"""What a corpus folder is: documents, a BEIR folder, or the reference recipe's SDG records."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from embed_pipeline.corpus.formats import BEIR_CORPUS, kind_of
from embed_pipeline.recipe_records import SUFFIXES, holds_records, record_files

CorpusKind = Literal["files", "beir", "records"]


def corpus_kind(root: Path) -> CorpusKind:
    """The kind of a corpus folder; a folder that does not exist is one of documents.

    It is a BEIR folder when it has a corpus.jsonl. It holds records when a .jsonl, .json or .parquet file in it
    or in its ``data/`` is one of SDG records and there is no document but a README.

    Raises:
        InputError: the record files are of several kinds, or one cannot be read.
    """
    if (root / BEIR_CORPUS).is_file():
        return "beir"
    candidates = [path for folder in (root, root / "data") for path in _files(folder)]
    if not any(path.suffix.lower() in SUFFIXES for path in candidates) or _has_documents(root):
        return "files"
    return "records" if any(holds_records(path) for path in candidates) else "files"


def data_files(root: Path, kind: CorpusKind) -> list[Path]:
    """The files that a BEIR folder's or records' documents are read from.

    Raises:
        InputError: see :func:`~embed_pipeline.recipe_records.record_files`.
    """
    return [root / BEIR_CORPUS] if kind == "beir" else record_files(root)


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
