"""reranker and reranker_metrics: a cross-encoder from the same questions; only where finetune.reranker is on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline import charts, tables
from embed_pipeline.files import write_json, write_text
from embed_pipeline.progress import say
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage, StageRun, Version, stage
from embed_pipeline.stages.eval import RUNS, read_base_evaluation
from embed_pipeline.stages.inputs import (
    BASE_MODEL,
    EVALUATED,
    MEASURING,
    VALIDATION,
    development_set,
    evaluated_external,
    evaluated_sets,
    reworded_validation,
)
from embed_pipeline.store.artifacts import Artifact

if TYPE_CHECKING:
    from collections.abc import Callable

    from embed_pipeline.evaluation.reranking import Known, PairScorer
    from embed_pipeline.finetune.reranker_pairs import FirstStage
    from embed_pipeline.records import RetrievalSet

NAME = "reranker"
METRICS = "reranker_metrics"
SWITCH = "finetune.reranker"
MODEL = "finetune.reranker_model"
TRAINED_BY = (
    *("finetune.seed", "finetune.training_share", "finetune.weight_decay", "finetune.max_grad_norm"),
    *("finetune.precision", "finetune.max_query_length", "finetune.max_passage_length"),
    *("finetune.reranker_epochs", "finetune.reranker_max_steps", "finetune.reranker_batch_size"),
    *("finetune.reranker_learning_rate", "finetune.reranker_negatives", "finetune.reranker_max_length"),
)
SHOWN = ("test_set", "system", "ndcg_at_10", "recall_at_10", "delta", "p_corrected", "milliseconds")


def reranker_stages(settings: Settings) -> list[Stage]:
    """The two assets; none where there is to be no reranker."""
    return [reranker, reranker_metrics] if settings.finetune.reranker else []


def reranker_external(settings: Settings) -> dict[str, Version]:
    """The base model, and what the reranker is trained from where that is another; what cannot work is refused here."""
    return {"base_model": lambda _: _base_version(settings)} | _model_external(settings)


def _base_version(settings: Settings) -> str:
    from embed_pipeline.encoders.base_model import base_encoder_spec
    from embed_pipeline.finetune.reranker_model import check_reranker

    spec = base_encoder_spec(settings.base_model, settings.encoder)
    check_reranker(Path(spec.model), settings.finetune)  # before anything is computed
    return spec.version()


def reranked_external(settings: Settings) -> dict[str, Version]:
    """The test sets, and the untrained reranker that is measured beside."""
    return evaluated_external(settings) | _model_external(settings)


def _model_external(settings: Settings) -> dict[str, Version]:
    name = settings.finetune.reranker_model
    return {} if name is None else {"reranker_model": lambda _: _model_version(name)}


def _model_version(name: str) -> str:
    from embed_pipeline.encoders.base_model import find_base_model

    return find_base_model(name, setting=MODEL).content_sha256


@stage(
    group="finetune",
    version="3",
    storage="model",
    settings=(*TRAINED_BY, "eval.bm25"),
    external=reranker_external,
    looks_at=(MODEL, *BASE_MODEL),
    device="gpu",
    kinds=("pytorch", "huggingface"),
    alternative=True,
)
def reranker(run: StageRun, training_set: Artifact, beir_benchmark: Artifact) -> None:
    """A cross-encoder tuned on the training questions and their mined negatives; validation picked the checkpoint.

    And how much its score should weigh beside that of the search; 0: it is of no use there.
    """
    from embed_pipeline.finetune.job import read_training_rows
    from embed_pipeline.finetune.reranker import train_reranker

    report = train_reranker(
        read_training_rows(training_set.path),
        _validation(run, training_set, beir_benchmark),
        Path(run.base_encoder().spec.model),
        run.settings.finetune,
        run.folder,
        run.work,
        run.settings.encoder.device,
    )
    run.summary |= {
        "questions": report.questions,
        "pairs": report.pairs,
        "max_length": report.max_length,
        "steps": report.steps,
        "best_step": report.best_step,
        "final_loss": report.final_loss,
        "validation_ndcg_at_10_before": report.first_stage_validation,
        "validation_ndcg_at_10": report.best_validation,
        "validation_ndcg_at_10_alone": report.alone,
        "weight": report.weight,
    }
    losses = [(entry["step"], entry["loss"]) for entry in report.log]
    run.charts["loss"] = charts.lines("loss", {"training loss": losses}, "step", "loss")
    run.charts["validation"] = charts.lines("validation", {"nDCG@10": report.validations}, "step", "nDCG@10")


def _validation(run: StageRun, training_set: Artifact, beir_benchmark: Artifact) -> "FirstStage | None":
    """The validation questions with what BM25 and the base model, fused, find for them.

    As they were written, which BM25 answers well, so that the reranker gets its weight only where it is of use beside
    that: reworded as the benchmark's are, they gave it twice the weight that questions of people bear. How the fusion
    weighs is chosen by the reworded ones, as where the reranker is used.
    """
    from embed_pipeline.evaluation.fusion_weight import fusion_with
    from embed_pipeline.evaluation.lexical import found_by_words
    from embed_pipeline.evaluation.retrieve import dense_run
    from embed_pipeline.evaluation.systems import DEPTH
    from embed_pipeline.finetune.reranker_pairs import first_stage
    from embed_pipeline.formats.beir import read_retrieval_set
    from embed_pipeline.retrieval.fusion import convex

    folder, chosen = training_set.path / VALIDATION, run.settings.eval
    if not folder.is_dir():
        return None
    encoder = run.base_encoder()
    weight = fusion_with(reworded_validation(beir_benchmark), encoder, chosen, k=DEPTH).weight
    held = read_retrieval_set(folder, VALIDATION, VALIDATION, kind="validation")
    sparse = found_by_words(held, chosen, DEPTH)
    found = convex(sparse, dense_run(held, encoder, DEPTH), DEPTH, weight)
    return first_stage(held, found, run.settings.finetune.seed)


@stage(
    group="eval",
    version="2",
    storage="table",
    schema=tables.RerankerMetrics,
    settings=(*MEASURING, "eval.rerank_depth"),
    external=reranked_external,
    looks_at=(*EVALUATED, MODEL),
    device="gpu",
    kinds=("beir", "parquet", "html"),
    alternative=True,
)
def reranker_metrics(
    run: StageRun,
    reranker: Artifact,
    checkpoint: Artifact,
    base_metrics: Artifact,
    beir_benchmark: Artifact,
    passages: Artifact,
) -> None:
    """The hybrid reranked, beside BM25, the model alone and the hybrid: quality, significance, cost of a query.

    It does not wait for the verdict on the model: a reranker may be what helps where tuning did not.
    """
    from embed_pipeline.evaluation.report import svg_systems
    from embed_pipeline.evaluation.reranker_page import reranker_page
    from embed_pipeline.evaluation.reranking import evaluate_reranked
    from embed_pipeline.finetune.reranker import read_report
    from embed_pipeline.store.reports import REPORT

    sets = evaluated_sets(run.settings, beir_benchmark, passages)
    known = _known(run, checkpoint, base_metrics, sets, development_set(run.settings, beir_benchmark, passages))
    folders = _rerankers(run, reranker)
    trained = read_report(reranker.path)
    longest = trained["max_length"]
    costs = _costs(run, checkpoint, sets, known, {name: _load(run, one, longest)() for name, one in folders.items()})
    scorers = {name: _remembering(run, one, longest) for name, one in folders.items()}
    found = evaluate_reranked(sets, known, scorers, costs, run.settings.eval, trained["weight"])
    run.write_table(found.table)
    run.write_table(found.query_metrics, "query_metrics", tables.QueryMetrics)
    run.write_table(found.runs, RUNS, tables.Runs)
    write_json(run.folder / "summary.json", found.summary)
    write_text(run.folder / REPORT, reranker_page(found.summary, found.table.to_dicts()))
    say(found.summary["sentence"])
    decided = found.summary["decisions"][found.summary["decided_on"]]
    run.summary |= {"sentence": found.summary["sentence"], "best": decided["best"]}
    run.summary |= {"reranker_verdict": found.summary["verdict"], "weight": found.summary["weight"]}
    run.summary |= {
        f"{row['test_set']}_{row['system']}_ndcg_at_10": row["ndcg_at_10"] for row in found.table.iter_rows(named=True)
    }
    run.summary |= {f"{system}_milliseconds": value for system, value in found.summary["milliseconds"].items()}
    rows = [[_cell(row[name]) for name in SHOWN] for row in found.table.iter_rows(named=True)]
    run.charts["systems"] = charts.svg_markdown("systems", svg_systems(found.summary))
    run.charts["reranker"] = f"{charts.escaped(found.summary['sentence'])}\n\n{charts.table(SHOWN, rows)}"
    run.charts["cost"] = charts.bars("cost", found.summary["milliseconds"], "ms a query")


def _known(
    run: StageRun,
    checkpoint: Artifact,
    base_metrics: Artifact,
    sets: "list[RetrievalSet]",
    asked: "RetrievalSet | None",
) -> "Known":
    """The figures of ``metrics``, from the same vectors."""
    import polars as pl

    from embed_pipeline.encoders.spec import EncoderSpec
    from embed_pipeline.evaluation.evaluate import score_tuned
    from embed_pipeline.evaluation.reranking import Known

    before = read_base_evaluation(base_metrics)
    encoder = run.encoder(EncoderSpec.load(checkpoint.path))
    tuned = score_tuned(sets, encoder, before, run.settings.eval, asked)
    scores = pl.concat([before.query_metrics, tuned.query_metrics])
    return Known(scores, pl.concat([before.runs, tuned.runs]), tuned.fusion.weight)


def _rerankers(run: StageRun, reranker: Artifact) -> "dict[str, Path]":
    """The trained one and, where it was one before, the untrained one."""
    from embed_pipeline.encoders.base_model import find_base_model
    from embed_pipeline.encoders.cross_encoder import is_cross_encoder
    from embed_pipeline.evaluation.reranking import RERANKED, UNTRAINED

    found = {RERANKED: reranker.path}
    name = run.settings.finetune.reranker_model
    if name is not None:
        before = find_base_model(name, setting=MODEL).path
        if is_cross_encoder(before):
            found[UNTRAINED] = before
    return found


def _load(run: StageRun, folder: "Path", longest: int) -> "Callable[[], PairScorer]":
    """Loads a reranker that reads ``longest`` tokens of a pair, as the trained one does."""
    from embed_pipeline.encoders.cross_encoder import CrossEncoderModel

    return lambda: CrossEncoderModel.load(str(folder), run.settings.encoder.device, longest, setting=MODEL).scores


def _remembering(run: StageRun, folder: "Path", longest: int) -> "PairScorer":
    """The scores of a reranker, each pair's computed once in a home."""
    from embed_pipeline.encoders.base_model import find_base_model
    from embed_pipeline.encoders.pair_scores import PairScores

    version = f"{find_base_model(str(folder), setting=MODEL).content_sha256}/{longest}"
    scores = PairScores(run.home / "cache" / "cross_encoder.sqlite", version, _load(run, folder, longest))
    return lambda pairs: scores.of(pairs, "rerank")


def _costs(
    run: StageRun, checkpoint: Artifact, sets: Any, known: "Known", scorers: "dict[str, PairScorer]"
) -> dict[str, float]:
    from embed_pipeline.encoders.spec import EncoderSpec
    from embed_pipeline.encoders.torch_encoder import TorchEncoder
    from embed_pipeline.evaluation.query_cost import milliseconds_of_systems
    from embed_pipeline.evaluation.verdict import deciding_set

    spec, chosen = EncoderSpec.load(checkpoint.path), run.settings
    test_set = deciding_set(sets)
    vectors = run.encoder(spec).encode(list(test_set.passages.values()), "passage")
    encoder = TorchEncoder.load(spec, chosen.encoder.device, chosen.encoder.batch_size)
    found = known.first_stage(test_set, chosen.eval)
    return milliseconds_of_systems(test_set, encoder, vectors, found, scorers, chosen.eval)


def _cell(value: object) -> object:
    """Numbers as they are shown; nothing where there is none."""
    return "" if value is None else round(value, 4) if isinstance(value, float) else value
