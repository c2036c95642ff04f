"""Step 2: questions about windows of documents, each with evidence that is checked to stand in its passage."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BeforeValidator, Field

from embed_pipeline import tables
from embed_pipeline.sdg.ask import Outcome, Round, answered, ask_all
from embed_pipeline.sdg.candidates import Candidate, Hop, candidates_frame
from embed_pipeline.sdg.client import ChatClient
from embed_pipeline.sdg.extract import Notes, stored_artifacts
from embed_pipeline.sdg.prompts import boundary, render
from embed_pipeline.sdg.verbatim import as_in
from embed_pipeline.sdg.windows import Window, query_type_counts
from embed_pipeline.sdg.wire import StrictAnswer
from embed_pipeline.settings import SdgSettings

LEAST_EVIDENCE = 4  # characters; less stands everywhere
ROWS_AT_ONCE = 2000

Windows = Callable[[], Iterable[Window]]


def _word(value: Any) -> Any:
    """``Multi-Hop`` is multi_hop."""
    return value.strip().lower().replace("-", "_").replace(" ", "_") if isinstance(value, str) else value


class HopAnswer(StrictAnswer):
    """One passage a question needs."""

    passage: int
    evidence: str
    summary: str


class QuestionAnswer(StrictAnswer):
    """One question."""

    question: str
    answer: str
    query_type: Annotated[
        Literal["multi_hop", "structural", "contextual", "keyword", "paraphrase"], BeforeValidator(_word)
    ]
    reasoning_type: Annotated[
        Literal["factual", "relational", "inferential", "temporal", "procedural", "causal", "visual"],
        BeforeValidator(_word),
    ]
    complexity: int = Field(ge=1, le=5)
    hops: list[HopAnswer]


class QuestionsAnswer(StrictAnswer):
    """What the model is asked for."""

    questions: list[QuestionAnswer]


@dataclass
class Written:
    """Questions of a language model, gathered as they are read.

    Attributes:
        set_aside: what was lost, [step, record, reason]: whole windows without a usable answer, and single
            questions that break the rules.
    """

    set_aside: list[tuple[str, str, str]] = field(default_factory=list)
    _waiting: list[Candidate] = field(default_factory=list)
    _parts: list[pl.DataFrame] = field(default_factory=list)

    def add(self, candidate: Candidate, doc_of: Mapping[str, str]) -> None:
        """Keep one question; many are kept as tables, which take a fraction of the memory."""
        self._waiting.append(candidate)
        if len(self._waiting) >= ROWS_AT_ONCE:
            self._flush(doc_of)

    def candidates(self, doc_of: Mapping[str, str]) -> pl.DataFrame:
        """:class:`embed_pipeline.tables.QaCandidates` of everything kept, sorted by question id."""
        self._flush(doc_of)
        merged = pl.concat([tables.empty(tables.QaCandidates), *self._parts])
        merged = merged.unique("question_id", keep="first", maintain_order=True).sort("question_id")
        return tables.validate(tables.QaCandidates, merged)

    def _flush(self, doc_of: Mapping[str, str]) -> None:
        if self._waiting:
            self._parts.append(candidates_frame(self._waiting, doc_of))
            self._waiting.clear()


def question_prompt(window: Window, notes: Notes, settings: SdgSettings) -> str:
    """The request of step 2."""
    counts = query_type_counts(window, settings.query_mix, settings.max_hops)
    return render(
        "question",
        boundary=boundary(*window.texts, *(note[name] for note in notes for name in ("text", "description"))),
        passages=window.numbered(),
        documents=len(window.doc_ids),
        artifacts=notes,
        questions=window.questions,
        query_types=[{"name": name, "count": count} for name, count in counts.items()],
        min_complexity=settings.min_complexity,
        min_hops=settings.min_hops,
        max_hops=settings.max_hops,
    )


def generate_questions(
    windows: Windows, total: int, doc_of: Mapping[str, str], settings: SdgSettings, client: ChatClient
) -> Written:
    """Ask about every window, with the notes of step 1 where they are stored.

    A question is kept when its passage numbers exist, each piece of evidence stands word for word in its
    passage, and complexity and hops are within the settings; no window gives more questions than asked for.

    Args:
        windows: gives the windows, as often as it is called.
        doc_of: passage id -> document id.

    Raises:
        LLMAccessError, LLMUnavailableError, BudgetExceededError: see :func:`embed_pipeline.sdg.ask.ask_all`.
    """
    written = Written()
    outcomes = ask_all(_asking(settings, client), question_prompts(windows, settings, client), total)
    for window, (_, outcome) in zip(windows(), outcomes, strict=True):
        _collect(window, outcome, settings, written, doc_of)
    return written


def question_prompts(windows: Windows, settings: SdgSettings, client: ChatClient) -> Callable[[], Iterator[Any]]:
    """(window name, prompt) of every window; a window nobody took notes of is asked about without."""
    return lambda: (
        (window.name, question_prompt(window, notes or [], settings))
        for window, notes in stored_artifacts(windows, settings, client)
    )


def stored_questions(
    windows: Windows, settings: SdgSettings, client: ChatClient
) -> Iterator[tuple[Window, Outcome[QuestionsAnswer] | None]]:
    """Every window with the stored answer, without asking; None where the model was not asked yet."""
    known = answered(_asking(settings, client), question_prompts(windows, settings, client))
    for window, (_, outcome) in zip(windows(), known, strict=True):
        yield window, outcome


def judgeable(
    window: Window, outcome: Outcome[QuestionsAnswer], settings: SdgSettings, doc_of: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The questions of a stored answer that pass the rules, as rows for the judge."""
    written = Written()
    _collect(window, outcome, settings, written, doc_of)
    return written.candidates(doc_of).to_dicts()


def _asking(settings: SdgSettings, client: ChatClient) -> Round[QuestionsAnswer]:
    return Round(client, settings.llm.model or "", QuestionsAnswer, "write questions")


def _collect(
    window: Window,
    outcome: Outcome[QuestionsAnswer],
    settings: SdgSettings,
    written: Written,
    doc_of: Mapping[str, str],
) -> None:
    if outcome.answer is None:
        written.set_aside.append(("write questions", window.name, outcome.reason))
        return
    for number, answer in enumerate(outcome.answer.questions, 1):
        found = checked_candidate(window, answer, settings)
        if isinstance(found, Candidate) and number > window.questions:
            found = f"the model wrote more than the {window.questions} questions asked for"
        if isinstance(found, Candidate):
            written.add(found, doc_of)
        else:
            reason = f"{found} (question: {_line(answer.question)[:120]})"
            written.set_aside.append(("check questions", window.name, reason))


def checked_candidate(window: Window, answer: QuestionAnswer, settings: SdgSettings) -> Candidate | str:
    """The checked question, or what is wrong with it.

    What the model calls multi_hop but supports with one hop is contextual.
    """
    if not _line(answer.question) or not _line(answer.answer):
        return "question or answer is empty"
    if answer.complexity < settings.min_complexity:
        return f"complexity {answer.complexity} is below sdg.min_complexity {settings.min_complexity}"
    if not settings.min_hops <= len(answer.hops) <= settings.max_hops:
        return f"{len(answer.hops)} hops are not within {settings.min_hops} to {settings.max_hops}"
    hops = [_checked_hop(window, hop) for hop in answer.hops]
    wrong = next((hop for hop in hops if isinstance(hop, str)), None)
    if wrong is not None:
        return wrong
    single = answer.query_type == "multi_hop" and len(hops) < 2
    return Candidate(
        question=_line(answer.question),
        answer=_line(answer.answer),
        query_type="contextual" if single else answer.query_type,
        reasoning_type=answer.reasoning_type,
        complexity=answer.complexity,
        hops=tuple(hop for hop in hops if isinstance(hop, Hop)),
        mask_evidence=False,
        generator=f"llm/{settings.llm.model}",
    )


def _checked_hop(window: Window, hop: HopAnswer) -> Hop | str:
    if not 1 <= hop.passage <= len(window.passages):
        return f"it cites passage {hop.passage} of {len(window.passages)}"
    passage = window.passages[hop.passage - 1]
    evidence = as_in(passage["text"], hop.evidence)
    if evidence is None:
        return f"its evidence does not stand in passage {passage['passage_id']}: {_line(hop.evidence)[:120]!r}"
    if len("".join(evidence.split())) < LEAST_EVIDENCE:
        return f"its evidence {_line(evidence)!r} is too short to tell anything"
    return Hop(passage["passage_id"], evidence, _line(hop.summary))


def _line(text: str) -> str:
    return " ".join(text.split())
