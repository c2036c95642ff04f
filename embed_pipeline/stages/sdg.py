"""sdg: candidate questions and the pairs that pass every filter."""

from pathlib import Path
from typing import TYPE_CHECKING

from embed_pipeline import charts, tables
from embed_pipeline.progress import say
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import StageRun, Version, stage
from embed_pipeline.stages.inputs import BASE_MODEL, base_model_external, responses, uses_llm
from embed_pipeline.store.artifacts import Artifact

if TYPE_CHECKING:
    import polars as pl

    from embed_pipeline.sdg.generation.generate import GenerationResult

FREE_FILTERS = (
    "sdg.min_question_chars",
    "sdg.max_question_chars",
    "sdg.dedup_threshold",
    "sdg.max_overlap",
    "sdg.round_trip_k",
)
OPINIONS = ("sdg.judge_threshold", "sdg.closed_book_check")
GENERATION = (
    "sdg.engine",
    "sdg.also_generate",
    "sdg.seed",
    "sdg.max_questions",
    "sdg.questions_per_passage",
    "sdg.artifacts_per_kind",
    "sdg.window_tokens",
    "sdg.questions_per_1000_tokens",
    "sdg.min_questions_per_document",
    "sdg.bundle_size",
    "sdg.bundle_similarity",
    "sdg.questions_per_bundle",
    "sdg.query_mix",
    "sdg.min_hops",
    "sdg.max_hops",
    "sdg.min_complexity",
    "sdg.judge_batch",
    "sdg.llm",
    # What the free filters refuse is not judged; what the judge refuses is not checked further.
    *FREE_FILTERS,
    *OPINIONS,
)
FILTERS = ("sdg.seed", "sdg.max_questions", *FREE_FILTERS, *OPINIONS)


def generation_external(settings: Settings) -> dict[str, Version]:
    """Imported questions, and the prompts and the base model, which relates documents and tells questions apart."""
    given = settings.sdg.import_from
    found: dict[str, Version] = {} if given is None else {"import_from": lambda _: _import_version(given)}
    if uses_llm(settings):
        found |= {"prompts": lambda _: _prompts_version(settings), **base_model_external(settings)}
    return found


def _import_version(path: Path) -> str:
    from embed_pipeline.sdg.exchange.read import import_fingerprint

    return import_fingerprint(path.expanduser())


def _prompts_version(settings: Settings) -> str:
    from embed_pipeline.llm.prices import check_budget
    from embed_pipeline.llm.prompts import prompts_fingerprint

    check_budget(settings.sdg)  # before anything is computed
    return prompts_fingerprint(settings.sdg.prompts)


@stage(
    group="sdg",
    version="6",
    storage="table",
    schema=tables.QaCandidates,
    settings=GENERATION,
    external=generation_external,
    looks_at=("sdg.engine", "sdg.import_from", "sdg.prompts", "sdg.llm.base_url", *BASE_MODEL),
    kinds=("polars", "parquet"),
)
def qa_candidates(run: StageRun, documents: Artifact, passages: Artifact) -> None:
    """Every question: written by an LLM or by the offline generator, imported, or both."""
    from embed_pipeline.sdg.candidates import joined

    sdg = run.settings.sdg
    frame, set_aside = _imported(run, documents, passages)
    brought = frame.height
    if uses_llm(run.settings):
        written = _written_by_llm(run, documents, passages, frame)
        frame, set_aside = joined(frame, written.candidates), set_aside.vstack(written.set_aside)
    elif sdg.generates:
        from embed_pipeline.sdg.offline.generate import generate_offline
        from embed_pipeline.store.kept import Kept

        with Kept.of(run.home, "words") as kept:
            frame = joined(frame, generate_offline(documents.frame(), passages.frame(), sdg, kept))
    if sdg.import_from is not None or uses_llm(run.settings):
        _show_set_aside(run, set_aside)
    run.write_table(frame)
    run.summary["candidates"] = frame.height
    if brought and sdg.generates:
        run.summary |= {"imported": brought, "generated": frame.height - brought}
    run.charts["candidates by recipe"] = charts.bars("candidates by recipe", _counts(frame, "generator"), "questions")


def _imported(run: StageRun, documents: Artifact, passages: Artifact) -> "tuple[pl.DataFrame, pl.DataFrame]":
    """Candidates of ``sdg.import_from`` and what of it was set aside; empty without it."""
    place = run.settings.sdg.import_from
    if place is None:
        return tables.empty(tables.QaCandidates), tables.empty(tables.SetAside)
    from embed_pipeline.sdg.exchange.read import read_questions

    cut = run.settings.corpus.split_long_rows and documents.json("corpus")["kind"] in ("beir", "training")
    read = read_questions(place.expanduser(), passages.frame(), documents.frame(), cut)
    return read.candidates, read.set_aside


def _written_by_llm(
    run: StageRun, documents: Artifact, passages: Artifact, brought: "pl.DataFrame"
) -> "GenerationResult":
    from embed_pipeline.llm.engines import open_client
    from embed_pipeline.sdg.generation import overview as llm_overview
    from embed_pipeline.sdg.generation.estimate import estimate_generation
    from embed_pipeline.sdg.generation.generate import Corpus, write_questions

    sdg = run.settings.sdg
    corpus = Corpus(documents.frame(), passages.frame(), run.base_encoder())
    client, ledger = open_client(sdg, responses(run.home), run.work.name)
    say(f"qa_candidates: {estimate_generation(corpus, sdg, client).line()}")
    result = write_questions(corpus, sdg, client, ledger, brought)
    spending = llm_overview.spending_frame(result.by_model)
    run.write_table(spending, "ledger", tables.Spending)
    run.cost |= result.usage
    run.summary |= result.counts
    run.charts["cost"] = llm_overview.cost_table(spending)
    return result


def _show_set_aside(run: StageRun, set_aside: "pl.DataFrame") -> None:
    from embed_pipeline.sdg.generation.overview import set_aside_table

    run.write_table(set_aside, "set_aside", tables.SetAside)
    run.summary["set_aside"] = set_aside.height
    if set_aside.height:
        run.charts["set aside"] = set_aside_table(set_aside)


@stage(
    group="sdg",
    version="4",
    storage="table",
    schema=tables.QaPairs,
    settings=FILTERS,
    external=base_model_external,
    looks_at=BASE_MODEL,
    device="gpu",
    kinds=("polars", "parquet"),
)
def qa_pairs(run: StageRun, qa_candidates: Artifact, passages: Artifact) -> None:
    """Candidates that passed all filters and the global deduplication; the rejected lie beside, with reasons."""
    from embed_pipeline.sdg.filters.overview import overview
    from embed_pipeline.sdg.filters.select import select_pairs

    frame = passages.frame()
    chosen = select_pairs(qa_candidates.frame(), frame, run.base_encoder(), run.settings.sdg)
    shown = overview(chosen, frame)
    run.write_table(chosen.pairs)
    run.write_table(chosen.rejected, "rejected", tables.RejectedCandidates)
    run.write_table(shown.coverage, "coverage", tables.Coverage)
    run.summary |= shown.summary
    run.charts |= shown.charts


def _counts(frame: "pl.DataFrame", column: str) -> dict[str, float]:
    counted = frame[column].value_counts(sort=True)
    return {str(name): float(count) for name, count in counted.iter_rows()}
