"""prep: splits, benchmark, hard negatives, training set."""

from typing import TYPE_CHECKING, Any

from embed_pipeline import charts, tables
from embed_pipeline.artifacts import Artifact
from embed_pipeline.defs.cache import StageRun, stage
from embed_pipeline.defs.sdg import base_model_external
from embed_pipeline.progress import say

if TYPE_CHECKING:
    from embed_pipeline.encoder import Encoder

SPLITTING = ("prep.seed", "prep.train_ratio", "prep.validation_ratio", "prep.test_ratio")
LEFT = "triplets.jsonl and the unrolled file leave them out (the table keeps them)"
MINING = ("prep.hard_negatives", "prep.hard_negative_margin")


@stage(
    group="prep",
    version="3",
    storage="table",
    schema=tables.Splits,
    settings=SPLITTING,
    external=base_model_external,
    kinds=("polars", "parquet"),
)
def splits(run: StageRun, qa_pairs: Artifact, passages: Artifact, documents: Artifact) -> None:
    """Train, validation and test, by connected groups so that nothing leaks; what was test before stays test.

    Documents keep the split they have in the splits in use of this home, if prep.seed and the ratios are the same.
    That history is not part of the key: the same corpus can be split otherwise in another home, and a fresh home
    gives the pure function of corpus, questions and settings.
    """
    from embed_pipeline.prep.split import split_items
    from embed_pipeline.prep.split_overview import split_overview

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


@stage(group="prep", version="1", storage="folder", kinds=("beir",))
def beir_benchmark(run: StageRun, splits: Artifact, qa_pairs: Artifact, passages: Artifact) -> None:
    """The test split as a BEIR folder: corpus.jsonl, queries.jsonl, qrels/test.tsv."""
    from embed_pipeline.beir_folder import write_retrieval_set
    from embed_pipeline.prep.benchmark import build_retrieval_set

    built = build_retrieval_set(qa_pairs.frame(), passages.frame(), splits.frame(), "test", "synthetic")
    write_retrieval_set(built, run.folder, "test")
    run.summary |= {"queries": len(built.queries), "passages": len(built.passages)}


@stage(
    group="prep",
    version="1",
    storage="table",
    schema=tables.MinedNegatives,
    settings=MINING,
    external=base_model_external,
    device="gpu",
    kinds=("faiss", "parquet"),
    family="mined_negatives",
)
def mined_negatives(run: StageRun, splits: Artifact, qa_pairs: Artifact, passages: Artifact) -> None:
    """Hard negatives of the training questions, with the scores and what was dropped."""
    _mine(run, run.base_encoder(), splits, qa_pairs, passages)


@stage(
    group="prep",
    version=mined_negatives.version,
    storage="table",
    schema=tables.MinedNegatives,
    settings=MINING,
    device="gpu",
    kinds=("faiss", "parquet"),
    family="mined_negatives",
)
def mined_again(run: StageRun, checkpoint: Artifact, splits: Artifact, qa_pairs: Artifact, passages: Artifact) -> None:
    """Hard negatives of a later round: those that the model tuned in the round before takes for answers."""
    from embed_pipeline.encoder import EncoderSpec

    _mine(run, run.encoder(EncoderSpec.load(checkpoint.path)), splits, qa_pairs, passages)


def _mine(run: StageRun, encoder: "Encoder", splits: Artifact, qa_pairs: Artifact, passages: Artifact) -> None:
    from embed_pipeline.prep.mine import mine_negatives

    frame = mine_negatives(qa_pairs.frame(), passages.frame(), splits.frame(), encoder, run.settings.prep)
    run.write_table(frame)
    found = frame["negative_ids"].list.len()
    run.summary |= {
        "questions": frame.height,
        "negatives": int(found.sum()),
        "questions_short_of_negatives": int((found < frame["asked"]).sum()),
        "dropped_by_margin": int(frame["dropped_by_margin"].sum()),
        "dropped_excluded": int(frame["dropped_excluded"].sum()),
        "encoder": encoder.spec.model_dump(mode="json", exclude={"model"}),
    }
    run.charts["scores"] = charts.histogram(
        "scores",
        {
            "positives": frame["positive_scores"].explode().drop_nulls().to_list(),
            "hard negatives": frame["negative_scores"].explode().drop_nulls().to_list(),
        },
        "cosine",
    )


@stage(
    group="prep",
    version="3",
    storage="table",
    schema=tables.TrainingSet,
    kinds=("polars", "parquet", "json"),
    family="training_set",
)
def training_set(
    run: StageRun, mined_negatives: Artifact, qa_pairs: Artifact, passages: Artifact, splits: Artifact
) -> None:
    """One row per (question, positive), unrolled; beside it the recipe's JSON, triplets and the validation set.

    The mining args in the recipe's file are those the negatives were first computed with; they are not part of the
    key, since other settings may give the same negatives.
    """
    from embed_pipeline.beir_folder import write_retrieval_set
    from embed_pipeline.prep.benchmark import build_retrieval_set
    from embed_pipeline.prep.formats import write_recipe_files, write_triplets
    from embed_pipeline.prep.unroll import unroll

    pairs, cut, parts = qa_pairs.frame(), passages.frame(), splits.frame()
    mined = mined_negatives.frame()
    frame = unroll(pairs, mined, cut, parts)
    run.write_table(frame)
    write_recipe_files(frame, mined, cut, _mining_args(run, mined_negatives), run.folder)
    write_triplets(frame, run.folder / "triplets.jsonl")
    validation = build_retrieval_set(pairs, cut, parts, "validation", "validation")
    if validation.queries:
        write_retrieval_set(validation, run.folder / "validation", "validation")
    bare = int((frame["negatives"].list.len() == 0).sum())
    run.summary |= {
        "rows": frame.height,
        "rows_without_negatives": bare,
        "validation_queries": len(validation.queries),
    }
    if 0 < bare < frame.height:
        say(f"training_set: {bare} of {frame.height} rows have no negative; other tools' trainers need one, so {LEFT}")


def _mining_args(run: StageRun, mined_negatives: Artifact) -> dict[str, Any]:
    """What the recipe's file says about the mining; later rounds mine with the checkpoint of the one before."""
    from embed_pipeline.prep.formats import mining_args

    done = mined_negatives.manifest()
    tuned = next((version for name, version in done.inputs.items() if name.startswith("checkpoint")), None)
    model = run.settings.base_model if tuned is None else f"checkpoint {tuned}"
    return mining_args(done.settings, done.summary.get("encoder", {}), model)
