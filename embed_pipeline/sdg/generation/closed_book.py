"""Whether a question is answered without its document: then it says nothing about retrieval."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import polars as pl

from embed_pipeline import tables
from embed_pipeline.llm.ask import Round, ask_all
from embed_pipeline.llm.chat_api import StrictAnswer
from embed_pipeline.llm.engines import ChatEngine
from embed_pipeline.llm.prompts import boundary, render
from embed_pipeline.records import TableRow
from embed_pipeline.settings import SdgSettings


class ClosedBookAnswer(StrictAnswer):
    """What the model knows by itself."""

    known: bool
    answer: str


class SameAnswer(StrictAnswer):
    """Whether two answers agree; the reason comes first."""

    reason: str
    same: bool


def check_closed_book(candidates: pl.DataFrame, settings: SdgSettings, client: ChatEngine) -> pl.DataFrame:
    """Fill closed_book for the questions the judge lets pass: true if the model gives the same answer unaided.

    The model answers the bare question; where it claims to know, the judge compares the two answers.

    Args:
        candidates: :class:`embed_pipeline.tables.QaCandidates`, judged.

    Raises:
        LLMAccessError, LLMUnavailableError, BudgetExceededError: see :func:`embed_pipeline.llm.ask.ask_all`.
    """
    passed = candidates.filter(pl.col("score") >= settings.judge_threshold)
    rows = passed.select("question_id", "question", "answer").to_dicts()
    writer, judge = settings.llm.model or "", settings.llm.judge_model or settings.llm.model or ""
    asking = Round(client, writer, ClosedBookAnswer, "answer without documents")
    given = {
        name: outcome.answer.answer.strip() if outcome.answer.known else ""
        for name, outcome in ask_all(asking, _questions(rows), len(rows))
        if outcome.answer is not None
    }
    claimed = [row for row in rows if given.get(row["question_id"])]
    comparing = Round(client, judge, SameAnswer, "compare answers")
    outcomes = ask_all(comparing, _comparisons(claimed, given), len(claimed))
    same = {name: outcome.answer.same for name, outcome in outcomes if outcome.answer is not None}
    closed_book = {name: same.get(name) if answer else False for name, answer in given.items()}
    verdicts = [closed_book.get(name) for name in candidates["question_id"]]
    checked = candidates.with_columns(pl.Series("closed_book", verdicts, dtype=pl.Boolean))
    return tables.validate(tables.QaCandidates, checked)


def _questions(rows: Sequence[TableRow]) -> Callable[[], Iterator[tuple[str, str]]]:
    return lambda: (
        (row["question_id"], render("closed_book", boundary=boundary(row["question"]), question=row["question"]))
        for row in rows
    )


def _comparisons(rows: Sequence[TableRow], given: Mapping[str, str]) -> Callable[[], Iterator[tuple[str, str]]]:
    def prompt(row: TableRow) -> str:
        texts = {"question": row["question"], "answer": row["answer"], "other": given[row["question_id"]]}
        return render("same_answer", boundary=boundary(*texts.values()), **texts)

    return lambda: ((row["question_id"], prompt(row)) for row in rows)
