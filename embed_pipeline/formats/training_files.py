"""Files of training data in other tools' formats: which of them lie at a path, and the texts they hold.

Recipe (NeMo Automodel, components/datasets/llm/retrieval_dataset.py)::

    train.json, train_mined.automodel.json, train_mined.automodel_unrolled.json
        {"corpus": {"path": "./corpus/"}, "data": [{question_id, question, corpus_id, pos_doc [{id}], neg_doc [{id}]}]}
    corpus/train.parquet (id, text), corpus/merlin_metadata.json {corpus_id, class}

Inline, as .jsonl, .json (a list) or .parquet, the texts in the rows themselves::

    question | query, pos_doc, neg_doc                       Automodel
    query, pos [...], neg [...]                              FlagEmbedding
    anchor | query, positive, negative | negative_1 ...      sentence-transformers

:mod:`embed_pipeline.formats.training_questions` reads the questions.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_text
from embed_pipeline.formats.rows import parse_json

SUFFIXES = (".jsonl", ".json", ".parquet")
RECIPE_MINED = "train_mined.automodel.json"
RECIPE_UNROLLED = "train_mined.automodel_unrolled.json"
RECIPE_NAMES = (RECIPE_MINED, RECIPE_UNROLLED, "train.json")
METADATA = "merlin_metadata.json"
QUESTION_FIELDS = ("question", "query", "anchor")
POSITIVE_FIELDS = ("pos_doc", "pos", "positive", "positives")
NEGATIVE_FIELDS = ("neg_doc", "neg", "negative", "negatives")
_PEEK_BYTES = 4_000_000
_ROWS_AT_ONCE = 1000
_ASKS = re.compile(rb'"(question|query|anchor)"\s*:')
_ANSWERS = re.compile(rb'"(pos_doc|pos|positives?)"\s*:')
_POINTS = (re.compile(rb'"corpus"\s*:'), re.compile(rb'"data"\s*:'))
_CORPUS_FIRST = re.compile(r'\s*\{\s*"corpus"\s*:\s*')


class Row(NamedTuple):
    """One entry as it stands; ``where`` names its file and line for error messages."""

    values: Mapping[str, Any]
    where: str


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


def training_file(path: Path) -> Path | None:
    """The file of training data that a path names; None when there is none.

    Of a folder: the recipe's file by its name, else the one file that looks like training data (of several, the
    one whose name begins with ``train``).

    Raises:
        InputError: several files could be meant, or one cannot be read.
    """
    if path.is_file():
        return path if _looks_right(path) else None
    if not path.is_dir():
        return None
    named = next((path / name for name in RECIPE_NAMES if (path / name).is_file()), None)
    if named is not None:
        return named if _looks_right(named) else None
    files = [file for file in sorted(path.iterdir()) if not file.name.startswith(".") and file.is_file()]
    found = [file for file in files if _looks_right(file)]
    chosen = [file for file in found if file.name.startswith("train")] if len(found) > 1 else found
    if len(found) > 1 and len(chosen) != 1:
        names = ", ".join(file.name for file in found[:4])
        raise InputError(f"{path}: several files of training data lie in this folder ({names}); name one of them.")
    return chosen[0] if chosen else None


def text_files(file: Path) -> list[Path]:
    """The files that hold the passages' texts: those of the corpora of a recipe file, else the file itself.

    Raises:
        InputError: a corpus is missing or unreadable.
    """
    corpora = corpus_folders(file)
    return [file] if corpora is None else [part for corpus in corpora for part in corpus.files]


def corpus_folders(file: Path) -> list[CorpusFolder] | None:
    """The corpora of a recipe file; None of an inline one.

    Raises:
        InputError: a corpus folder is missing, holds no table, or holds something else than texts.
    """
    entry = _corpus_entry(file) if file.suffix.lower() == ".json" else None
    if entry is None:
        return None
    entries = entry if isinstance(entry, list) else [entry]
    paths = [one.get("path") if isinstance(one, dict) else None for one in entries]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise InputError(f'{file}: "corpus" must be {{"path": "./corpus/"}} or a list of such objects.')
    return [_corpus(file, str(path)) for path in paths]


def read_rows(file: Path) -> Iterator[Row]:
    """Every entry of a file of training data.

    Raises:
        InputError: the file is broken; names file and line.
    """
    suffix = file.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _parquet_rows(file)
        elif suffix == ".jsonl":
            yield from _lines(file)
        else:
            yield from _entries(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}.") from error


def read_texts(file: Path) -> Iterator[PassageText]:
    """Every text of the corpora of a recipe file, ids kept; with several corpora ``corpus_id/`` stands before them.

    Raises:
        InputError: a row without id or text, or an id with two texts; names file and row.
    """
    corpora = corpus_folders(file) or []
    seen: dict[str, str] = {}
    for corpus in corpora:
        for part in corpus.files:
            for values, where in read_rows(part):
                name, text = values.get("id"), values.get("text")
                if not isinstance(name, str | int) or isinstance(name, bool) or not isinstance(text, str):
                    refuse(where, "a row of a corpus needs id and text")
                doc_id = qualified(corpora, corpus.corpus_id, str(name))
                digest = sha256_text(text)
                if seen.setdefault(doc_id, digest) != digest:
                    refuse(where, f"the id {doc_id} stands for another text already; ids must be unique")
                yield PassageText(doc_id, text, part)


def qualified(corpora: list[CorpusFolder], corpus_id: str, name: str) -> str:
    """The id of a text, unique over the corpora of one file."""
    return name if len(corpora) == 1 else f"{corpus_id}/{name}"


def refuse(where: str, problem: str) -> NoReturn:
    """Raise an error that names file and line."""
    raise InputError(f"{where}: {problem}.")


# -- looking ---------------------------------------------------------------------------------------------


def _looks_right(file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        return False
    if suffix == ".parquet":
        names = set(_parquet_columns(file))
        return bool(names & set(QUESTION_FIELDS)) and bool(names & set(POSITIVE_FIELDS))
    try:
        with file.open("rb") as opened:
            head = (
                opened.read(_PEEK_BYTES) if suffix == ".json" else next((line for line in opened if line.strip()), b"")
            )
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}.") from error
    points = suffix == ".json" and all(pattern.search(head) for pattern in _POINTS)
    return points or bool(_ASKS.search(head) and _ANSWERS.search(head))


def _parquet_columns(file: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(file).names)
    except (OSError, pa.ArrowException):
        return []


def _corpus_entry(file: Path) -> Any:
    """The value of "corpus"; None when there is none. The whole file is parsed only when it does not come first."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_PEEK_BYTES).decode("utf-8-sig", "ignore")
        begun = _CORPUS_FIRST.match(head)
        if begun:
            return json.JSONDecoder().raw_decode(head, begun.end())[0]
        value = parse_json(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON ({error}).") from error
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
    return CorpusFolder(str(metadata.get("corpus_id", folder.name)), tuple(files))


def _metadata(folder: Path) -> Mapping[str, Any]:
    path = folder / METADATA
    value = parse_json(path.read_bytes(), str(path)) if path.is_file() else {}
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


# -- reading ---------------------------------------------------------------------------------------------


def _lines(file: Path) -> Iterator[Row]:
    with file.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            if line.strip():
                where = f"{file}, line {number}"
                yield _row(parse_json(line, where), where)


def _entries(file: Path) -> Iterator[Row]:
    value = parse_json(file.read_bytes(), str(file))
    unit = "entry"
    if isinstance(value, dict) and "data" in value:
        value, unit = value["data"], "entry of data"
    entries = value if isinstance(value, list) else [value]
    for number, entry in enumerate(entries, 1):
        where = f"{file}, {unit} {number}"
        yield _row(entry, where)


def _row(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        refuse(where, "must be a JSON object with a question and its positive documents")
    return Row(value, where)


def _parquet_rows(file: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(_ROWS_AT_ONCE):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(values, f"{file}, row {number}")
    except pa.ArrowException as error:
        raise InputError(f"{file}: not a readable Parquet file ({' '.join(str(error).split())[:160]}).") from error
