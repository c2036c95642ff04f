"""sdg: candidate questions and the pairs that pass every filter."""

from typing import TYPE_CHECKING

from embed_pipeline import charts, tables
from embed_pipeline.artifacts import Artifact
from embed_pipeline.defs.cache import StageRun, stage
from embed_pipeline.settings import Settings

if TYPE_CHECKING:
    import polars as pl

GENERATION = (
    "sdg.engine",
    "sdg.seed",
    "sdg.questions_per_passage",
    "sdg.min_questions_per_document",
    "sdg.min_hops",
    "sdg.max_hops",
    "sdg.min_complexity",
    "sdg.llm",
)
FILTERS = (
    "sdg.seed",
    "sdg.max_questions",
    "sdg.min_question_chars",
    "sdg.max_question_chars",
    "sdg.dedup_threshold",
    "sdg.max_overlap",
    "sdg.round_trip_k",
    "sdg.judge_threshold",
)


def uses_llm(settings: Settings) -> bool:
    """Whether a chat endpoint writes the questions."""
    sdg = settings.sdg
    return sdg.engine == "llm" or (sdg.engine == "auto" and sdg.llm.base_url is not None)


def generation_external(settings: Settings) -> dict[str, str]:
    """Imported questions, or the prompts."""
    from embed_pipeline.sdg.imports import import_fingerprint
    from embed_pipeline.sdg.prompts import prompts_fingerprint

    if settings.sdg.import_from is not None:
        return {"import_from": import_fingerprint(settings.sdg.import_from.expanduser())}
    return {"prompts": prompts_fingerprint()} if uses_llm(settings) else {}


def base_model_external(settings: Settings) -> dict[str, str]:
    """The base model's content and how it encodes."""
    from embed_pipeline.encoder import base_encoder_spec

    return {"base_model": base_encoder_spec(settings.base_model, settings.encoder).version()}


@stage(
    group="sdg",
    version="1",
    storage="table",
    schema=tables.QaCandidates,
    settings=GENERATION,
    external=generation_external,
    kinds=("polars", "parquet"),
)
def qa_candidates(run: StageRun, documents: Artifact, passages: Artifact) -> None:
    """Every question: written by an LLM, by the offline generator, or imported."""
    sdg = run.settings.sdg
    if sdg.import_from is not None:
        from embed_pipeline.sdg.imports import import_questions

        frame = import_questions(sdg.import_from.expanduser(), passages.frame(), documents.frame())
    elif uses_llm(run.settings):
        from embed_pipeline.sdg.llm import write_questions

        result = write_questions(documents.frame(), passages.frame(), sdg, run.responses())
        frame = result.candidates
        run.write_table(result.set_aside, "set_aside")
        run.cost |= result.usage
        run.summary["set_aside"] = result.set_aside.height
    else:
        from embed_pipeline.sdg.offline import generate_offline

        frame = generate_offline(documents.frame(), passages.frame(), sdg)
    run.write_table(frame)
    run.summary["candidates"] = frame.height
    run.charts["candidates by recipe"] = charts.bars("candidates by recipe", _counts(frame, "generator"), "questions")


@stage(
    group="sdg",
    version="1",
    storage="table",
    schema=tables.QaPairs,
    settings=FILTERS,
    external=base_model_external,
    device="gpu",
    kinds=("polars", "parquet"),
)
def qa_pairs(run: StageRun, qa_candidates: Artifact, passages: Artifact) -> None:
    """Candidates that passed all filters and the global deduplication; the rejected lie beside, with reasons."""
    from embed_pipeline.sdg.filters import select_pairs

    chosen = select_pairs(qa_candidates.frame(), passages.frame(), run.base_encoder(), run.settings.sdg)
    run.write_table(chosen.pairs)
    run.write_table(chosen.rejected, "rejected", tables.RejectedCandidates)
    asked = set(chosen.pairs["passage_ids"].explode().to_list())
    run.summary |= {
        "questions": chosen.pairs.height,
        "rejected": chosen.rejected.height,
        "passages_asked_about": len(asked),
    }
    run.charts["funnel"] = charts.bars(
        "funnel", {name: float(count) for name, count in chosen.funnel.items()}, "questions"
    )
    run.charts["query types"] = charts.bars("query types", _counts(chosen.pairs, "query_type"), "questions")
    scores = chosen.pairs["score"].drop_nulls().to_list()
    if scores:
        run.charts["judge scores"] = charts.histogram("judge scores", {"kept": scores}, "score")


def _counts(frame: "pl.DataFrame", column: str) -> dict[str, float]:
    counted = frame[column].value_counts(sort=True)
    return {str(name): float(count) for name, count in counted.iter_rows()}
