"""Step 1: notes of what is worth asking about (the reference recipe's eight kinds of document artifacts)."""

from collections.abc import Callable, Iterable, Iterator

from embed_pipeline.llm.ask import Round, answered, ask_all
from embed_pipeline.llm.chat_api import StrictAnswer
from embed_pipeline.llm.engines import ChatEngine
from embed_pipeline.llm.prompts import boundary, render
from embed_pipeline.sdg.generation.windows import Window
from embed_pipeline.settings import SdgSettings

KINDS = (
    "key_concepts",
    "relationships",
    "themes",
    "entities",
    "processes",
    "insights",
    "technical_terms",
    "contextual_factors",
)
LONGEST = 300  # characters of a note that are passed on
Notes = list[dict[str, str]]


class ArtifactAnswer(StrictAnswer):
    """One thing worth asking about."""

    text: str
    description: str
    importance: str


class ArtifactsAnswer(StrictAnswer):
    """What the model is asked for."""

    key_concepts: list[ArtifactAnswer]
    relationships: list[ArtifactAnswer]
    themes: list[ArtifactAnswer]
    entities: list[ArtifactAnswer]
    processes: list[ArtifactAnswer]
    insights: list[ArtifactAnswer]
    technical_terms: list[ArtifactAnswer]
    contextual_factors: list[ArtifactAnswer]


def artifacts_prompt(window: Window, settings: SdgSettings) -> str:
    """The request of step 1."""
    return render(
        "artifacts",
        boundary=boundary(*window.texts),
        passages=window.numbered(),
        documents=len(window.doc_ids),
        per_kind=settings.artifacts_per_kind,
    )


def notes_of(answer: ArtifactsAnswer, per_kind: int) -> Notes:
    """At most ``per_kind`` notes of each kind, on one line each."""
    return [
        {"kind": kind, "text": _short(artifact.text), "description": _short(artifact.description)}
        for kind in KINDS
        for artifact in getattr(answer, kind)[:per_kind]
        if artifact.text.strip()
    ]


def extract_artifacts(
    windows: Callable[[], Iterable[Window]], total: int, settings: SdgSettings, client: ChatEngine
) -> Iterator[tuple[Window, Notes, str]]:
    """Ask for the artifacts of every window; (window, notes, reason why there are none).

    Raises:
        LLMAccessError, LLMUnavailableError, BudgetExceededError: see :func:`embed_pipeline.llm.ask.ask_all`.
    """
    outcomes = ask_all(_asking(settings, client), _prompts(windows, settings), total)
    for window, (_, outcome) in zip(windows(), outcomes, strict=True):
        notes = notes_of(outcome.answer, settings.artifacts_per_kind) if outcome.answer else []
        yield window, notes, "" if outcome.answer else outcome.reason


def stored_artifacts(
    windows: Callable[[], Iterable[Window]], settings: SdgSettings, client: ChatEngine
) -> Iterator[tuple[Window, Notes | None]]:
    """Every window with the notes that are stored, without asking; None where the model was not asked yet."""
    if settings.artifacts_per_kind == 0:
        yield from ((window, []) for window in windows())
        return
    known = answered(_asking(settings, client), _prompts(windows, settings))
    for window, (_, outcome) in zip(windows(), known, strict=True):
        if outcome is None:
            yield window, None
        else:
            yield window, notes_of(outcome.answer, settings.artifacts_per_kind) if outcome.answer else []


def _asking(settings: SdgSettings, client: ChatEngine) -> Round[ArtifactsAnswer]:
    return Round(client, settings.llm.model or "", ArtifactsAnswer, "note what is worth asking about")


def _prompts(windows: Callable[[], Iterable[Window]], settings: SdgSettings) -> Callable[[], Iterable[tuple[str, str]]]:
    return lambda: ((window.name, artifacts_prompt(window, settings)) for window in windows())


def _short(text: str) -> str:
    return " ".join(text.split())[:LONGEST]
