"""Files of training data in other tools' formats: which of them lie at a path, and the texts they hold.

Recipe (NeMo Automodel, components/datasets/llm/retrieval_dataset.py)::

    train.json, train_mined.automodel.json, train_mined.automodel_unrolled.json
        {"corpus": {"path": "./corpus/"}, "data": [{question_id, question, corpus_id, pos_doc [{id}], neg_doc [{id}]}]}
    corpus/train.parquet (id, text), corpus/merlin_metadata.json {corpus_id, class}

Inline, as .jsonl, .json (a list) or .parquet, the texts in the rows themselves; also in parts, as
``train-00000-of-00002.parquet``::

    question | query, pos_doc, neg_doc                       Automodel
    query, pos [...], neg [...]                              FlagEmbedding
    anchor | query, positive, negative | negative_1 ...      sentence-transformers
    query, passage | document | sentence2 ..., label         judged pairs; label 0 makes a negative

:mod:`embed_pipeline.formats.training_questions` reads the questions.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_text
from embed_pipeline.formats.parts import data_sets, refuse_missing_parts
from embed_pipeline.formats.rows import SUFFIXES, Form, identifier, read_json, read_rows, refuse

RECIPE_MINED = "train_mined.automodel.json"
RECIPE_UNROLLED = "train_mined.automodel_unrolled.json"
RECIPE_NAMES = (RECIPE_MINED, RECIPE_UNROLLED, "train.json")
METADATA = "merlin_metadata.json"
QUESTION_FIELDS = ("question", "query", "anchor", "sentence1")
POSITIVE_FIELDS = ("pos_doc", "pos", "positive", "positives")
NEGATIVE_FIELDS = ("neg_doc", "neg", "negative", "negatives")
JUDGED_FIELDS = ("passage", "passages", "document", "documents", "doc", "docs", "text", "texts", "sentence2")
"""What a label may judge, where there is no field of positives."""
LABEL_FIELDS = ("label", "labels")
_PEEK_BYTES = 4_000_000
_FIELDS = (*QUESTION_FIELDS, *POSITIVE_FIELDS, *JUDGED_FIELDS, *LABEL_FIELDS)
_SPLIT = ("", "data", "train", "data/train")
_POINTS = (re.compile(rb'"corpus"\s*:'), re.compile(rb'"data"\s*:'))
_CORPUS_FIRST = re.compile(r'\s*\{\s*"corpus"\s*:\s*')


ROWS = Form("a question and its positive documents", list_key="data")
_TEXTS = Form("id and text", list_key="data")


class PassageText(NamedTuple):
    """One text of a corpus, or of an inline row."""

    doc_id: str
    text: str
    file: Path


class CorpusFolder(NamedTuple):
    """A corpus that a recipe file names."""

    corpus_id: str
    files: tuple[Path, ...]


def document_id(text: str) -> str:
    """The recipe's id of a passage: ``d_`` and 16 hex digits of the text's SHA-256."""
    return f"d_{sha256_text(text)[:16]}"


def training_files(path: Path) -> list[Path]:
    """The files of training data that a path names: the parts of one data set, mostly a single file; else none.

    Of a folder, or of ``data``, ``train`` or the only folder with training data in it: the recipe's file by its name,
    else what looks like training data (of several data sets, the one whose name begins with ``train``). A file that
    is named stands for itself.

    Raises:
        InputError: several data sets could be meant, a part is missing, or a file cannot be read.
    """
    if path.is_file():
        return [path] if _looks_right(path) else []
    return _of_split(path) or _of_configuration(path)


def searched_folders(path: Path) -> list[Path]:
    """The folders that :func:`training_files` may find something in."""
    return [place / name for place in (path, *_open_folders(path)) for name in _SPLIT]


def _of_split(folder: Path) -> list[Path]:
    """In a folder, or where a data set puts its training split."""
    return next((files for name in _SPLIT if (files := _of_folder(folder / name))), [])


def _of_configuration(path: Path) -> list[Path]:
    """In the only folder that holds training data: a configuration of a data set, as "triplet" or "default"."""
    found = {folder.name: files for folder in _open_folders(path) if (files := _of_split(folder))}
    if len(found) > 1:
        names = ", ".join(list(found)[:4])
        raise InputError(f"{path}: several folders of training data lie in this folder ({names}); name one of them.")
    return next(iter(found.values()), [])


def _open_folders(path: Path) -> list[Path]:
    entries = sorted(path.iterdir()) if path.is_dir() else []
    return [entry for entry in entries if not entry.name.startswith(".") and entry.is_dir()]


def _of_folder(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    named = next((folder / name for name in RECIPE_NAMES if (folder / name).is_file()), None)
    if named is not None:
        return [named] if _looks_right(named) else []
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".") and file.is_file()]
    sets = data_sets([file for file in files if _looks_right(file)], "training data")
    chosen = [name for name in sets if name.startswith("train")] if len(sets) > 1 else list(sets)
    if len(sets) > 1 and len(chosen) != 1:
        names = ", ".join(parts[0].name for parts in list(sets.values())[:4])
        raise InputError(f"{folder}: several files of training data lie in this folder ({names}); name one of them.")
    parts = sets[chosen[0]] if chosen else []
    refuse_missing_parts(parts, "training data")
    return parts


def text_files(files: Sequence[Path]) -> list[Path]:
    """The files that hold the passages' texts: those of the corpora of a recipe file, else the files themselves.

    Raises:
        InputError: a corpus is missing or unreadable.
    """
    corpora = corpus_folders(files)
    return list(files) if corpora is None else [part for corpus in corpora for part in corpus.files]


def corpus_folders(files: Sequence[Path]) -> list[CorpusFolder] | None:
    """The corpora of a recipe file; None of inline ones.

    Raises:
        InputError: a corpus folder is missing, holds no table or not all parts of one, or holds something else than
            texts.
    """
    if len(files) != 1 or files[0].suffix.lower() != ".json":
        return None
    file = files[0]
    entry = _corpus_entry(file)
    if entry is None:
        return None
    entries = entry if isinstance(entry, list) else [entry]
    paths = [one.get("path") if isinstance(one, dict) else None for one in entries]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise InputError(f'{file}: "corpus" must be {{"path": "./corpus/"}} or a list of such objects.')
    return [_corpus(file, str(path)) for path in paths]


def read_texts(corpora: Sequence[CorpusFolder]) -> Iterator[PassageText]:
    """Every text of corpora, ids kept; with several corpora ``corpus_id/`` stands before them.

    Raises:
        InputError: a row without id or text, or an id with two texts; names file and row.
    """
    seen: dict[str, str] = {}
    for corpus in corpora:
        for part in corpus.files:
            for row in read_rows(part, _TEXTS):
                name, text = identifier(row.get("id")), row.get("text")
                if name is None or not isinstance(text, str):
                    refuse(row.where, "a row of a corpus needs id and text")
                doc_id = qualified(corpora, corpus.corpus_id, name)
                digest = sha256_text(text)
                if seen.setdefault(doc_id, digest) != digest:
                    refuse(row.where, f"the id {doc_id} stands for another text already; ids must be unique")
                yield PassageText(doc_id, text, part)


def qualified(corpora: Sequence[CorpusFolder], corpus_id: str, name: str) -> str:
    """The id of a text, unique over the corpora of one file."""
    return name if len(corpora) == 1 else f"{corpus_id}/{name}"


# -- looking ---------------------------------------------------------------------------------------------


def _looks_right(file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        return False
    if suffix == ".parquet":
        return _are_training(set(_parquet_columns(file)))
    head = _head(file) if suffix == ".json" else _head(file).strip().partition(b"\n")[0]
    points = suffix == ".json" and all(pattern.search(head) for pattern in _POINTS)
    names = {name for name in _FIELDS if re.search(rb'"%s"\s*:' % name.encode(), head)}
    return points or (b'"chunk_id"' not in head and _are_training(names))


def _are_training(names: Set[str]) -> bool:
    """Whether rows with these fields ask and answer."""
    if not names & set(QUESTION_FIELDS):
        return False
    return bool(names & set(POSITIVE_FIELDS) or (names & set(JUDGED_FIELDS) and names & set(LABEL_FIELDS)))


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_PEEK_BYTES)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}.") from error


def _parquet_columns(file: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(file).names)
    except (OSError, pa.ArrowException):
        return []


def _corpus_entry(file: Path) -> Any:
    """The value of "corpus"; None when there is none. The whole file is parsed only when it does not come first."""
    begun = _CORPUS_FIRST.match(head := _head(file).decode("utf-8-sig", "ignore"))
    if begun:
        with suppress(ValueError, RecursionError):  # broken, or longer than the head
            return json.JSONDecoder().raw_decode(head, begun.end())[0]
    value = read_json(file)
    return value.get("corpus") if isinstance(value, dict) and "data" in value else None


def _corpus(file: Path, named: str) -> CorpusFolder:
    places = (file.parent / named, file.parent / Path(named).name)  # an absolute path may be that of another machine
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise InputError(f"{file}: names the corpus {named}, but there is no such folder; put it beside the file.")
    metadata = _metadata(folder)
    kind = metadata.get("class", "TextQADataset")
    if kind != "TextQADataset":
        raise InputError(f"{folder / METADATA}: class is {kind}; only TextQADataset (texts) can be read.")
    files = _tables(folder) or _tables(folder / "data")
    if not files:
        raise InputError(f"{folder}: there is no train.parquet (or .jsonl) with id and text in this corpus.")
    refuse_missing_parts(files, "corpus")
    return CorpusFolder(str(metadata.get("corpus_id", folder.name)), tuple(files))


def _metadata(folder: Path) -> Mapping[str, Any]:
    path = folder / METADATA
    value = read_json(path) if path.is_file() else {}
    if not isinstance(value, dict):
        raise InputError(f"{path}: must be an object with corpus_id and class.")
    return value


def _tables(folder: Path) -> list[Path]:
    """As ``datasets.load_dataset(folder)["train"]``: one kind of files, those of the train split if it is named."""
    for suffix in (".parquet", ".jsonl", ".json"):
        files = [file for file in sorted(folder.glob(f"*{suffix}")) if file.name != METADATA]
        named = [file for file in files if "train" in file.name]
        if files:
            return named or files
    return []
