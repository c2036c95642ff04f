"""Questions by a language model, in four steps.

::

    documents ─ windows ─┬─ 1 artifacts ─ 2 questions ─┐
                         └─ bundles of related ones ───┴─ 3 free filters, one of each kind ─ 4 judge ─ candidates
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.errors import SettingsError
from embed_pipeline.llm.engines import ChatEngine
from embed_pipeline.llm.ledger import Ledger
from embed_pipeline.llm.prompts import using_prompts
from embed_pipeline.llm.withheld import unused_patterns, withheld_documents
from embed_pipeline.progress import say
from embed_pipeline.sdg.candidates import joined, set_aside_frame
from embed_pipeline.sdg.filters.select import refused_before_judging
from embed_pipeline.sdg.generation.artifacts import extract_artifacts
from embed_pipeline.sdg.generation.bundles import bundle_windows
from embed_pipeline.sdg.generation.closed_book import check_closed_book
from embed_pipeline.sdg.generation.judge import judge_questions
from embed_pipeline.sdg.generation.questions import Written, generate_questions
from embed_pipeline.sdg.generation.windows import Window, document_windows, shown_passages
from embed_pipeline.settings import SdgSettings


@dataclass(frozen=True)
class GenerationResult:
    """Questions of a language model.

    Attributes:
        candidates: :class:`embed_pipeline.tables.QaCandidates`; those the free filters refuse are not judged.
        set_aside: :class:`embed_pipeline.tables.SetAside`, what could not be used.
        counts: windows, bundles, written, set_aside, judged.
        usage: totals of the ledger: requests, prompt_tokens, completion_tokens, usd, estimated, seconds.
        by_model: the same for each model.
    """

    candidates: pl.DataFrame
    set_aside: pl.DataFrame
    counts: dict[str, int]
    usage: dict[str, float]
    by_model: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Corpus:
    """What is asked about.

    Attributes:
        encoder: the base model, which relates documents and tells questions apart.
    """

    documents: pl.DataFrame
    passages: pl.DataFrame
    encoder: Encoder


@dataclass
class Work:
    """The windows of a corpus; bundles are known once the documents' entities are."""

    corpus: Corpus
    settings: SdgSettings
    shown: pl.DataFrame = field(init=False)
    bundles: list[Window] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = self.corpus.passages.filter(pl.col("doc_id").is_in(self.corpus.documents["doc_id"].implode()))
        self.withheld = withheld_documents(self.corpus.documents["doc_id"], self.settings.llm)
        if self.withheld:
            known = known.filter(~pl.col("doc_id").is_in(list(self.withheld)))
        self.shown = shown_passages(known, self.settings.window_tokens)
        self.single = sum(1 for _ in document_windows(self.shown, self.settings))
        self.doc_of: dict[str, str] = dict(known.select("passage_id", "doc_id").iter_rows())

    def documents(self) -> Iterator[Window]:
        """Windows of single documents, in order."""
        return document_windows(self.shown, self.settings)

    def everything(self) -> Iterator[Window]:
        """Those, then the bundles."""
        yield from self.documents()
        yield from self.bundles

    def relate(self, entities: Mapping[str, set[str]]) -> None:
        """Find the bundles."""
        corpus = self.corpus
        self.bundles = bundle_windows(corpus.documents, self.shown, entities, corpus.encoder, self.settings)

    @property
    def total(self) -> int:
        """Number of windows of all kinds."""
        return self.single + len(self.bundles)


def write_questions(
    corpus: Corpus,
    settings: SdgSettings,
    client: ChatEngine,
    ledger: Ledger,
    imported: pl.DataFrame | None = None,
) -> GenerationResult:
    """Notes and questions by ``llm.model``, free filters, then ``llm.judge_model``; every answer is stored.

    Args:
        client, ledger: see :func:`open_client`.
        imported: :class:`embed_pipeline.tables.QaCandidates` that stand beside; what says the same as one of them is
            not judged. They are not part of the result.

    Raises:
        LLMAccessError: key, model or address unusable.
        LLMUnavailableError: the endpoint kept failing; answers received so far are stored.
        BudgetExceededError: ``budget_usd`` or ``budget_tokens`` is reached; the same holds.
        SettingsError: a prompt of one's own cannot be used, or ``llm.exclude`` leaves no document.
    """
    with using_prompts(settings.prompts):
        work = Work(corpus, settings)
        _tell_withheld(work)
        without_notes = take_notes(work, settings, client)
        written = generate_questions(work.everything, work.total, work.doc_of, settings, client)
        beside = written.candidates.clear() if imported is None else imported
        candidates, judged = _judge(written.candidates, beside, corpus, settings, client)
    set_aside = set_aside_frame(sorted([*without_notes, *written.set_aside]))
    _report_set_aside(written)
    return GenerationResult(
        candidates=candidates,
        set_aside=set_aside,
        counts={
            "windows": work.single,
            "bundles": len(work.bundles),
            "written": candidates.height,
            "set_aside": set_aside.height,
            "judged": judged,
        },
        usage=ledger.totals(),
        by_model=ledger.by_model(),
    )


def take_notes(work: Work, settings: SdgSettings, client: ChatEngine) -> list[tuple[str, str, str]]:
    """Step 1 for every document, then for the bundles that their entities and vectors make; what is set aside."""
    entities: dict[str, set[str]] = defaultdict(set)
    set_aside = []
    if settings.artifacts_per_kind:
        for window, notes, reason in extract_artifacts(work.documents, work.single, settings, client):
            for note in notes:
                if note["kind"] == "entities":
                    entities[window.doc_ids[0]].add(note["text"])
            if reason:
                set_aside.append(("note artifacts", window.name, reason))
    work.relate(entities)
    if settings.artifacts_per_kind and work.bundles:
        bundles: Callable[[], Iterator[Window]] = lambda: iter(work.bundles)  # noqa: E731 - called twice
        noted = extract_artifacts(bundles, len(work.bundles), settings, client)
        set_aside += [("note artifacts", window.name, reason) for window, _, reason in noted if reason]
    return set_aside


def _judge(
    candidates: pl.DataFrame, imported: pl.DataFrame, corpus: Corpus, settings: SdgSettings, client: ChatEngine
) -> tuple[pl.DataFrame, int]:
    """Judge what the free filters let pass beside the imported; the candidates, and how many were judged."""
    candidates = candidates.join(imported, on="question_id", how="anti")
    refused = refused_before_judging(joined(imported, candidates), corpus.passages, corpus.encoder, settings)
    free = pl.col("question_id").is_in(list(refused))
    judged = judge_questions(candidates.filter(~free), corpus.passages, settings, client)
    if settings.closed_book_check:
        judged = check_closed_book(judged, settings, client)
    both = pl.concat([judged, candidates.filter(free)]).sort("question_id")
    return both, judged["score"].count()


def _tell_withheld(work: Work) -> None:
    ids, llm = work.corpus.documents["doc_id"].to_list(), work.settings.llm
    if not llm.exclude:
        return
    if ids and len(work.withheld) == len(ids):
        raise SettingsError(
            f"sdg.llm.exclude keeps all {len(ids)} documents from the language model, so that nothing is left to ask "
            "about. Take a pattern out, or set sdg.engine to offline."
        )
    say(
        f"sdg.llm.exclude: {len(work.withheld)} of {len(ids)} documents are not shown to a language model; no "
        "questions are written about them."
    )
    unused = unused_patterns(ids, llm)
    if unused:
        say(f"warning: sdg.llm.exclude: no document fits {', '.join(map(repr, unused))}; are they spelled right?")


def _report_set_aside(written: Written) -> None:
    if written.set_aside:
        step, record, reason = min(written.set_aside)
        say(f"{step}: {len(written.set_aside)} set aside, for example {record}: {reason}")
