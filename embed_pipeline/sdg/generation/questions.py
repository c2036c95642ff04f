"""Step 2: questions about windows of documents, each with evidence that is checked to stand in its passage."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import polars as pl
from pydantic import BeforeValidator, Field

from embed_pipeline.llm.ask import Outcome, Round, answered, ask_all
from embed_pipeline.llm.chat_api import StrictAnswer
from embed_pipeline.llm.engines import ChatEngine
from embed_pipeline.llm.prompts import boundary, render
from embed_pipeline.sdg.candidates import Candidate, Hop, candidates_frame, type_name
from embed_pipeline.sdg.generation.artifacts import Notes, stored_artifacts
from embed_pipeline.sdg.generation.windows import Window, query_type_counts
from embed_pipeline.settings import SdgSettings
from embed_pipeline.text.quotations import as_in

LEAST_EVIDENCE = 4  # characters; less stands everywhere

Windows = Callable[[], Iterable[Window]]


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
        Literal["multi_hop", "structural", "contextual", "keyword", "paraphrase"], BeforeValidator(type_name)
    ]
    reasoning_type: Annotated[
        Literal["factual", "relational", "inferential", "temporal", "procedural", "causal", "visual"],
        BeforeValidator(type_name),
    ]
    complexity: int = Field(ge=1, le=5)
    hops: list[HopAnswer]


class QuestionsAnswer(StrictAnswer):
    """What the model is asked for."""

    questions: list[QuestionAnswer]


class Written(NamedTuple):
    """Questions of a language model.

    Attributes:
        candidates: :class:`embed_pipeline.tables.QaCandidates`, not judged.
        set_aside: (step, record, reason) of what cannot be used: whole windows without a usable answer, and single
            questions that break the rules.
    """

    candidates: pl.DataFrame
    set_aside: list[tuple[str, str, str]]


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
    windows: Windows, total: int, doc_of: Mapping[str, str], settings: SdgSettings, client: ChatEngine
) -> Written:
    """Ask about every window, with the notes of step 1 where they are stored.

    A question is kept when its passage numbers exist, each piece of evidence stands word for word in its
    passage, and complexity and hops are within the settings; no window gives more questions than asked for.

    Args:
        windows: gives the windows, as often as it is called.
        doc_of: passage id -> document id.

    Raises:
        LLMAccessError, LLMUnavailableError, BudgetExceededError: see :func:`embed_pipeline.llm.ask.ask_all`.
    """
    set_aside: list[tuple[str, str, str]] = []
    outcomes = ask_all(_asking(settings, client), question_prompts(windows, settings, client), total)
    answers = zip(windows(), outcomes, strict=True)
    kept = (
        candidate for window, (_, outcome) in answers for candidate in _checked(window, outcome, settings, set_aside)
    )
    return Written(candidates_frame(kept, doc_of), set_aside)


def question_prompts(windows: Windows, settings: SdgSettings, client: ChatEngine) -> Callable[[], Iterator[Any]]:
    """(window name, prompt) of every window; a window nobody took notes of is asked about without."""
    return lambda: (
        (window.name, question_prompt(window, notes or [], settings))
        for window, notes in stored_artifacts(windows, settings, client)
    )


def stored_questions(
    windows: Windows, settings: SdgSettings, client: ChatEngine
) -> Iterator[tuple[Window, Outcome[QuestionsAnswer] | None]]:
    """Every window with the stored answer, without asking; None where the model was not asked yet."""
    known = answered(_asking(settings, client), question_prompts(windows, settings, client))
    for window, (_, outcome) in zip(windows(), known, strict=True):
        yield window, outcome


def judgeable(
    window: Window, outcome: Outcome[QuestionsAnswer], settings: SdgSettings, doc_of: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The questions of a stored answer that pass the rules, as rows for the judge."""
    return candidates_frame(_checked(window, outcome, settings, []), doc_of).to_dicts()


def _asking(settings: SdgSettings, client: ChatEngine) -> Round[QuestionsAnswer]:
    return Round(client, settings.llm.model or "", QuestionsAnswer, "write questions")


def _checked(
    window: Window,
    outcome: Outcome[QuestionsAnswer],
    settings: SdgSettings,
    set_aside: list[tuple[str, str, str]],
) -> Iterator[Candidate]:
    """The questions of an answer that pass the rules; what does not is added to ``set_aside``."""
    if outcome.answer is None:
        set_aside.append(("write questions", window.name, outcome.reason))
        return
    for number, answer in enumerate(outcome.answer.questions, 1):
        checked = checked_candidate(window, answer, settings)
        if isinstance(checked, Candidate) and number > window.questions:
            checked = f"the model wrote more than the {window.questions} questions asked for"
        if isinstance(checked, Candidate):
            yield checked
        else:
            reason = f"{checked} (question: {_line(answer.question)[:120]})"
            set_aside.append(("check questions", window.name, reason))


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
