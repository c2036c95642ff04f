"""Questions of training data in other tools' formats (:mod:`embed_pipeline.formats.training_files`).

Rows with the same question are one question with several positives: that is how unrolled files list them. A row's text
with ``label`` 0 or below is a negative of its question.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from embed_pipeline.errors import InputError
from embed_pipeline.formats.rows import Row, identifier, plain_number, read_rows, refuse, short
from embed_pipeline.formats.training_files import (
    JUDGED_FIELDS,
    LABEL_FIELDS,
    NEGATIVE_FIELDS,
    POSITIVE_FIELDS,
    QUESTION_FIELDS,
    ROWS,
    CorpusFolder,
    PassageText,
    corpus_folders,
    document_id,
    qualified,
    read_texts,
)

ID_FIELDS = ("question_id", "query_id", "id", "_id")
_NUMBERED_NEGATIVE = re.compile(r"negative_(\d+)")
_UNROLLED = re.compile(r"(.+)_\d+")


@dataclass(frozen=True)
class GivenQuestion:
    """A question with its positives and negatives, by the ids of their texts.

    Attributes:
        own_id: None where the file has none, or uses it for several questions.
        positives: none where every row of the question has a label of 0.
        negatives: in the file's order; empty: there are none.
        where: file and line.
    """

    question: str
    own_id: str | None
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class GivenQuestions:
    """Questions, and the texts they cite: id -> text. An id that the corpus lacks is not among them."""

    questions: list[GivenQuestion]
    texts: Mapping[str, str]


def read_given_questions(files: Sequence[Path]) -> GivenQuestions:
    """Read the questions of a data set; a text without an id of its own gets the recipe's.

    Args:
        files: see :func:`embed_pipeline.formats.training_files.training_files`.

    Raises:
        InputError: a file is broken, a row lacks question or positives, or names its corpus wrongly; names
            file and line.
    """
    corpora = corpus_folders(files)
    texts: dict[str, PassageText] = {}
    questions = joined(_read(files, corpora, texts))
    if corpora is not None:
        cited = {name for question in questions for name in (*question.positives, *question.negatives)}
        texts = {given.doc_id: given for given in read_texts(corpora) if given.doc_id in cited}
    return GivenQuestions(questions, {name: given.text for name, given in texts.items()})


def given_texts(files: Sequence[Path]) -> Iterator[PassageText]:
    """Every text of a data set, each once: the corpora of a recipe file, or the positives and negatives of the rows.

    Raises:
        InputError: see :func:`read_given_questions`.
    """
    texts: dict[str, PassageText] = {}
    corpora = corpus_folders(files)
    if corpora is not None:
        seen = set[str]()
        for given in read_texts(corpora):
            if given.doc_id not in seen:
                seen.add(given.doc_id)
                yield given
        return
    for _ in _read(files, None, texts):
        pass
    yield from texts.values()


def rows_with_negatives(files: Sequence[Path], most: int) -> tuple[int, int]:
    """How many of the first rows bring negatives, and how many were looked at, ``most`` at most.

    Raises:
        InputError: a file or one of these rows is broken.
    """
    rows = islice((row for file in files for row in read_rows(file, ROWS)), most)
    found = [bool(_for_and_against(row)[1]) for row in rows]
    return sum(found), len(found)


def joined(questions: Iterable[GivenQuestion]) -> list[GivenQuestion]:
    """Rows with the same question as one, in the order of the first; what unrolling numbered is numbered no more."""
    rows: dict[str, list[GivenQuestion]] = {}
    for question in questions:
        rows.setdefault(question.question, []).append(question)
    ids = Counter(row.own_id for group in rows.values() for row in group if row.own_id)
    whole = [_one(group, ids) for group in rows.values()]
    uses = Counter(question.own_id for question in whole)
    return [replace(question, own_id=None) if uses[question.own_id] > 1 else question for question in whole]


def _one(rows: Sequence[GivenQuestion], ids: Mapping[str, int]) -> GivenQuestion:
    first = rows[0]
    if len(rows) == 1:
        return first
    stems = {match.group(1) if (match := _UNROLLED.fullmatch(row.own_id or "")) else None for row in rows}
    stem = stems.pop() if len(stems) == 1 else None
    return replace(
        first,
        own_id=stem if stem and stem not in ids else first.own_id,
        positives=tuple(dict.fromkeys(name for row in rows for name in row.positives)),
        negatives=tuple(dict.fromkeys(name for row in rows for name in row.negatives)),
    )


def _read(
    files: Sequence[Path], corpora: Sequence[CorpusFolder] | None, texts: dict[str, PassageText]
) -> Iterator[GivenQuestion]:
    """Questions one by one; the texts of inline rows are added to ``texts``."""
    for row in (row for file in files for row in read_rows(file, ROWS)):
        positives, negatives = _for_and_against(row)
        if corpora is None:
            names = [[_inline(one, row, texts) for one in part] for part in (positives, negatives)]
        else:
            names = [[_cited(one, row, corpora) for one in part] for part in (positives, negatives)]
        found, against = (tuple(dict.fromkeys(part)) for part in names)
        yield GivenQuestion(_question(row), _own_id(row), found, against, row.where)


def _for_and_against(row: Row) -> tuple[list[Any], list[Any]]:
    """Positives and negatives of a row, by their fields and its label."""
    shown, negatives = _field(row, POSITIVE_FIELDS), [*_field(row, NEGATIVE_FIELDS), *_numbered(row)]
    labels = _labels(row, bool(negatives))
    if labels is not None and not shown:
        shown = _field(row, JUDGED_FIELDS)
    if not shown:
        refuse(row.where, f"there is no positive; add one as {', '.join(POSITIVE_FIELDS[:3])}")
    if labels is None:
        return shown, negatives
    if len(labels) == 1:
        labels *= len(shown)
    if len(labels) != len(shown):
        refuse(row.where, f"has {len(labels)} labels for {len(shown)} texts; give each text one")
    judged = list(zip(shown, labels, strict=True))
    return [text for text, label in judged if label > 0], [*(text for text, label in judged if label <= 0), *negatives]


def _labels(row: Row, has_negatives: bool) -> list[float] | None:
    """What a row says of its texts; beside negatives a number that is no whole one is a margin of distillation."""
    values = _field(row, LABEL_FIELDS)
    if not values or (has_negatives and any(isinstance(value, float) for value in values)):
        return None
    labels = [_label(value) for value in values]
    for value, label in zip(values, labels, strict=True):
        if label is None:
            refuse(
                row.where,
                f"the label {short(value)} is not a whole number; write 1 or more for a positive, 0 for a negative, "
                "or rename the field if it says something else",
            )
    return [label for label in labels if label is not None]


def _label(value: Any) -> float | None:
    with suppress(TypeError, ValueError):
        number = plain_number(value) if isinstance(value, str) else float(value)
        return number if number is not None and number.is_integer() else None
    return None


def _question(row: Row) -> str:
    values = [row[name] for name in QUESTION_FIELDS if row.get(name) is not None]
    if not values or not isinstance(values[0], str) or not values[0].strip():
        refuse(row.where, f"there is no question; add it as {', '.join(QUESTION_FIELDS[:2])} or {QUESTION_FIELDS[2]}")
    return str(values[0]).strip()


def _own_id(row: Row) -> str | None:
    value = next((row[name] for name in ID_FIELDS if row.get(name) is not None), None)
    if value is None:
        return None
    name = identifier(value)
    if name is None:
        refuse(row.where, f"its id must be a text or a whole number, not {value!r:.80}")
    return name.strip()


def _field(row: Row, names: Sequence[str]) -> list[Any]:
    """The first of the fields that is there, as a list."""
    value: Any = next((row[name] for name in names if row.get(name) is not None), [])
    return value if isinstance(value, list) else [value]


def _numbered(row: Row) -> list[Any]:
    found = [(int(match.group(1)), name) for name in row if (match := _NUMBERED_NEGATIVE.fullmatch(name))]
    return [row[name] for _, name in sorted(found) if row[name] is not None]


def _inline(document: Any, row: Row, texts: dict[str, PassageText]) -> str:
    text = document.get("text") if isinstance(document, dict) else document
    if not isinstance(text, str):
        refuse(row.where, f"a positive or negative must be a text, or an object with text, not {document!r:.80}")
    name = document_id(text)
    texts.setdefault(name, PassageText(name, text, row.path))
    return name


def _cited(document: Any, row: Row, corpora: Sequence[CorpusFolder]) -> str:
    name = identifier(document.get("id") if isinstance(document, dict) else document)
    if name is None:
        refuse(row.where, f'a document must be {{"id": "..."}} or the id alone, not {document!r:.80}')
    corpus_id = row.get("corpus_id")
    if len(corpora) > 1 and corpus_id not in {corpus.corpus_id for corpus in corpora}:
        known = ", ".join(corpus.corpus_id for corpus in corpora)
        raise InputError(f"{row.where}: corpus_id is {corpus_id!r}, but the corpora are {known}; correct it.")
    return qualified(corpora, str(corpus_id), name)
