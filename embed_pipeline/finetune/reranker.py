"""Training a reranker: a cross-encoder on the training questions, their positives and their mined negatives.

::

    questions with passages ── LambdaLoss ── checkpoints, each ordering a first search anew ── the best one

On a CPU the same inputs give the same bytes, also after a kill in between.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embed_pipeline.encoders.base_model import find_base_model
from embed_pipeline.errors import ArtifactError, TrainingError
from embed_pipeline.files import sha256_json, write_json
from embed_pipeline.finetune.batches import SeparatingBatchSampler
from embed_pipeline.finetune.checkpoints import VALIDATION_KEY, Checkpoints, history_of, step_of, validations
from embed_pipeline.finetune.environment import explained_failures, quiet_transformers, training_device
from embed_pipeline.finetune.in_process import attention_for
from embed_pipeline.finetune.reranker_model import SETTING, load_reranker, max_length, reranker_base, write_reranker
from embed_pipeline.finetune.reranker_pairs import FirstStage, RankedLists, ranked_lists
from embed_pipeline.finetune.reranker_trainer import (
    ALONE_KEY,
    WEIGHT_KEY,
    Hooks,
    build_trainer,
    learning_rate,
    training_arguments,
)
from embed_pipeline.progress import say, task
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import FinetuneSettings

LOG_FILE = "reranker_log.json"
VALIDATIONS = 3
"""Times that a training is validated: after each third of its steps."""
_NAMES = ("step", "epoch", "loss", "learning_rate", "grad_norm")


@dataclass(frozen=True)
class RerankerReport:
    """The course of a training.

    Attributes:
        questions: trained on; pairs: of question and passage.
        max_length: tokens of a pair.
        steps: optimizer steps made; best_step: of the checkpoint that was kept.
        first_stage_validation: nDCG@10 of the validation questions as a first search found them; None without any.
        best_validation: the same in the order of the checkpoint that was kept, blended with the search.
        alone: the same in the order of that checkpoint alone.
        weight: of the reranker in the blend, 0: it is of no use beside the search; None without validation.
        final_loss: loss of the last step.
        log: per step: step, epoch, loss, learning_rate, grad_norm.
        validations: (step, nDCG@10 of the blend), the first search as step 0.
    """

    questions: int
    pairs: int
    max_length: int
    steps: int
    best_step: int
    first_stage_validation: float | None
    best_validation: float | None
    alone: float | None
    weight: float | None
    final_loss: float
    log: list[dict[str, float]]
    validations: list[tuple[int, float]]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        values = asdict(self)
        values["validations"] = [{"step": step, "ndcg@10": value} for step, value in self.validations]
        write_json(path, values)


@dataclass(frozen=True)
class _Job:
    lists: RankedLists
    validation: FirstStage | None
    base: Path
    settings: FinetuneSettings
    longest: int
    sampler: SeparatingBatchSampler

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        all_steps = self.settings.reranker_epochs * len(self.sampler)
        return min(all_steps, self.settings.reranker_max_steps or all_steps)

    @property
    def measured_at(self) -> frozenset[int]:
        """Steps after which to validate and save."""
        return frozenset(max(1, round(self.steps * part / VALIDATIONS)) for part in range(1, VALIDATIONS + 1))

    def inputs(self) -> str:
        """Hash of everything the trained weights depend on."""
        chosen = self.settings
        how = [
            chosen.seed,
            learning_rate(self.base, chosen),
            chosen.weight_decay,
            chosen.max_grad_norm,
            chosen.precision,
        ]
        base = find_base_model(str(self.base), setting=SETTING).content_sha256
        validation = None if self.validation is None else asdict(self.validation)
        return sha256_json([asdict(self.lists), validation, base, self.longest, self.sampler.size, self.steps, *how])


def train_reranker(
    rows: Sequence[TrainingRow],
    validation: FirstStage | None,
    base_model: Path,
    settings: FinetuneSettings,
    output: Path,
    work: Path,
    device: str = "auto",
) -> RerankerReport:
    """Train a cross-encoder and write the best checkpoint to ``output``.

    Args:
        rows: questions with positive and hard negatives.
        validation: picks the checkpoint, and its weight beside the search, by nDCG@10 of the blend; without it the
            last one is kept.
        base_model: folder of the bi-encoder, trained from where ``finetune.reranker_model`` names nothing else.
        output: becomes a sentence-transformers CrossEncoder folder with README.md and reranker_log.json.
        work: checkpoints; a killed training called again with the same inputs and folder goes on from there.
        device: auto, cpu or cuda.

    Raises:
        TrainingError: no rows, no negatives, or a loss that is not a number.
        SettingsError: a pair longer than the model takes, or a GPU other than the first visible one.
        ModelAccessError: the model cannot be found or loaded, or can get no head of one output.
    """
    if not rows:
        raise TrainingError("There are no training rows: no question is in the training split. Add documents.")
    base = reranker_base(base_model, settings)
    lists = ranked_lists(rows, settings)
    count = len(lists.questions)
    size = min(settings.reranker_batch_size, count)
    sampler = SeparatingBatchSampler([frozenset()] * count, size, settings.seed, settings.reranker_epochs)
    longest = max_length(base, settings)
    job = _Job(lists, validation if validation and validation.queries else None, base, settings, longest, sampler)
    checkpoints = Checkpoints(work, job.inputs())
    with quiet_transformers(), explained_failures(work):
        report = _report(_train(job, checkpoints, training_device(device)), job)
        write_reranker(base, checkpoints.path(report.best_step), output, longest, report.weight)
    _tell(report)
    report.save(output / LOG_FILE)
    return report


def _train(job: _Job, checkpoints: Checkpoints, device: str) -> list[dict[str, Any]]:
    """Train, or go on from the newest checkpoint; the trainer's log history."""
    from transformers import set_seed

    resumed = checkpoints.resume_from()
    if resumed is not None and step_of(resumed) >= job.steps:
        return history_of(resumed)
    set_seed(job.settings.seed)  # a new head is drawn when the model is loaded
    with task("train the reranker", job.steps) as progress:
        model = load_reranker(job.base, device, job.longest, attention_for(job.settings, device))
        hooks = Hooks(job.validation, checkpoints, job.measured_at, progress, job.sampler)
        rate = learning_rate(job.base, job.settings)
        arguments = training_arguments(job.settings, checkpoints.folder, job.sampler.size, job.steps, device, rate)
        trainer = build_trainer(model, arguments, job.lists, hooks)
        trainer.train(resume_from_checkpoint=str(resumed) if resumed is not None else None)
    return list(trainer.state.log_history)


def _report(history: Sequence[dict[str, Any]], job: _Job) -> RerankerReport:
    measured = validations(history)
    values = dict(measured)
    log = [{name: float(f"{entry[name]:.6g}") for name in _NAMES} for entry in history if "loss" in entry]
    steps = int(log[-1]["step"])
    kept = _kept(history)
    best = int(kept["step"]) if kept else steps
    return RerankerReport(
        questions=len(job.lists.questions),
        pairs=job.lists.pairs,
        max_length=job.longest,
        steps=steps,
        best_step=best,
        first_stage_validation=values.get(0),
        best_validation=values.get(best),
        alone=kept.get(ALONE_KEY),
        weight=kept.get(WEIGHT_KEY),
        final_loss=log[-1]["loss"],
        log=log,
        validations=measured,
    )


def _kept(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The validation of the best blend, of equals that of the best reranker alone, then the earliest; empty: none.

    Its checkpoint is there: the two newest are, and the earliest of the best blends.
    """
    found = [entry for entry in history if WEIGHT_KEY in entry]
    return max(found, key=lambda one: (one[VALIDATION_KEY], one[ALONE_KEY], -one["step"]), default={})


def _tell(report: RerankerReport) -> None:
    before, alone = report.first_stage_validation, report.alone
    if report.weight == 0 and before is not None and alone is not None and alone < before:
        say(
            f"The reranker does harm: it orders the validation questions worse than the search before it (nDCG@10 "
            f"{alone:.4f} against {before:.4f}), and no blend of both is better than the "
            "search alone. Keep the search. A new head needs many more pairs than a model tuned from a cross-encoder: "
            "name one as finetune.reranker_model, or train on more questions or for more finetune.reranker_epochs."
        )


def read_report(folder: Path) -> dict[str, Any]:
    """What :meth:`RerankerReport.save` wrote into a reranker's folder.

    Raises:
        ArtifactError: missing or unreadable.
    """
    path = folder / LOG_FILE
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}; run again with --force reranker.") from error
    return found
