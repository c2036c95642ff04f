"""finetune: the checkpoint."""

from embed_pipeline import charts
from embed_pipeline.files import sha256_json
from embed_pipeline.progress import say
from embed_pipeline.settings import Settings
from embed_pipeline.settings.addresses import is_address
from embed_pipeline.stages.declare import StageRun, Version, stage
from embed_pipeline.stages.embeddings import TEACHER
from embed_pipeline.stages.inputs import BASE_MODEL, base_model_version
from embed_pipeline.stages.prep import GIVEN
from embed_pipeline.stages.unused import unused_negatives
from embed_pipeline.store.artifacts import Artifact


def training_external(settings: Settings) -> dict[str, Version]:
    """The base model and, when distilling, the teacher; an objective that lacks what it needs is refused here.

    How words are compared counts where the training looks at BM25, and nowhere else.
    """
    found: dict[str, Version] = {"base_model": lambda _: _model_to_train(settings)}
    if settings.finetune.teacher is not None:
        found["teacher"] = lambda _: _teacher(settings)
    if settings.finetune.looks_at_words:
        found["bm25"] = lambda _: sha256_json(settings.eval.bm25.model_dump(mode="json"))
    return found


def _model_to_train(settings: Settings) -> str:
    from embed_pipeline.encoders.base_model import base_encoder_spec
    from embed_pipeline.finetune.objectives import check_objective
    from embed_pipeline.finetune.student import check_layers
    from embed_pipeline.finetune.tracking import check_trackers

    check_objective(settings.finetune)  # before anything is computed
    check_trackers(settings.finetune)
    check_layers(base_encoder_spec(settings.base_model, settings.encoder), settings.finetune)
    return base_model_version(settings)


def _teacher(settings: Settings) -> str:
    from embed_pipeline.finetune.teacher import teacher_version

    return str(teacher_version(settings.finetune))


@stage(
    group="finetune",
    version="6",
    storage="model",
    settings=("finetune",),
    external=training_external,
    looks_at=("finetune.teacher", "eval.bm25", *BASE_MODEL),
    device="gpu",
    kinds=("pytorch", "huggingface"),
    family="checkpoint",
)
def checkpoint(run: StageRun, training_set: Artifact) -> None:
    """The tuned model as a sentence-transformers folder; validation nDCG@10 picked the checkpoint."""
    from embed_pipeline.encoders.base_model import base_encoder_spec
    from embed_pipeline.finetune.job import read_training_rows
    from embed_pipeline.finetune.tracking import FOLDER
    from embed_pipeline.finetune.train import finetune
    from embed_pipeline.formats.beir import read_retrieval_set

    settings = run.settings
    _tell_unused_negatives(run, training_set)
    folder = training_set.path / "validation"
    validation = read_retrieval_set(folder, "validation", "validation", kind="validation") if folder.is_dir() else None
    report = finetune(
        read_training_rows(training_set.path),
        validation,
        base_encoder_spec(settings.base_model, settings.encoder),
        settings.finetune,
        run.folder,
        run.work,
        settings.encoder.device,
        run.home / FOLDER,
        run.home / "cache",
        settings.eval.bm25,
    )
    _tell_teacher(run)
    run.summary |= {
        "rows": report.rows,
        "batch_size": report.batch_size,
        "steps": report.steps,
        "final_loss": report.final_loss,
        "best_step": report.best_step,
        "below_base_after_first_epoch": report.below_base_after_first_epoch,
        "validation_ndcg_at_10_base": report.base_validation,
        "validation_ndcg_at_10": report.best_validation,
    }
    run.charts["loss"] = charts.lines("loss", {"training loss": report.losses}, "step", "loss")
    for name, curve in {"learning rate": "learning_rate", "gradient norm": "grad_norm"}.items():
        run.charts[name] = charts.lines(name, {name: report.curve(curve)}, "step", name)
    run.charts["validation"] = charts.lines("validation", {"nDCG@10": report.validations}, "step", "nDCG@10")


def _tell_unused_negatives(run: StageRun, training_set: Artifact) -> None:
    """Negatives that somebody brought along are not left out without a word."""
    made = training_set.manifest().summary
    given = made.get(GIVEN, 0)
    rows = f"the {made.get('rows', 0):,} training rows"
    if given and not run.settings.finetune.hard_negatives:
        say(f"warning: {unused_negatives(given, rows)}")


def _tell_teacher(run: StageRun) -> None:
    """What an endpoint was asked for, and which vectors it gave, so that they are kept."""
    teacher = run.settings.finetune.teacher
    if teacher is None or not is_address(teacher):
        return
    from embed_pipeline.finetune.teacher_endpoint import encoder_version, spending

    run.cost |= spending(run.home / "cache", run.work, teacher)
    run.summary[TEACHER] = encoder_version(run.work)
