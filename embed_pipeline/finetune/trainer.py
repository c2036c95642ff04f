"""The sentence-transformers trainer, silent, guarded, with validation and checkpoints at chosen steps."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.finetune.averaging import as_shipped
from embed_pipeline.finetune.batches import SeparatingBatchSampler, index_dataset
from embed_pipeline.finetune.checkpoints import VALIDATION_KEY, Checkpoints, stops_early
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.environment import trains_in_bf16
from embed_pipeline.finetune.guards import check_gradient, check_loss, check_vectors, warn_after_first_epoch
from embed_pipeline.finetune.lora import load_adapters, save_adapters
from embed_pipeline.finetune.losses import build_loss
from embed_pipeline.finetune.tracking import PROJECT
from embed_pipeline.finetune.validation import Validator
from embed_pipeline.progress import Task
from embed_pipeline.settings import FinetuneSettings

REPORTED = "eval_ndcg_at_10"
"""Validation in the trackers, most of which show it as eval/ndcg_at_10."""
DAY = 86_400
"""Seconds that processes wait for one another, while the first one validates."""

if TYPE_CHECKING:
    import torch
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )


@dataclass
class Hooks:
    """What happens during training besides training, and the batches it goes through."""

    validator: Validator | None
    checkpoints: Checkpoints
    measured_at: frozenset[int]
    first_after_epoch: int
    settings: FinetuneSettings
    progress: Task
    sampler: SeparatingBatchSampler
    steps_per_epoch: int
    base_vectors: Path | None = None
    """The cache of the base model's vectors, where that is what is trained."""
    base_weights: "Mapping[str, torch.Tensor] | None" = None
    """Those before training, where what ships is their average with the trained ones (and adapters are not trained)."""
    base_cosine: float | None = field(default=None, init=False)
    base_ndcg: float | None = field(default=None, init=False)
    report: Callable[[dict[str, float]], None] = field(default=lambda _: None, init=False)
    """Tells the trackers what was measured."""

    def measure(self, model: "SentenceTransformer", state: Any) -> None:
        """Validate what would ship, and put the result into the trainer's history, which every checkpoint carries."""
        if self.validator is None:
            return
        with as_shipped(model, self.base_weights, self.settings.base_weight):
            measured = self.validator.measure(model)
        check_vectors(measured.sample, self.base_cosine, state.global_step)
        state.log_history.append({"step": state.global_step, VALIDATION_KEY: measured.ndcg})
        self.report({REPORTED: measured.ndcg})
        if state.global_step == self.first_after_epoch:
            warn_after_first_epoch(self.base_ndcg, measured.ndcg)

    def measure_base(self, model: "SentenceTransformer", state: Any) -> None:
        """Validate the untrained model, which makes the pool of passages that later ones rank.

        Its passages' mean cosine is what a collapse is measured against.
        """
        if self.validator is None:
            return
        measured = self.validator.measure(model, self.base_vectors)
        self.base_cosine, self.base_ndcg = check_vectors(measured.sample, None, 0), measured.ndcg
        first = {VALIDATION_KEY: measured.ndcg, "mean_cosine": self.base_cosine, "pool": self.validator.pool}
        state.log_history.append({"step": 0, **first})
        self.report({REPORTED: measured.ndcg})

    def recall_base(self, history: list[dict[str, Any]]) -> bool:
        """Take the base model's figures and the pool from the history of a resumed training; False without any."""
        known = [entry for entry in history if "mean_cosine" in entry]
        if known and self.validator is not None:
            self.validator.pool = known[0]["pool"]
            self.base_cosine, self.base_ndcg = known[0]["mean_cosine"], known[0][VALIDATION_KEY]
        return bool(known)


def measuring_steps(steps_per_epoch: int, total: int, settings: FinetuneSettings) -> frozenset[int]:
    """Steps after which to validate and save: evenly spread over each epoch, and the last one."""
    parts = settings.evaluations_per_epoch
    if parts == "auto":
        parts = 1
        if total < steps_per_epoch:
            parts, steps_per_epoch = 2, total
    marks = (round(steps_per_epoch * part / parts) for part in range(1, settings.epochs * parts + 1))
    return frozenset(mark for mark in marks if 0 < mark < total) | {total}


def training_arguments(
    settings: FinetuneSettings, folder: Path, batch_size: int, steps: int, device: str
) -> "SentenceTransformerTrainingArguments":
    """AdamW, cosine schedule with warm-up (half the steps at most), reports to ``settings.report_to`` alone, no saving.

    The run of a tracker has the name of the folder around ``folder``.
    """
    from sentence_transformers import SentenceTransformerTrainingArguments

    on_gpu = device.startswith("cuda")
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1  # set by torchrun
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(settings.warmup_steps, steps // 2),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch_fused",
        seed=settings.seed,
        bf16=trains_in_bf16(settings, device),
        use_cpu=not on_gpu,
        ddp_backend="gloo" if not on_gpu and several else None,
        ddp_timeout=DAY,
        dataloader_pin_memory=on_gpu,
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=list(settings.report_to) or "none",
        run_name=folder.parent.name,
        project=PROJECT,
        disable_tqdm=True,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs would otherwise become one DataParallel model
    return arguments


def build_trainer(
    model: "SentenceTransformer",
    spec: EncoderSpec,
    arguments: "SentenceTransformerTrainingArguments",
    settings: FinetuneSettings,
    collator: Collator,
    rows: int,
    hooks: Hooks,
) -> "SentenceTransformerTrainer":
    """The trainer of ``rows`` rows."""
    from transformers import PrinterCallback

    arguments.batch_sampler = cast("Any", lambda *_, **__: hooks.sampler)
    trainer = _trainer_class(bool(settings.lora.rank))(
        model=model,
        args=arguments,
        train_dataset=index_dataset(rows),
        data_collator=cast("Any", collator),
        loss=build_loss(model, spec, settings, hooks.sampler.size),
        callbacks=[_callback_class()(hooks)],
    )
    trainer.remove_callback(PrinterCallback)
    hooks.report = _reporter(trainer, settings)
    return trainer


def _reporter(trainer: "SentenceTransformerTrainer", settings: FinetuneSettings) -> Callable[[dict[str, float]], None]:
    """Tells the trackers, and nobody else: through the trainer, a step's own log would be taken for written."""
    from transformers.integrations import integration_utils

    known: Any = integration_utils
    kinds = tuple(known.get_reporting_integration_callbacks(list(settings.report_to)))
    trackers = [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, kinds)]

    def report(logs: dict[str, float]) -> None:
        for tracker in trackers:
            tracker.on_log(trainer.args, trainer.state, trainer.control, logs=logs, model=trainer.model)

    return report


def _trainer_class(adapted: bool) -> type["SentenceTransformerTrainer"]:
    from sentence_transformers import SentenceTransformerTrainer

    class QuietTrainer(SentenceTransformerTrainer):
        """Writes no model card, saves adapters alone, and stops on a loss that is not a number."""

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            return

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            if adapted:
                save_adapters(self.model, Path(str(output_dir)))
            else:
                self.model.save_pretrained(str(output_dir), create_model_card=False)

        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
            if adapted:
                load_adapters(self.model, Path(resume_from_checkpoint))
            else:
                super()._load_from_checkpoint(resume_from_checkpoint)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss: Any = super().compute_loss(*args, **kwargs)
            check_loss(float(loss.detach()), self.state.global_step + 1)
            return loss

    return QuietTrainer


def _agreed(decision: bool) -> bool:
    """The decision of the first of several processes, the same in all of them; also where they wait for one another."""
    import torch

    if not torch.distributed.is_initialized():
        return decision
    decisions = [decision]
    torch.distributed.broadcast_object_list(decisions, src=0)
    torch.distributed.barrier()
    return decisions[0]


def _callback_class() -> type[Any]:
    from transformers import TrainerCallback

    class HookCallback(TrainerCallback):
        """Calls the hooks at the trainer's events."""

        def __init__(self, hooks: Hooks) -> None:
            self.hooks = hooks

        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            self.hooks.progress.advance(state.global_step)
            if state.is_world_process_zero and not self.hooks.recall_base(state.log_history):
                self.hooks.measure_base(model, state)

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            # accelerate's wrappers hide the sampler from the trainer where several processes resume within an epoch
            self.hooks.sampler.set_epoch(state.global_step // self.hooks.steps_per_epoch)

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step in self.hooks.measured_at:
                if state.is_world_process_zero:
                    self.hooks.measure(model, state)
                control.should_save = True
                control.should_training_stop |= _agreed(stops_early(state.log_history, self.hooks.settings))

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            _agreed(True)  # every process has written its part
            if state.is_world_process_zero:
                self.hooks.checkpoints.seal(state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            check_gradient(logs or {}, state.global_step)
            if "loss" in (logs or {}):
                self.hooks.progress.advance(note=f"loss {logs['loss']:.4f}")

    return HookCallback
