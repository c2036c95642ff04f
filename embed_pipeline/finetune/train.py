"""Contrastive fine-tuning of an embedding model.

::

    rows ── batches without false negatives ── objective ── checkpoints, each measured on validation ── the best one

Runs without Polars and Dagster. On a CPU the same inputs give the same bytes, also after a kill in between.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embed_pipeline.encoder import EncoderSpec, load_sentence_transformer
from embed_pipeline.errors import TrainingError
from embed_pipeline.files import sha256_json, write_json
from embed_pipeline.finetune.checkpoints import Checkpoints, best_step, validations
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.dataset import SeparatingBatchSampler, fit_batch_size, row_keys
from embed_pipeline.finetune.guards import warn_below_base
from embed_pipeline.finetune.losses import offered_dimensions
from embed_pipeline.finetune.output import write_model
from embed_pipeline.finetune.surroundings import explained_failures, quiet_transformers
from embed_pipeline.finetune.teacher import teacher_scores, teacher_version
from embed_pipeline.finetune.trainer import Hooks, build_trainer, measuring_steps, training_arguments, training_device
from embed_pipeline.finetune.validation import Validator
from embed_pipeline.progress import task
from embed_pipeline.records import RetrievalSet, TrainingRow
from embed_pipeline.settings import FinetuneSettings

LOG_FILE = "training_log.json"


@dataclass(frozen=True)
class TrainingReport:
    """The course of a training.

    Attributes:
        rows: training rows; batch_size: the one used; steps: optimizer steps.
        best_step: step of the checkpoint that was kept.
        base_validation: nDCG@10 of the base model on validation; None without a validation set.
        best_validation: nDCG@10 of the kept checkpoint.
        final_loss: loss of the last step.
        log: per step: step, epoch, loss, learning_rate, grad_norm.
        validations: (step, nDCG@10), the base model as step 0 first.
    """

    rows: int
    batch_size: int
    steps: int
    best_step: int
    base_validation: float | None
    best_validation: float | None
    final_loss: float
    log: list[dict[str, float]]
    validations: list[tuple[int, float]]

    @property
    def losses(self) -> list[tuple[int, float]]:
        """(step, loss)."""
        return [(int(entry["step"]), entry["loss"]) for entry in self.log]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        values = asdict(self)
        values["validations"] = [{"step": step, "ndcg@10": value} for step, value in self.validations]
        write_json(path, values)


def finetune(
    rows: Sequence[TrainingRow],
    validation: RetrievalSet | None,
    spec: EncoderSpec,
    settings: FinetuneSettings,
    output: Path,
    work: Path,
    device: str = "auto",
) -> TrainingReport:
    """Fine-tune the model of ``spec`` and write the best checkpoint to ``output``.

    Args:
        rows: questions with positive and hard negatives; the first ``settings.hard_negatives`` are used.
        validation: picks the checkpoint by nDCG@10 over the whole set; without it the last one is kept.
        spec: base model, prompts, pooling and lengths; training encodes exactly as inference does.
        output: becomes a sentence-transformers folder with encoder.json and training_log.json.
        work: checkpoints; a killed training called again with the same inputs and folder goes on from there.
        device: auto, cpu or cuda.

    Raises:
        TrainingError: no rows, a loss that is not a number, or a collapsed model.
        SettingsError: a GPU other than the first visible one, or a Matryoshka dimension that the model lacks.
        ModelAccessError: the base model or the teacher cannot be loaded.
    """
    if not rows:
        raise TrainingError("There are no training rows: no question is in the training split. Add documents.")
    tuned = spec.model_copy(update={"dimensions": offered_dimensions(spec, settings)})
    batch_size = fit_batch_size(len(rows), settings)
    sampler = SeparatingBatchSampler(row_keys(rows), batch_size, settings.seed, settings.epochs)
    every = settings.epochs * len(sampler)
    plan = _Plan(rows, validation, spec, settings, sampler, min(every, settings.max_steps or every))
    checkpoints = Checkpoints(work, plan.inputs())
    with quiet_transformers(), explained_failures(work):
        history = _train(plan, checkpoints, training_device(device))
        report = _report(history, plan)
        warn_below_base(report.base_validation, report.best_validation)
        write_model(tuned, checkpoints.path(report.best_step), output, settings.base_weight)
    report.save(output / LOG_FILE)
    return report


@dataclass(frozen=True)
class _Plan:
    """What is to be trained."""

    rows: Sequence[TrainingRow]
    validation: RetrievalSet | None
    spec: EncoderSpec
    settings: FinetuneSettings
    sampler: SeparatingBatchSampler
    steps: int

    def inputs(self) -> str:
        """Hash of everything the trained weights depend on."""
        judged = None
        if self.validation is not None:
            qrels = {query: dict(relevant) for query, relevant in self.validation.qrels.items()}
            judged = [dict(self.validation.passages), dict(self.validation.queries), qrels]
        rows = [asdict(row) for row in self.rows]
        settings = self.settings.model_dump(mode="json")
        return sha256_json([rows, judged, self.spec.version(), settings, teacher_version(self.settings)])


def _train(plan: _Plan, checkpoints: Checkpoints, device: str) -> list[dict[str, Any]]:
    """Train, or go on from the newest checkpoint; the trainer's log history."""
    from transformers import TrainerState, set_seed

    resumed = checkpoints.resume_from()
    if resumed is not None:
        state = TrainerState.load_from_json(str(resumed / "trainer_state.json"))
        if state.global_step >= plan.steps:
            return list(state.log_history)
    settings, spec = plan.settings, plan.spec
    set_seed(settings.seed)  # parts that the base model's files lack are drawn when it is loaded
    taught = teacher_scores(plan.rows, settings, checkpoints.folder.parent, device)
    with task("train", plan.steps) as progress:
        model = load_sentence_transformer(spec, device)
        encoding = 128 if device == "cuda" else 32
        judged = plan.validation if plan.validation is not None and plan.validation.queries else None
        hooks = Hooks(
            validator=Validator(judged, spec, encoding, settings.seed) if judged is not None else None,
            checkpoints=checkpoints,
            measured_at=measuring_steps(len(plan.sampler), plan.steps, settings),
            progress=progress,
        )
        arguments = training_arguments(settings, checkpoints.folder, plan.sampler.batch_size, plan.steps, device)
        data = (Collator(plan.rows, model.preprocess, spec, settings, taught), plan.sampler, len(plan.rows))
        trainer = build_trainer(model, spec, arguments, settings, data, hooks)
        trainer.train(resume_from_checkpoint=str(resumed) if resumed is not None else None)
    return list(trainer.state.log_history)


def _report(history: Sequence[dict[str, Any]], plan: _Plan) -> TrainingReport:
    measured = validations(history)
    values = dict(measured)
    best = best_step(measured) or plan.steps
    names = ("step", "epoch", "loss", "learning_rate", "grad_norm")
    log = [{name: float(f"{entry[name]:.6g}") for name in names} for entry in history if "loss" in entry]
    return TrainingReport(
        rows=len(plan.rows),
        batch_size=plan.sampler.batch_size,
        steps=plan.steps,
        best_step=best,
        base_validation=values.get(0),
        best_validation=values.get(best),
        final_loss=log[-1]["loss"],
        log=log,
        validations=measured,
    )
