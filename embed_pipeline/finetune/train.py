"""Contrastive fine-tuning of an embedding model.

::

    rows ── batches without false negatives ── InfoNCE ── checkpoints, each measured on validation ── the best one

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
from embed_pipeline.finetune.dataset import Collator, SeparatingBatchSampler, fit_batch_size, row_keys
from embed_pipeline.finetune.guards import warn_below_base
from embed_pipeline.finetune.output import write_model
from embed_pipeline.finetune.trainer import Hooks, build_trainer, measuring_steps, on_device, training_arguments
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
        device: auto, cpu, cuda or cuda:N.

    Raises:
        TrainingError: no rows, a loss that is not a number, or a collapsed model.
        ModelAccessError: the base model cannot be loaded.
    """
    if not rows:
        raise TrainingError("There are no training rows: no question is in the training split. Add documents.")
    batch_size = fit_batch_size(len(rows), settings)
    sampler = SeparatingBatchSampler(row_keys(rows), batch_size, settings.seed, settings.epochs)
    total = min(settings.epochs * len(sampler), settings.max_steps or settings.epochs * len(sampler))
    checkpoints = Checkpoints(work, _inputs(rows, validation, spec, settings))
    with on_device(device) as resolved, task("train", total) as progress:
        model = load_sentence_transformer(spec, resolved)
        encoding = 128 if resolved.startswith("cuda") else 32
        measurable = validation is not None and len(validation.queries) > 0
        hooks = Hooks(
            validator=Validator(validation, spec, encoding, settings.seed) if validation and measurable else None,
            checkpoints=checkpoints,
            measured_at=measuring_steps(len(sampler), total, settings),
            progress=progress,
        )
        arguments = training_arguments(settings, checkpoints.folder, batch_size, total, resolved)
        collator = Collator(rows, model.preprocess, spec, settings)
        trainer = build_trainer(model, spec, arguments, settings, (collator, sampler, len(rows)), hooks)
        history = _train(trainer, checkpoints, total)
    report = _report(history, len(rows), batch_size, total)
    warn_below_base(report.base_validation, report.best_validation)
    write_model(spec, checkpoints.path(report.best_step), output)
    report.save(output / LOG_FILE)
    return report


def _train(trainer: Any, checkpoints: Checkpoints, total: int) -> list[dict[str, Any]]:
    """Train, or go on from the newest checkpoint; the trainer's log history."""
    from transformers import TrainerState

    resumed = checkpoints.resume_from()
    if resumed is not None:
        state = TrainerState.load_from_json(str(resumed / "trainer_state.json"))
        if state.global_step >= total:
            return list(state.log_history)
    trainer.train(resume_from_checkpoint=str(resumed) if resumed is not None else None)
    return list(trainer.state.log_history)


def _report(history: Sequence[dict[str, Any]], rows: int, batch_size: int, steps: int) -> TrainingReport:
    measured = validations(history)
    values = dict(measured)
    best = best_step(measured) or steps
    names = ("step", "epoch", "loss", "learning_rate", "grad_norm")
    log = [{name: float(f"{entry[name]:.6g}") for name in names} for entry in history if "loss" in entry]
    return TrainingReport(
        rows=rows,
        batch_size=batch_size,
        steps=steps,
        best_step=best,
        base_validation=values.get(0),
        best_validation=values.get(best),
        final_loss=log[-1]["loss"],
        log=log,
        validations=measured,
    )


def _inputs(
    rows: Sequence[TrainingRow], validation: RetrievalSet | None, spec: EncoderSpec, settings: FinetuneSettings
) -> str:
    """Hash of everything the trained weights depend on."""
    judged = None
    if validation is not None:
        judged = [
            dict(validation.passages),
            dict(validation.queries),
            {k: dict(v) for k, v in validation.qrels.items()},
        ]
    return sha256_json([[asdict(row) for row in rows], judged, spec.version(), settings.model_dump(mode="json")])
