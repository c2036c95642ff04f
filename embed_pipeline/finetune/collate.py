"""What the model sees of a batch, and which passages count for which question.

::

                 positives of rows 0 … q-1 | negatives of any row, each text once           | other processes'
    question i   own at column i           | own: those mined for it; the others, and those of other processes, are
                                           | in-batch negatives

A passage is left out for a question when it answers it as well: it is a positive of the same question, of one with
the same text or of one that shares a positive with it, a near-duplicate of such a passage, has its text, or holds the
question's evidence word for word without being one of its own negatives.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoders.spec import EncoderSpec, Role
from embed_pipeline.files import sha256_text
from embed_pipeline.finetune.lexical import LexicalScores
from embed_pipeline.finetune.objectives import OBJECTIVES
from embed_pipeline.finetune.teacher import Teacher
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import Bm25Settings, FinetuneSettings
from embed_pipeline.text.forms import same_text_key

REMEMBERED_TEXTS = 2**18
"""Texts whose mark is remembered: every batch asks for those of all its passages."""


class Passage(NamedTuple):
    """A positive or negative: id, text as the encoder sees it, near-duplicate group."""

    name: str
    text: str
    group: str

    def marks(self) -> tuple[str, str, str]:
        """By any of these it is the same passage as another."""
        return f"id {self.name}", f"text {_text_mark(self.text)}", f"group {self.group}"


@lru_cache(REMEMBERED_TEXTS)
def _text_mark(text: str) -> str:
    return sha256_text(same_text_key(text))


def positive_of(row: TrainingRow) -> Passage:
    """The row's positive."""
    return Passage(row.positive_id, row.positive, row.positive_group)


def negatives_of(row: TrainingRow, count: int) -> list[Passage]:
    """The row's first ``count`` hard negatives."""
    negatives = zip(row.negative_ids, row.negatives, row.negative_groups, strict=True)
    return [Passage(*parts) for parts in negatives][:count]


def answers(rows: Sequence[TrainingRow]) -> list[frozenset[str]]:
    """Per row the keys of every passage known to answer its question.

    These are the positives of the question itself, of questions with the same text, and of questions that share a
    positive (or a near-duplicate of one) with it.
    """
    passages: dict[str, set[str]] = defaultdict(set)
    asked: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        passages[row.question_id].update(positive_of(row).marks())
        asked[row.question_id].add(f"question {same_text_key(row.question)}")
    holders: dict[str, list[str]] = defaultdict(list)
    for question, keys in passages.items():
        for key in keys | asked[question]:
            holders[key].append(question)
    known = {}
    for question, keys in passages.items():
        related = {other for key in keys | asked[question] for other in holders[key]}
        known[question] = frozenset(key for other in related for key in passages[other])
    return [known[row.question_id] for row in rows]


class Collator:
    """Rows to token batches: one column of queries, one of passages (positives in row order, then negatives).

    Prompts, truncation and special tokens are those of inference; the lengths are the training's, which differ
    for queries and passages. Beside the tokens a batch has ``label``: a dictionary of arrays [queries, passages],
    ``own`` (the question's own positive and negatives), ``left_out`` (answers it as well, or stands there already),
    with ``settings.lexical_share`` ``lexical`` (BM25, from 0 to 1), and, when distilling, ``teacher`` (scores) and
    ``taught`` (where there are any).

    Args:
        preprocess: ``SentenceTransformer.preprocess``.
        teacher: knows at least the positive and the negatives of each row.
        from_others: a process's passages -> those of the others, for an objective that meets them.
        bm25: how words are compared; the defaults when not given.
    """

    valid_label_columns: tuple[str, ...] = ()

    def __init__(
        self,
        rows: Sequence[TrainingRow],
        preprocess: Callable[..., dict[str, Any]],
        spec: EncoderSpec,
        settings: FinetuneSettings,
        teacher: Teacher | None = None,
        from_others: Callable[[Sequence[Passage]], Sequence[Passage]] | None = None,
        bm25: Bm25Settings | None = None,
    ) -> None:
        self._rows, self._preprocess, self._spec, self._teacher = rows, preprocess, spec, teacher
        self._from_others = from_others if OBJECTIVES[settings.objective].meets_other_processes else None
        self._negatives = settings.hard_negatives
        self._max_length: dict[Role, int] = {
            "query": min(settings.max_query_length, spec.max_query_length),
            "passage": min(settings.max_passage_length, spec.max_passage_length),
        }
        self._answers = answers(rows)
        self._lexical = LexicalScores(rows, settings.hard_negatives, bm25) if settings.lexical_share else None
        self._holding = [frozenset(f"id {name}" for name in row.evidence_ids) for row in rows]

    def __call__(self, features: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        """Token tensors named ``query_…`` and ``passage_…``, and ``label``, for dataset rows ``{"row": index}``."""
        import torch

        chosen = [feature["row"] for feature in features]
        columns = self.columns(chosen)
        batch = self._tokens([self._rows[row].question for row in chosen], "query")
        batch |= self._tokens([column.text for column in columns], "passage")
        if self._from_others is not None:
            columns = [*columns, *self._from_others(columns)]
        labels = {name: torch.from_numpy(array) for name, array in self.labels(chosen, columns).items()}
        return batch | {"label": labels}

    def columns(self, chosen: Iterable[int]) -> list[Passage]:
        """The positives of the rows, then their negatives, texts that are there already excepted."""
        chosen = list(chosen)
        columns = [positive_of(self._rows[row]) for row in chosen]
        seen = {column.text for column in columns}
        for row in chosen:
            for negative in negatives_of(self._rows[row], self._negatives):
                if negative.text not in seen:
                    seen.add(negative.text)
                    columns.append(negative)
        return columns

    def labels(self, chosen: Sequence[int], columns: Sequence[Passage]) -> dict[str, NDArray[Any]]:
        """``own``, ``left_out``, ``lexical``, ``teacher`` and ``taught`` of a batch, each [rows, columns]."""
        shape = (len(chosen), len(columns))
        own, left_out = np.zeros(shape, bool), np.zeros(shape, bool)
        column_of = {column.text: place for place, column in reversed(list(enumerate(columns)))}
        with_key: dict[str, list[int]] = defaultdict(list)
        for place, column in enumerate(columns):
            for key in column.marks():
                with_key[key].append(place)
        mine = [
            [place, *(column_of[one.text] for one in negatives_of(self._rows[row], self._negatives))]
            for place, row in enumerate(chosen)
        ]
        for place, row in enumerate(chosen):
            own[place, mine[place]] = True
            left_out[place, _places(self._answers[row], with_key)] = True
            holding = _places(self._holding[row], with_key)
            left_out[place, holding] |= ~own[place, holding]
        left_out[:, [place for place, column in enumerate(columns) if column_of[column.text] != place]] = True
        np.fill_diagonal(left_out, val=False)
        found: dict[str, NDArray[Any]] = {"own": own, "left_out": left_out}
        texts = [column.text for column in columns]
        if self._lexical is not None:
            found["lexical"] = self._lexical.of([self._rows[row].question for row in chosen], texts)
        if self._teacher is not None:
            found["teacher"], found["taught"] = self._teacher.scores(chosen, texts, mine)
        return found

    def _tokens(self, texts: Sequence[str], role: Role) -> dict[str, Any]:
        prompt = self._spec.prompt(role)
        tokens = self._preprocess([prompt + text for text in texts], max_length=self._max_length[role])
        return {f"{role}_{name}": value for name, value in tokens.items()}


def _places(keys: frozenset[str], with_key: Mapping[str, Sequence[int]]) -> list[int]:
    """The columns that have one of the keys."""
    return [place for key in keys & with_key.keys() for place in with_key[key]]
