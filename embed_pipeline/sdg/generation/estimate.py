"""What a generation will cost, before it starts: calls, tokens, money, time."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

import polars as pl

from embed_pipeline.encoders.cached_encoder import CachedEncoder
from embed_pipeline.llm.engines import ChatEngine
from embed_pipeline.llm.estimate import (
    ARTIFACT_TOKENS,
    JUDGEMENT_TOKENS,
    QUESTION_PROMPT_TOKENS,
    QUESTION_TOKENS,
    Estimate,
    Step,
    estimate_of,
    estimated_tokens,
)
from embed_pipeline.llm.prompts import render, using_prompts
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline.llm.withheld import withheld_documents
from embed_pipeline.records import passage_text
from embed_pipeline.sdg.generation.artifacts import KINDS, artifacts_prompt, stored_artifacts
from embed_pipeline.sdg.generation.bundles import bundle_windows
from embed_pipeline.sdg.generation.generate import Corpus, Work
from embed_pipeline.sdg.generation.judge import Bench
from embed_pipeline.sdg.generation.questions import judgeable, question_prompt, stored_questions
from embed_pipeline.sdg.generation.windows import Window
from embed_pipeline.settings import SdgSettings

NOTE_SHARE = 0.7
"""Of an artifact's tokens that go into the prompt of step 2 (its importance does not)."""
BYTES_PER_TOKEN_OF_FILES = {".pdf": 15.0, ".docx": 15.0}
OTHER_FILES = 5.0
"""Text and mark-up; the others hold fonts, pictures and compressed text besides."""


def estimate_generation(corpus: Corpus, settings: SdgSettings, client: ChatEngine) -> Estimate:
    """Walk through the generation without asking: what is stored counts as answered, the rest is estimated.

    Args:
        corpus: its encoder tells which vectors are there, so that bundles need not be guessed; a
            :class:`~embed_pipeline.encoders.torch_encoder.CachedEncoder` is expected and no model is loaded.
    """
    with using_prompts(settings.prompts):
        work = Work(corpus, settings)
        steps = _steps(settings)
        entities = _estimate_notes(work.documents, settings, client, steps[0])
        guessed = _estimate_bundles(work, entities, settings)
        _estimate_notes(lambda: iter(work.bundles), settings, client, steps[0])
        usual = _estimate_questions(work, settings, client, steps)
        questions = guessed * settings.questions_per_bundle
        _add(steps, guessed, guessed * max(usual, settings.window_tokens), questions, settings)
        _add_judging(steps[2], questions, settings)
    return estimate_of(steps, settings, client.store)


def estimate_roughly(manifest: pl.DataFrame, settings: SdgSettings, store: ResponseStore) -> Estimate:
    """The same from the sizes of the files, before they were read.

    Args:
        manifest: :class:`embed_pipeline.tables.CorpusManifest`.
    """
    steps = _steps(settings)
    read = manifest.filter(pl.col("status") == "read").select("path", "bytes").rows()
    withheld = withheld_documents((path for path, _ in read), settings.llm)
    files = [(path, size) for path, size in read if path not in withheld]
    documents = len(files)
    tokens = sum(
        size / BYTES_PER_TOKEN_OF_FILES.get(PurePosixPath(path).suffix.lower(), OTHER_FILES) for path, size in files
    )
    windows = max(documents, tokens / settings.window_tokens)
    questions = max(settings.min_questions_per_document * documents, settings.questions_per_1000_tokens * tokens / 1000)
    bundles = documents // settings.bundle_size if settings.bundle_size > 1 else 0
    with using_prompts(settings.prompts):
        overhead = estimated_tokens(question_prompt(Window("", [], 1), [], settings))
    _add(steps, windows, tokens + windows * overhead, questions, settings)
    _add(
        steps, bundles, bundles * (settings.window_tokens + overhead), bundles * settings.questions_per_bundle, settings
    )
    _add_judging(steps[2], questions + bundles * settings.questions_per_bundle, settings)
    return estimate_of(steps, settings, store, rough=True)


def _steps(settings: SdgSettings) -> list[Step]:
    writer, judge = settings.llm.model or "", settings.llm.judge_model or settings.llm.model or ""
    return [Step("artifacts", writer), Step("questions", writer), Step("judge", judge)]


def _estimate_notes(
    windows: Callable[[], Iterator[Window]], settings: SdgSettings, client: ChatEngine, step: Step
) -> dict[str, set[str]]:
    """Count step 1; the entities that are known."""
    entities: dict[str, set[str]] = defaultdict(set)
    if settings.artifacts_per_kind == 0:
        return entities
    for window, notes in stored_artifacts(windows, settings, client):
        if notes is None:
            prompt = estimated_tokens(artifacts_prompt(window, settings))
            step.add(prompt, ARTIFACT_TOKENS * len(KINDS) * settings.artifacts_per_kind)
        else:
            step.known()
            entities[window.doc_ids[0]] |= {note["text"] for note in notes if note["kind"] == "entities"}
    return entities


def _estimate_bundles(work: Work, entities: dict[str, set[str]], settings: SdgSettings) -> int:
    """Find the bundles among documents whose vectors are there; how many more the others may make."""
    if settings.bundle_size < 2 or settings.max_hops < 2:
        return 0
    encoder = work.corpus.encoder
    texts = [passage_text(title, text) for title, text in work.shown.select("title", "text").iter_rows()]
    known = encoder.knows(texts, "passage") if isinstance(encoder, CachedEncoder) else [True] * len(texts)
    marked = work.shown.with_columns(known=pl.Series(known, dtype=pl.Boolean))
    complete = marked.filter(pl.col("known").all().over("doc_id")).drop("known")
    if complete.height:
        work.bundles = bundle_windows(work.corpus.documents, complete, entities, encoder, settings)
    others = work.shown["doc_id"].n_unique() - complete["doc_id"].n_unique()
    # One new document among known ones may well find a partner.
    return -(-others // settings.bundle_size) if complete.height else others // settings.bundle_size


def _estimate_questions(work: Work, settings: SdgSettings, client: ChatEngine, steps: Sequence[Step]) -> float:
    """Count step 2, and step 4 by the questions there will be; tokens of a usual prompt."""
    bench = Bench(work.corpus.passages, settings, client)
    notes = NOTE_SHARE * ARTIFACT_TOKENS * len(KINDS) * settings.artifacts_per_kind
    unjudged = usual = 0.0
    for window, outcome in stored_questions(work.everything, settings, client):
        usual = estimated_tokens(question_prompt(window, [], settings))
        if outcome is None:
            steps[1].add(usual + notes, QUESTION_TOKENS * window.questions)
            unjudged += window.questions
            continue
        steps[1].known()
        rows = judgeable(window, outcome, settings, work.doc_of)
        if any(bench.known(row) for row in rows):  # what it left out, the free filters refused
            steps[2].known(-(-len(rows) // settings.judge_batch))
        else:
            unjudged += len(rows)
    _add_judging(steps[2], unjudged, settings)
    return usual


def _add(steps: Sequence[Step], windows: float, prompt_tokens: float, questions: float, settings: SdgSettings) -> None:
    notes = windows * ARTIFACT_TOKENS * len(KINDS) * settings.artifacts_per_kind
    if settings.artifacts_per_kind:
        steps[0].add(prompt_tokens, notes, windows)
    steps[1].add(prompt_tokens + NOTE_SHARE * notes, QUESTION_TOKENS * questions, windows)


def _add_judging(step: Step, questions: float, settings: SdgSettings) -> None:
    calls = questions / settings.judge_batch
    rubric = estimated_tokens(render("judge", boundary="", passages=[], questions=[]))
    shown = rubric + min(settings.judge_batch, 3) * 200 + settings.judge_batch * QUESTION_PROMPT_TOKENS
    step.add(calls * shown, questions * JUDGEMENT_TOKENS, calls)
