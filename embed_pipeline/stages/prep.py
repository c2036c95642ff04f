"""prep: splits, benchmark, hard negatives, training set."""

from functools import partial
from typing import TYPE_CHECKING, Any

from embed_pipeline import charts, tables
from embed_pipeline.errors import SettingsError
from embed_pipeline.files import sha256_json
from embed_pipeline.progress import say
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import StageRun, Version, stage
from embed_pipeline.stages.inputs import (
    BASE_MODEL,
    VALIDATION,
    base_model_external,
    offline_questions,
    responses,
    told_of,
)
from embed_pipeline.store.artifacts import Artifact
from embed_pipeline.store.names import plain_name

if TYPE_CHECKING:
    import polars as pl

    from embed_pipeline.encoders.spec import Encoder
    from embed_pipeline.llm.ledger import Ledger
    from embed_pipeline.prep.mining.negatives import DenoiserOf

SPLITTING = ("prep.seed", "prep.train_ratio", "prep.validation_ratio", "prep.test_ratio")
LEFT = "triplets.jsonl and the unrolled file leave them out (the table keeps them)"
CROSS_ENCODER = "prep.cross_encoder"
DENOISING = ("prep.denoise", CROSS_ENCODER, "sdg.llm", "sdg.llm.base_url", "sdg.prompts")
GIVEN = "rows_with_given_negatives"
"""In the summary of a training set: rows of questions that were brought along with their negatives."""
MINING = (
    "prep.seed",
    "prep.hard_negatives",
    "prep.mining_candidates",
    "prep.hard_negative_margin",
    "prep.hard_negative_absolute_margin",
    "prep.hard_negative_first_rank",
    "prep.hard_negative_last_rank",
    "prep.hard_negative_choice",
    "prep.exclude_same_document",
    "prep.denoise",
    "prep.denoise_threshold",
    "prep.relabel",
    "prep.relabel_threshold",
    "prep.approximate_above",
    "prep.approximate_index",
)


@stage(
    group="prep",
    version="5",
    storage="table",
    schema=tables.Splits,
    settings=SPLITTING,
    external=base_model_external,
    looks_at=BASE_MODEL,
    kinds=("polars", "parquet"),
)
def splits(run: StageRun, qa_pairs: Artifact, passages: Artifact, documents: Artifact) -> None:
    """Train, validation and test, by connected groups so that nothing leaks; what was test before stays test.

    Documents keep the split they have in the splits in use of this home, if prep.seed and the ratios are the same.
    That history is not part of the key: the same corpus can be split otherwise in another home, and a fresh home
    gives the pure function of corpus, questions and settings.
    """
    from embed_pipeline.prep.splits.overview import split_overview
    from embed_pipeline.prep.splits.split import split_items

    groups = documents.scan().select("doc_id", "group_id").collect()
    earlier = run.previous()
    previous = earlier.frame() if earlier is not None else None
    pairs, chosen = qa_pairs.frame(), run.settings.prep
    frame = split_items(pairs, passages.frame(), run.base_encoder(), chosen, groups, previous)
    run.write_table(frame)
    shown = split_overview(frame, pairs, chosen, previous)
    run.summary |= shown.summary
    run.charts |= shown.charts
    for line in shown.lines:
        say(line)


@stage(
    group="prep",
    version="6",
    storage="folder",
    external=base_model_external,
    looks_at=BASE_MODEL,
    kinds=("beir",),
)
def beir_benchmark(
    run: StageRun, splits: Artifact, qa_pairs: Artifact, passages: Artifact, documents: Artifact
) -> None:
    """The test split as a BEIR folder: corpus.jsonl, queries.jsonl, qrels/test.tsv.

    Questions of the offline generator are reworded (other words than their passage's); others stay as they are. Beside
    it lie the validation questions that choose how the fusion weighs; of these only imported ones stay as they are.
    """
    from embed_pipeline.evaluation.lexical import answered_by_words
    from embed_pipeline.formats.beir import write_judged, write_retrieval_set
    from embed_pipeline.prep.benchmark import build_retrieval_set
    from embed_pipeline.prep.rewording import reworded

    pairs, cut, parts, encoder = qa_pairs.frame(), passages.frame(), splits.frame(), run.base_encoder()
    built = build_retrieval_set(pairs, cut, parts, "test", "synthetic")
    measure = answered_by_words(built.passages)
    built = reworded(built, offline_questions(pairs), encoder, measure)
    write_retrieval_set(built, run.folder, "test", told_of(documents, passages, cut))
    validation = build_retrieval_set(pairs, cut, parts, "validation", "validation")
    if validation.queries:
        imported = set(pairs.filter(pairs["generator"] == "imported")["question_id"])
        validation = reworded(validation, set(validation.queries) - imported, encoder, measure)
        write_judged(validation, run.folder / VALIDATION, VALIDATION)
    run.summary |= {"queries": len(built.queries), "passages": len(built.passages)}


def denoising_external(settings: Settings) -> dict[str, Version]:
    """Who denoises: the cross-encoder, or the language model with its prompt."""
    chosen = settings.prep
    if chosen.denoise == "cross_encoder" and chosen.cross_encoder is not None:
        name = chosen.cross_encoder
        return {"cross_encoder": lambda _: _cross_encoder_version(name)}
    return {"llm": lambda _: _judge_version(settings)} if chosen.denoise == "llm" else {}


def _cross_encoder_version(name: str) -> str:
    from embed_pipeline.encoders.cross_encoder import find_cross_encoder

    return find_cross_encoder(name, CROSS_ENCODER).content_sha256  # refused before anything is computed


def _judge_version(settings: Settings) -> str:
    from embed_pipeline.llm.prices import check_budget
    from embed_pipeline.llm.prompts import prompt_texts

    llm = settings.sdg.llm
    if llm.base_url is None:
        raise SettingsError("prep.denoise is llm, but sdg.llm.base_url is not set; set it or use cross_encoder.")
    check_budget(settings.sdg)  # before anything is computed
    prompt = prompt_texts(settings.sdg.prompts)["relevance"]
    withheld = [list(llm.exclude)] if llm.exclude else []
    return sha256_json([llm.judge_model or llm.model, llm.temperature, llm.top_p, llm.max_tokens, prompt, *withheld])


def mining_external(settings: Settings) -> dict[str, Version]:
    """The base model, and who denoises."""
    return base_model_external(settings) | denoising_external(settings)


mining_stage = partial(
    stage,
    group="prep",
    version="5",
    storage="table",
    schema=tables.MinedNegatives,
    settings=MINING,
    device="gpu",
    kinds=("faiss", "parquet"),
    family="mined_negatives",
)


@mining_stage(external=mining_external, looks_at=(*BASE_MODEL, *DENOISING))
def mined_negatives(run: StageRun, splits: Artifact, qa_pairs: Artifact, passages: Artifact) -> None:
    """Hard negatives of the training questions, with the scores and what was dropped."""
    _mine(run, run.base_encoder(), splits, qa_pairs, passages)


@mining_stage(external=denoising_external, looks_at=DENOISING, alternative=True)
def mined_again(run: StageRun, checkpoint: Artifact, splits: Artifact, qa_pairs: Artifact, passages: Artifact) -> None:
    """Hard negatives of a later round: those that the model tuned in the round before takes for answers."""
    from embed_pipeline.encoders.spec import EncoderSpec

    _mine(run, run.encoder(EncoderSpec.load(checkpoint.path)), splits, qa_pairs, passages)


def _mine(run: StageRun, encoder: "Encoder", splits: Artifact, qa_pairs: Artifact, passages: Artifact) -> None:
    from embed_pipeline.encoders.torch_encoder import resolve_device
    from embed_pipeline.prep.mining.negatives import mine_negatives
    from embed_pipeline.prep.mining.relabel import relabelled_table

    device = resolve_device(run.settings.encoder.device)
    pairs, cut, parts = qa_pairs.frame(), passages.frame(), splits.frame()
    denoiser, ledger = _denoiser(run, pairs, cut)
    mined = mine_negatives(pairs, cut, parts, encoder, run.settings.prep, denoiser, device)
    run.write_table(mined.table)
    run.write_table(mined.rejected, "rejected", tables.RejectedNegatives)
    encoder.spec.save(run.folder)
    run.summary |= mined.summary
    run.charts |= _mining_charts(mined.table, mined.rejected)
    if run.settings.prep.relabel:
        run.charts["became positives"] = relabelled_table(mined.rejected, pairs, cut)
    if ledger is not None:
        run.cost |= ledger.totals()


def _denoiser(
    run: StageRun, qa_pairs: "pl.DataFrame", passages: "pl.DataFrame"
) -> "tuple[DenoiserOf | None, Ledger | None]":
    """Who looks at negatives once more, and the ledger if that costs money."""
    chosen = run.settings.prep
    if chosen.denoise == "none":
        return None, None
    if chosen.denoise == "cross_encoder":
        from embed_pipeline.encoders.base_model import find_base_model
        from embed_pipeline.encoders.cross_encoder import CrossEncoderModel
        from embed_pipeline.encoders.pair_scores import PairScores
        from embed_pipeline.prep.mining.denoisers import CrossEncoderDenoiser

        name, device = str(chosen.cross_encoder), run.settings.encoder.device
        version = find_base_model(name, setting=CROSS_ENCODER).content_sha256
        cache = run.home / "cache" / "cross_encoder.sqlite"
        scores = PairScores(cache, version, lambda: CrossEncoderModel.load(name, device).scores)
        limits = chosen.denoise_threshold, chosen.relabel_threshold
        return lambda asked, shown: CrossEncoderDenoiser(scores, *limits, asked, shown), None
    from embed_pipeline.llm.engines import open_client
    from embed_pipeline.prep.mining.denoisers import LlmDenoiser, withheld_texts

    sdg = run.settings.sdg
    client, ledger = open_client(sdg, responses(run.home), run.work.name)
    withheld = withheld_texts(qa_pairs, passages, sdg.llm)
    return lambda asked, shown: LlmDenoiser(sdg, client, asked, shown, withheld), ledger


def _mining_charts(table: "pl.DataFrame", rejected: "pl.DataFrame") -> dict[str, str]:
    reasons = rejected["reason"].value_counts(sort=True).sort("count", "reason", descending=[True, False])
    return {
        "scores": charts.histogram(
            "scores",
            {
                "positives": table["positive_scores"].explode().drop_nulls().to_list(),
                "hard negatives": table["negative_scores"].explode().drop_nulls().to_list(),
                "above the margin": rejected.filter(rejected["reason"] == "above_margin")["score"].to_list(),
            },
            "cosine",
        ),
        "rejected candidates": charts.table(("reason", "candidates"), reasons.rows()),
    }


@stage(
    group="prep",
    version="7",
    storage="table",
    schema=tables.TrainingSet,
    settings=("prep.imported_weight", "prep.leave_out_shared_words", "prep.name_documents"),
    kinds=("polars", "parquet", "json"),
    family="training_set",
)
def training_set(
    run: StageRun, mined_negatives: Artifact, qa_pairs: Artifact, passages: Artifact, splits: Artifact
) -> None:
    """One row per (question, positive), unrolled; beside it the recipe's JSON, triplets and the validation set.

    Rows of imported questions stand there prep.imported_weight times; in the files for other tools each stands once.
    What a later look found to answer a question (prep.relabel) is a positive of it.

    The mining args in the recipe's file are those the negatives were first computed with; they are not part of the
    key, since other settings may give the same negatives.
    """
    import polars as pl

    from embed_pipeline.formats.beir import write_retrieval_set
    from embed_pipeline.formats.training_export import write_recipe_files, write_triplets
    from embed_pipeline.prep.benchmark import build_retrieval_set
    from embed_pipeline.prep.mining.relabel import with_relabelled, with_relabelled_scores
    from embed_pipeline.prep.training_set import unroll, weighted, worded

    pairs, cut, parts = qa_pairs.frame(), passages.frame(), splits.frame()
    mined, rejected = mined_negatives.frame(), mined_negatives.frame("rejected")
    asked = worded(pairs, cut, offline_questions(pairs), run.settings.prep)
    once = unroll(with_relabelled(asked, rejected), mined, cut, parts)
    frame = weighted(once, pairs, run.settings.prep.imported_weight)
    run.write_table(frame)
    scored = with_relabelled_scores(mined, rejected)
    write_recipe_files(once, scored, cut, _mining_args(run, mined_negatives), run.folder)
    write_triplets(once, run.folder / "triplets.jsonl")
    validation = build_retrieval_set(pairs, cut, parts, "validation", "validation")
    if validation.queries:
        write_retrieval_set(validation, run.folder / "validation", "validation")
    bare = int((frame["negatives"].list.len() == 0).sum())
    brought = mined.filter((pl.col("source") == "given") & (pl.col("negative_ids").list.len() > 0))
    given = frame.filter(pl.col("question_id").is_in(brought["question_id"].implode())).height
    run.summary |= {
        "rows": frame.height,
        "rows_without_negatives": bare,
        GIVEN: given,
        "validation_queries": len(validation.queries),
    }
    if 0 < bare < frame.height:
        say(f"training_set: {bare} of {frame.height} rows have no negative; other tools' trainers need one, so {LEFT}")


def _mining_args(run: StageRun, mined_negatives: Artifact) -> dict[str, Any]:
    """What the recipe's file says about the mining; later rounds mine with the checkpoint of the one before."""
    from embed_pipeline.encoders.spec import EncoderSpec
    from embed_pipeline.formats.training_export import mining_args

    done = mined_negatives.manifest()
    tuned = next((version for name, version in done.inputs.items() if plain_name(name).startswith("checkpoint")), None)
    model = run.settings.base_model if tuned is None else f"checkpoint {tuned}"
    return mining_args(done.settings, EncoderSpec.load(mined_negatives.path), model)
