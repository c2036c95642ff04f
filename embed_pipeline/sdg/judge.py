"""Scores for every question, by a language model that follows a written rubric."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from embed_pipeline import tables
from embed_pipeline.progress import say
from embed_pipeline.sdg.ask import Outcome, Round, ask_all
from embed_pipeline.sdg.client import ChatClient
from embed_pipeline.sdg.prompts import boundary, render
from embed_pipeline.settings import SdgSettings

CRITERIA = ("relevance", "accuracy", "context_support", "clarity")
_STRICT = ConfigDict(json_schema_extra={"additionalProperties": False})


class Criterion(BaseModel):
    """One sub-score; the reason comes first, so that the score follows from it."""

    model_config = _STRICT
    justification: str
    score: int = Field(ge=1, le=10)


class JudgeAnswer(BaseModel):
    """What the judge is asked for."""

    model_config = _STRICT
    relevance: Criterion
    accuracy: Criterion
    context_support: Criterion
    clarity: Criterion


def judge_with_llm(
    candidates: pl.DataFrame, passages: pl.DataFrame, settings: SdgSettings, client: ChatClient
) -> pl.DataFrame:
    """Fill relevance, accuracy, context_support and clarity (1 to 10) and score, their mean.

    A question that gets no usable judgement keeps empty scores; :func:`embed_pipeline.sdg.filters.select_pairs`
    refuses those of a language model.

    Args:
        candidates: :class:`embed_pipeline.tables.QaCandidates`.
        passages: :class:`embed_pipeline.tables.Passages` the candidates cite.

    Raises:
        LLMAccessError, LLMUnavailableError: see :func:`embed_pipeline.sdg.ask.ask_all`.
    """
    model = settings.llm.judge_model or settings.llm.model or ""
    cited = passages.select("passage_id", "title", "text").iter_rows(named=True)
    text_of = {row["passage_id"]: row for row in cited}
    asking = Round(client, model, JudgeAnswer, "judge questions")
    outcomes = ask_all(asking, _prompts(candidates, text_of), candidates.height)
    failed = [outcome.reason for outcome in outcomes.values() if outcome.answer is None]
    if failed:
        say(f"judge questions: {len(failed)} of {candidates.height} got no judgement, for example: {failed[0]}")
    scored = candidates.with_columns(
        pl.Series(name, [_score(outcomes[key], name) for key in candidates["question_id"]], dtype=pl.Float64)
        for name in (*CRITERIA, "score")
    )
    return tables.validate(tables.QaCandidates, scored)


def _prompts(candidates: pl.DataFrame, text_of: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for row in candidates.iter_rows(named=True):
        cited = [text_of[passage_id] for passage_id in row["passage_ids"]]
        texts = [passage["text"] for passage in cited]
        yield (
            row["question_id"],
            render(
                "judge",
                boundary=boundary(*texts, row["question"], row["answer"]),
                passages=[
                    {"number": number, "title": passage["title"], "text": passage["text"]}
                    for number, passage in enumerate(cited, 1)
                ],
                question=row["question"],
                answer=row["answer"],
            ),
        )


def _score(outcome: Outcome[JudgeAnswer], name: str) -> float | None:
    if outcome.answer is None:
        return None
    scores = {criterion: getattr(outcome.answer, criterion).score for criterion in CRITERIA}
    scores["score"] = sum(scores.values()) / len(scores)
    return round(float(scores[name]), 6)
