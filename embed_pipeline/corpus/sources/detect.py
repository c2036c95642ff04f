"""What a corpus is: a folder of documents, a BEIR folder, the reference recipe's SDG records, or training data."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from embed_pipeline.corpus.parsers.registry import format_of
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_file
from embed_pipeline.formats.beir import CORPUS
from embed_pipeline.formats.row_files import row_files
from embed_pipeline.formats.rows import SUFFIXES
from embed_pipeline.formats.sdg_records import RESULT, holds_records, record_files
from embed_pipeline.formats.training_files import searched_folders, text_files, training_files
from embed_pipeline.store.home import is_home

CorpusKind = Literal["files", "beir", "records", "training", "rows"]


@dataclass(frozen=True)
class CorpusSource:
    """What lies at the corpus' path.

    Attributes:
        root: the path itself.
        kind: a folder of documents, a BEIR folder, SDG records, training data, or tables whose rows are documents.
        files: what the documents are read from; none for a folder of documents, which is walked.
        training: the files with the questions of training data, else none.
    """

    root: Path
    kind: CorpusKind
    files: Sequence[Path] = ()
    training: Sequence[Path] = ()


def corpus_source(root: Path, rows: bool = False) -> CorpusSource:
    """Look once at what a corpus is.

    Args:
        rows: it is said to be tables whose rows are documents.

    Raises:
        InputError: see :func:`corpus_kind`, :func:`~embed_pipeline.formats.sdg_records.record_files` and
            :func:`~embed_pipeline.formats.row_files.row_files`.
    """
    if rows:
        return CorpusSource(root, "rows", row_files(root))
    kind, training = _kind_and_training(root)
    if training:
        return CorpusSource(root, kind, text_files(training), training)
    if kind == "beir":
        return CorpusSource(root, kind, [root if root.is_file() else root / CORPUS])
    return CorpusSource(root, kind, _records(root) if kind == "records" else ())


def _records(root: Path) -> Sequence[Path]:
    if root.is_file() and root.name != RESULT:
        return [root]
    return record_files(root.parent if root.is_file() else root)


def corpus_kind(root: Path) -> CorpusKind:
    """The kind of a corpus folder; a folder that does not exist is one of documents.

    It is a BEIR folder when it has a corpus.jsonl. It holds records when a .jsonl, .json or .parquet file in it
    or in its ``data/`` is one of SDG records and there is no document but a README; training data likewise
    (:mod:`embed_pipeline.formats.training_files`). A corpus.jsonl, a file of records or their generation_result.json,
    and a file of training data may also be named themselves.

    Raises:
        InputError: the record files are of several kinds, one cannot be read, or several could be meant.
    """
    return _kind_and_training(root)[0]


def _kind_and_training(root: Path) -> tuple[CorpusKind, Sequence[Path]]:
    if root.is_file():
        return _kind_of_file(root)
    if (root / CORPUS).is_file():
        return "beir", ()
    candidates = [path for folder in searched_folders(root) for path in _data_files(folder)]
    if not candidates or _has_documents(root):
        return "files", ()
    training = training_files(root)
    if training:
        return "training", training
    direct = [path for path in candidates if path.parent in (root, root / "data")]
    return ("records" if any(holds_records(path) for path in direct) else "files"), ()


def _kind_of_file(file: Path) -> tuple[CorpusKind, Sequence[Path]]:
    if file.name == CORPUS:
        return "beir", ()
    training = training_files(file)
    if training:
        return "training", training
    records = file.parent if file.name == RESULT else file
    return ("records" if holds_records(records) else "files"), ()


def name_below(file: Path, root: Path) -> str:
    """Path of a file relative to the corpus, with ``/``, or to its folder where the corpus is a file."""
    return Path(os.path.relpath(file, root.parent if root.is_file() else root)).as_posix()


def _data_files(folder: Path) -> Iterator[Path]:
    """Files of a folder that may hold records or training data, by their names; any number of others costs little."""
    if folder.is_dir():
        try:
            with os.scandir(folder) as listing:
                ending = [entry for entry in listing if entry.name.lower().endswith(SUFFIXES)]
                names = sorted(entry.name for entry in ending if entry.is_file())
        except OSError:
            return  # whoever reads the corpus tells of it
        yield from (folder / name for name in names if not name.startswith("."))


def _has_documents(root: Path) -> bool:
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = [entry for entry in listing if not entry.name.startswith(".")]
        except OSError:
            continue  # whoever reads the corpus tells of it
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not is_home(Path(entry.path)):
                    waiting.append(entry.path)
            else:
                is_readme = folder == str(root) and entry.name.lower().startswith("readme")
                if not is_readme and format_of(entry.name) is not None:
                    return True
    return False


def unchanged_names(source: CorpusSource, sha256_of: Mapping[str, str]) -> dict[Path, str]:
    """The names of the data files, which must be as the manifest has them.

    Raises:
        InputError: one has changed.
    """
    names = {file: name_below(file, source.root) for file in source.files}
    for file, name in names.items():
        if sha256_of.get(name) != sha256_file(file):
            raise InputError(f"{file}: changed while it was being read; run again.")
    return names
