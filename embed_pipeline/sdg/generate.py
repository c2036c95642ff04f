"""Questions written by a language model, one call per document (or window of a long one)."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from embed_pipeline.progress import say
from embed_pipeline.sdg.ask import Outcome, Round, ask_all
from embed_pipeline.sdg.candidates import Candidate, Hop, candidates_frame
from embed_pipeline.sdg.client import ChatClient
from embed_pipeline.sdg.prompts import boundary, render
from embed_pipeline.sdg.verbatim import as_in
from embed_pipeline.settings import SdgSettings

WINDOW_TOKENS = 4000  # base-model tokens of passages in one prompt
SET_ASIDE = {"document": pl.String, "reason": pl.String}


def _word(value: Any) -> Any:
    """``Multi-Hop`` is multi_hop."""
    return value.strip().lower().replace("-", "_").replace(" ", "_") if isinstance(value, str) else value


# Sent as a strict schema (no other keys); read generously, since not every endpoint enforces it.
_STRICT = ConfigDict(json_schema_extra={"additionalProperties": False})


class HopAnswer(BaseModel):
    """One passage a question needs."""

    model_config = _STRICT
    passage: int
    evidence: str
    summary: str


class QuestionAnswer(BaseModel):
    """One question."""

    model_config = _STRICT
    question: str
    answer: str
    query_type: Annotated[Literal["multi_hop", "structural", "contextual", "keyword"], BeforeValidator(_word)]
    reasoning_type: Annotated[
        Literal["factual", "relational", "inferential", "temporal", "procedural", "causal", "visual"],
        BeforeValidator(_word),
    ]
    complexity: int = Field(ge=1, le=5)
    hops: list[HopAnswer]


class QuestionsAnswer(BaseModel):
    """What the model is asked for."""

    model_config = _STRICT
    questions: list[QuestionAnswer]


@dataclass(frozen=True)
class GenerationResult:
    """Questions of a language model.

    Attributes:
        candidates: :class:`embed_pipeline.tables.QaCandidates`, not yet judged.
        set_aside: what was lost, [document, reason]: whole windows without a usable answer, and single
            questions that break the rules.
        usage: requests, cached, prompt_tokens, completion_tokens, uncounted of this generation.
    """

    candidates: pl.DataFrame
    set_aside: pl.DataFrame
    usage: dict[str, float]


@dataclass(frozen=True)
class Window:
    """Consecutive passages of one document that share a prompt."""

    name: str
    passages: Sequence[Mapping[str, Any]]


def generate_with_llm(
    documents: pl.DataFrame, passages: pl.DataFrame, settings: SdgSettings, client: ChatClient
) -> GenerationResult:
    """Ask for ``min_questions_per_document`` questions per document, or per window of a long one.

    Of near-duplicate passages one is shown. A question is kept when
    its passage numbers exist, each piece of evidence stands word for word in its passage, and complexity and
    hops are within the settings.

    Args:
        documents: :class:`embed_pipeline.tables.Documents`.
        passages: :class:`embed_pipeline.tables.Passages` of these documents.

    Raises:
        LLMAccessError, LLMUnavailableError: see :func:`embed_pipeline.sdg.ask.ask_all`.
    """
    before = client.usage()
    windows = list(_windows(documents, passages))
    asking = Round(client, settings.llm.model or "", QuestionsAnswer, "write questions")
    prompts = ((window.name, _prompt(window, settings)) for window in windows)
    outcomes = ask_all(asking, prompts, len(windows))
    kept: list[Candidate] = []
    set_aside: list[tuple[str, str]] = []
    for window in windows:
        _collect(window, outcomes[window.name], settings, kept, set_aside)
    doc_of = dict(passages.select("passage_id", "doc_id").iter_rows())
    if set_aside:
        say(f"write questions: {len(set_aside)} set aside, for example {set_aside[0][0]}: {set_aside[0][1]}")
    return GenerationResult(
        candidates=candidates_frame(kept, doc_of),
        set_aside=pl.DataFrame(sorted(set_aside), schema=SET_ASIDE, orient="row"),
        usage={name: value - before[name] for name, value in client.usage().items()},
    )


def _windows(documents: pl.DataFrame, passages: pl.DataFrame) -> Iterator[Window]:
    ordered = passages.sort("doc_id", "position", "passage_id")
    shown = ordered.unique("group_id", keep="first", maintain_order=True)
    of_document = shown.partition_by("doc_id", as_dict=True)
    for doc_id in documents["doc_id"].sort():
        if (doc_id,) not in of_document:
            continue
        rows = of_document[(doc_id,)].select("passage_id", "position", "title", "text", "token_count").to_dicts()
        for part in _cut(rows):
            positions = f"{part[0]['position']}-{part[-1]['position']}"
            yield Window(f"{doc_id} (passages {positions})", part)


def _cut(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """As few windows of about :data:`WINDOW_TOKENS` as it takes, all of about the same size."""
    tokens = [row["token_count"] for row in rows]
    target = max(1, sum(tokens)) / max(1, math.ceil(sum(tokens) / WINDOW_TOKENS))
    ends = itertools.accumulate(tokens)
    window_of = [int((end - size / 2) / target) for end, size in zip(ends, tokens, strict=True)]
    for _, part in itertools.groupby(zip(window_of, rows, strict=True), key=lambda pair: pair[0]):
        yield [row for _, row in part]


def _prompt(window: Window, settings: SdgSettings) -> str:
    passages = [
        {"number": number, "title": row["title"], "text": row["text"]} for number, row in enumerate(window.passages, 1)
    ]
    return render(
        "question",
        boundary=boundary(*(row["text"] for row in window.passages)),
        passages=passages,
        questions=settings.min_questions_per_document,
        min_complexity=settings.min_complexity,
        min_hops=settings.min_hops,
        max_hops=settings.max_hops,
    )


def _collect(
    window: Window,
    outcome: Outcome[QuestionsAnswer],
    settings: SdgSettings,
    kept: list[Candidate],
    set_aside: list[tuple[str, str]],
) -> None:
    if outcome.answer is None:
        set_aside.append((window.name, outcome.reason))
        return
    for answer in outcome.answer.questions:
        found = _candidate(window, answer, settings)
        if isinstance(found, Candidate):
            kept.append(found)
        else:
            set_aside.append((window.name, f"{found} (question: {_line(answer.question)[:120]})"))


def _candidate(window: Window, answer: QuestionAnswer, settings: SdgSettings) -> Candidate | str:
    """The checked question, or what is wrong with it."""
    if not _line(answer.question) or not _line(answer.answer):
        return "question or answer is empty"
    if answer.complexity < settings.min_complexity:
        return f"complexity {answer.complexity} is below sdg.min_complexity {settings.min_complexity}"
    if not settings.min_hops <= len(answer.hops) <= settings.max_hops:
        return f"{len(answer.hops)} hops are not within {settings.min_hops} to {settings.max_hops}"
    hops = []
    for hop in answer.hops:
        if not 1 <= hop.passage <= len(window.passages):
            return f"it cites passage {hop.passage} of {len(window.passages)}"
        passage = window.passages[hop.passage - 1]
        evidence = as_in(passage["text"], hop.evidence)
        if evidence is None:
            return f"its evidence does not stand in passage {passage['passage_id']}: {_line(hop.evidence)[:120]!r}"
        hops.append(Hop(passage["passage_id"], evidence, _line(hop.summary)))
    return Candidate(
        question=_line(answer.question),
        answer=_line(answer.answer),
        query_type=answer.query_type,
        reasoning_type=answer.reasoning_type,
        complexity=answer.complexity,
        hops=tuple(hops),
        mask_evidence=False,
        generator=f"llm/{settings.llm.model}",
    )


def _line(text: str) -> str:
    return " ".join(text.split())
