"""Step 4: scores for every question, by a language model that follows a written rubric."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import polars as pl
from pydantic import Field

from embed_pipeline import tables
from embed_pipeline.batched import batched
from embed_pipeline.files import sha256_json
from embed_pipeline.llm.ask import Round, ask_all
from embed_pipeline.llm.chat_api import StrictAnswer
from embed_pipeline.llm.engines import ChatEngine
from embed_pipeline.llm.prompts import boundary, render
from embed_pipeline.progress import say
from embed_pipeline.records import CRITERIA, TableRow
from embed_pipeline.settings import SdgSettings


class Criterion(StrictAnswer):
    """One sub-score; the reason comes first, so that the score follows from it."""

    justification: str
    score: int = Field(ge=1, le=10)


class Judgement(StrictAnswer):
    """The judge's word on one question."""

    question: int
    relevance: Criterion
    accuracy: Criterion
    context_support: Criterion
    clarity: Criterion


class JudgementsAnswer(StrictAnswer):
    """What the judge is asked for."""

    judgements: list[Judgement]


@dataclass(frozen=True)
class Batch:
    """Questions about the same documents, judged in one call."""

    questions: Sequence[TableRow]

    @property
    def name(self) -> str:
        """What progress and lists of what is set aside call it."""
        return f"questions {', '.join(row['question_id'] for row in self.questions)}"


def judge_questions(
    candidates: pl.DataFrame, passages: pl.DataFrame, settings: SdgSettings, client: ChatEngine
) -> pl.DataFrame:
    """Fill relevance, accuracy, context_support and clarity (1 to 10), score (their mean) and judgement.

    Up to ``judge_batch`` questions are judged in one call, never of different documents together, so that no
    document can plead for the questions of another. Each judgement is stored by question, answer and
    passages, hence asked for once, in whatever company. Questions an answer leaves out are judged again, one
    by one; one that gets no usable judgement keeps empty scores, which the filters refuse.

    Args:
        candidates: :class:`embed_pipeline.tables.QaCandidates`.
        passages: :class:`embed_pipeline.tables.Passages` the candidates cite.

    Raises:
        LLMAccessError, LLMUnavailableError, BudgetExceededError: see :func:`embed_pipeline.llm.ask.ask_all`.
    """
    bench = Bench(passages, settings, client)
    rows = candidates.select("question_id", "question", "answer", "passage_ids", "doc_ids").to_dicts()
    failed: list[str] = []
    for size in (settings.judge_batch, 1):
        missing = [row for row in rows if bench.known(row) is None]
        failed = bench.judge(batches(missing, size))
    left = sum(bench.known(row) is None for row in rows)
    if left:
        example = failed[0] if failed else "the judge left it out"
        say(f"judge questions: {left} of {len(rows)} got no judgement, for example: {example}")
    return _scored(candidates, [bench.known(row) for row in rows])


def batches(rows: Iterable[TableRow], size: int) -> list[Batch]:
    """Batches of at most ``size`` questions about the same documents, in the order of document and passage."""
    ordered = sorted(rows, key=lambda row: (list(row["doc_ids"]), list(row["passage_ids"]), row["question_id"]))
    divided: list[Batch] = []
    for _, part in groupby(ordered, key=lambda row: list(row["doc_ids"])):
        divided += map(Batch, batched(part, size))
    return divided


def judge_prompt(batch: Batch, text_of: Mapping[str, TableRow]) -> str:
    """The request of step 4."""
    cited = list(dict.fromkeys(passage_id for row in batch.questions for passage_id in row["passage_ids"]))
    number_of = {passage_id: number for number, passage_id in enumerate(cited, 1)}
    shown = [text_of[passage_id] for passage_id in cited]
    asked = [text for row in batch.questions for text in (row["question"], row["answer"])]
    return render(
        "judge",
        boundary=boundary(*(text for row in shown for text in (row["title"], row["text"])), *asked),
        passages=[
            {"number": number, "document": None, "title": row["title"], "text": row["text"]}
            for number, row in enumerate(shown, 1)
        ],
        questions=[
            {
                "number": number,
                "question": row["question"],
                "answer": row["answer"],
                "passages": [number_of[passage_id] for passage_id in row["passage_ids"]],
            }
            for number, row in enumerate(batch.questions, 1)
        ],
    )


class Bench:
    """The judge, with everything it said before."""

    def __init__(self, passages: pl.DataFrame, settings: SdgSettings, client: ChatEngine) -> None:
        self._model = settings.llm.judge_model or settings.llm.model or ""
        self._client = client
        self._text_of = {
            row["passage_id"]: row for row in passages.select("passage_id", "title", "text").iter_rows(named=True)
        }
        # With placeholders: another rubric means other judgements.
        self._rubric = sha256_json(judge_prompt(Batch([]), {}))

    def known(self, row: TableRow) -> Judgement | None:
        """What was said about this question, answer and passages before."""
        stored = self._client.store.get(self._key(row))
        return Judgement.model_validate_json(stored) if stored is not None else None

    def judge(self, asked: Sequence[Batch]) -> list[str]:
        """Ask, and store each judgement; the reasons of answers that could not be used."""
        asking = Round(self._client, self._model, JudgementsAnswer, "judge questions")
        failed = []
        for batch, (_, outcome) in zip(asked, ask_all(asking, self._prompts(asked), len(asked)), strict=True):
            if outcome.answer is None:
                failed.append(outcome.reason)
            else:
                self._store(batch, outcome.answer)
        return failed

    def _prompts(self, asked: Sequence[Batch]) -> Callable[[], Iterator[tuple[str, str]]]:
        return lambda: ((batch.name, judge_prompt(batch, self._text_of)) for batch in asked)

    def _store(self, batch: Batch, answer: JudgementsAnswer) -> None:
        """The first judgement of each question; numbers that were not asked about are ignored."""
        first: dict[int, Judgement] = {}
        for judgement in answer.judgements:
            first.setdefault(judgement.question, judgement)
        judged = {
            self._key(row): first[number].model_dump_json().encode()
            for number, row in enumerate(batch.questions, 1)
            if number in first
        }
        self._client.store.put_many(judged)

    def _key(self, row: TableRow) -> str:
        shown = [[self._text_of[name]["title"], self._text_of[name]["text"]] for name in row["passage_ids"]]
        asked = [row["question"], row["answer"]]
        return sha256_json(["judgement", self._model, self._client.parameters, self._rubric, shown, asked])


def _scored(candidates: pl.DataFrame, judgements: Sequence[Judgement | None]) -> pl.DataFrame:
    columns: dict[str, list[float | None]] = {name: [] for name in (*CRITERIA, "score")}
    for judgement in judgements:
        scores = {name: float(getattr(judgement, name).score) if judgement else None for name in CRITERIA}
        for name, value in scores.items():
            columns[name].append(value)
        known = [value for value in scores.values() if value is not None]
        columns["score"].append(round(sum(known) / len(known), 6) if known else None)
    words = [_in_words(judgement) if judgement else None for judgement in judgements]
    scored = candidates.with_columns(
        *(pl.Series(name, values, dtype=pl.Float64) for name, values in columns.items()),
        pl.Series("judgement", words, dtype=pl.String),
    )
    return tables.validate(tables.QaCandidates, scored)


def _in_words(judgement: Judgement) -> str:
    criteria = ((name, getattr(judgement, name)) for name in CRITERIA)
    return "; ".join(
        f"{name} {criterion.score}: {' '.join(criterion.justification.split())}" for name, criterion in criteria
    )
