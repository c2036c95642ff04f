"""Contrastive fine-tuning of an embedding model.

::

    rows ── batches without false negatives ── objective ── checkpoints, each measured on validation ── the best one

Runs without Polars and Dagster. On a CPU the same inputs give the same bytes, also after a kill in between.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import TrainingError
from embed_pipeline.files import write_json
from embed_pipeline.finetune.checkpoints import (
    Checkpoints,
    best_step,
    history_of,
    step_of,
    stops_early,
    validations,
)
from embed_pipeline.finetune.environment import explained_failures, quiet_transformers, training_device
from embed_pipeline.finetune.guards import warn_below_base
from embed_pipeline.finetune.in_process import train_here
from embed_pipeline.finetune.job import TrainingJob, plan_training
from embed_pipeline.finetune.losses import offered_dimensions
from embed_pipeline.finetune.model_folder import write_model
from embed_pipeline.finetune.negatives_met import check_negatives
from embed_pipeline.finetune.objectives import check_objective
from embed_pipeline.finetune.share import chosen_rows
from embed_pipeline.finetune.student import model_to_train
from embed_pipeline.finetune.torchrun import processes_for, train_in_processes
from embed_pipeline.finetune.tracking import FOLDER, tracking
from embed_pipeline.records import RetrievalSet, TrainingRow
from embed_pipeline.settings import Bm25Settings, FinetuneSettings

LOG_FILE = "training_log.json"


@dataclass(frozen=True)
class TrainingReport:
    """The course of a training.

    Attributes:
        rows: training rows; batch_size: the one used; steps: optimizer steps made.
        best_step: step of the checkpoint that was kept.
        base_validation: nDCG@10 of the base model on validation; None without a validation set.
        best_validation: nDCG@10 of the kept checkpoint.
        below_base_after_first_epoch: whether the first validation after an epoch was under the base model's.
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
    below_base_after_first_epoch: bool
    final_loss: float
    log: list[dict[str, float]]
    validations: list[tuple[int, float]]

    @property
    def losses(self) -> list[tuple[int, float]]:
        """(step, loss)."""
        return self.curve("loss")

    def curve(self, name: str) -> list[tuple[int, float]]:
        """(step, value) of loss, learning_rate or grad_norm."""
        return [(int(entry["step"]), entry[name]) for entry in self.log]

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
    tracked: Path | None = None,
    cache: Path | None = None,
    bm25: Bm25Settings | None = None,
) -> TrainingReport:
    """Fine-tune the model of ``spec`` and write the best checkpoint to ``output``.

    Args:
        rows: questions with positive and hard negatives; the first ``settings.hard_negatives`` are used, and of the
            questions ``settings.training_share``.
        validation: picks the checkpoint by nDCG@10 over the whole set; without it the last one is kept.
        spec: base model, prompts, pooling and lengths; training encodes exactly as inference does.
        output: becomes a sentence-transformers folder with encoder.json and training_log.json.
        work: checkpoints; a killed training called again with the same inputs and folder goes on from there.
        device: auto, cpu or cuda.
        tracked: where the trackers of ``settings.report_to`` write unless their environment variables say otherwise;
            without it ``work/tracking``.
        cache: where the answers of a teacher's endpoint are kept and booked, and vectors of the base model; without it
            ``work/cache``.
        bm25: how words are compared where the training looks at BM25 (``eval.bm25``); the defaults when not given.

    Raises:
        TrainingError: no rows, no batch with a negative, a tracker that fails, a loss that is not a number, or a
            collapsed model.
        SettingsError: a tracker that is not installed, an objective that lacks what it needs, a GPU other than the
            first visible one, a Matryoshka dimension that the model lacks, or as many layers to keep as it has.
        ModelAccessError: the base model or the teacher cannot be loaded.
        InputError: the endpoint of the teacher cannot be reached, or does not answer with vectors.
    """
    if not rows:
        raise TrainingError("There are no training rows: no question is in the training split. Add documents.")
    check_objective(settings)
    with quiet_transformers():
        student = model_to_train(spec, settings, work)
    tuned = student.model_copy(update={"dimensions": offered_dimensions(spec, settings)})
    torch_device = training_device(device)
    processes = processes_for(settings, torch_device)
    job = plan_training(chosen_rows(rows, settings), validation, student, settings, processes, spec, bm25)
    check_negatives(job)
    checkpoints = Checkpoints(work, job.inputs())
    followed = tracking(settings, tracked or work / FOLDER, work.name)
    with quiet_transformers(), explained_failures(work), followed:
        history = _train(job, checkpoints, torch_device, cache)
        report = _report(history, job)
        warn_below_base(report.base_validation, report.best_validation)
        write_model(tuned, checkpoints.path(report.best_step), output, settings)
    report.save(output / LOG_FILE)
    return report


def _train(job: TrainingJob, checkpoints: Checkpoints, device: str, cache: Path | None) -> list[dict[str, Any]]:
    """Train, or go on from the newest checkpoint; the trainer's log history."""
    resumed = checkpoints.resume_from()
    history = history_of(resumed) if resumed is not None else []
    if resumed is not None and (step_of(resumed) >= job.steps or stops_early(history, job.settings)):
        return history
    if job.processes > 1:
        train_in_processes(job, checkpoints, device, resumed, cache)
        newest = checkpoints.resume_from()
        return history_of(newest) if newest is not None else []
    return train_here(job, checkpoints, device, resumed, cache)


def _report(history: Sequence[dict[str, Any]], job: TrainingJob) -> TrainingReport:
    measured = validations(history)
    values = dict(measured)
    names = ("step", "epoch", "loss", "learning_rate", "grad_norm")
    log = [{name: float(f"{entry[name]:.6g}") for name in names} for entry in history if "loss" in entry]
    steps = int(log[-1]["step"])
    best = best_step(measured) or steps
    first = [value for step, value in measured if step >= min(job.steps_per_epoch, steps)]
    return TrainingReport(
        rows=len(job.rows),
        batch_size=job.sampler.size * job.processes,
        steps=steps,
        best_step=best,
        base_validation=values.get(0),
        best_validation=values.get(best),
        below_base_after_first_epoch=bool(first) and 0 in values and first[0] < values[0],
        final_loss=log[-1]["loss"],
        log=log,
        validations=measured,
    )
