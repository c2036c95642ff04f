"""The sentence-transformers trainer, silent, guarded, with validation and checkpoints at chosen steps."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from embed_pipeline.encoder import EncoderSpec, resolve_device
from embed_pipeline.errors import SettingsError
from embed_pipeline.finetune.checkpoints import VALIDATION_KEY, Checkpoints
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.dataset import SeparatingBatchSampler, index_dataset
from embed_pipeline.finetune.guards import check_loss, check_vectors
from embed_pipeline.finetune.losses import build_loss
from embed_pipeline.finetune.validation import Validator
from embed_pipeline.progress import Task
from embed_pipeline.settings import FinetuneSettings

if TYPE_CHECKING:
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )


@dataclass
class Hooks:
    """What happens during training besides training."""

    validator: Validator | None
    checkpoints: Checkpoints
    measured_at: frozenset[int]
    progress: Task
    base_cosine: float | None = field(default=None, init=False)

    def measure(self, model: "SentenceTransformer", state: Any) -> None:
        """Validate and put the result into the trainer's history, which every checkpoint carries along."""
        if self.validator is None:
            return
        measured = self.validator.measure(model)
        check_vectors(measured.sample, self.base_cosine, state.global_step)
        state.log_history.append({"step": state.global_step, VALIDATION_KEY: measured.ndcg})

    def measure_base(self, model: "SentenceTransformer", state: Any) -> None:
        """Validate the untrained model; its passages' mean cosine is what a collapse is measured against."""
        if self.validator is None:
            return
        measured = self.validator.measure(model)
        self.base_cosine = check_vectors(measured.sample, None, 0)
        state.log_history.append({"step": 0, VALIDATION_KEY: measured.ndcg, "mean_cosine": self.base_cosine})

    def recall_base(self, history: list[dict[str, Any]]) -> bool:
        """Take the base model's figures from the history of a resumed training; False when there are none."""
        known = [entry["mean_cosine"] for entry in history if "mean_cosine" in entry]
        self.base_cosine = known[0] if known else None
        return bool(known)


def measuring_steps(steps_per_epoch: int, total: int, settings: FinetuneSettings) -> frozenset[int]:
    """Steps after which to validate and save: evenly spread over each epoch, and the last one."""
    parts = settings.evaluations_per_epoch
    marks = (round(steps_per_epoch * part / parts) for part in range(1, settings.epochs * parts + 1))
    return frozenset(mark for mark in marks if 0 < mark < total) | {total}


def training_arguments(
    settings: FinetuneSettings, folder: Path, batch_size: int, steps: int, device: str
) -> "SentenceTransformerTrainingArguments":
    """AdamW, cosine schedule with warm-up (half the steps at most), no reports, no saving of its own accord."""
    import torch
    from sentence_transformers import SentenceTransformerTrainingArguments

    on_gpu = device == "cuda"
    automatic = settings.precision == "auto" and on_gpu and torch.cuda.is_bf16_supported()
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(settings.warmup_steps, steps // 2),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch",
        seed=settings.seed,
        bf16=settings.precision == "bf16" or automatic,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs would otherwise become one DataParallel model
    return arguments


def training_device(device: str) -> str:
    """``cpu`` or ``cuda``.

    Raises:
        SettingsError: a GPU other than the first visible one, which the trainer cannot be told.
    """
    resolved = resolve_device(device)
    if resolved in ("cpu", "cuda", "cuda:0"):
        return resolved.partition(":")[0]
    raise SettingsError(
        f"encoder.device is {device}, but training takes the first visible GPU. "
        f"Set CUDA_VISIBLE_DEVICES={resolved.partition(':')[2] or 0} and encoder.device to cuda."
    )


def build_trainer(
    model: "SentenceTransformer",
    spec: EncoderSpec,
    arguments: "SentenceTransformerTrainingArguments",
    settings: FinetuneSettings,
    data: tuple[Collator, SeparatingBatchSampler, int],
    hooks: Hooks,
) -> "SentenceTransformerTrainer":
    """The trainer; ``data`` is collator, batch sampler and number of rows."""
    from transformers import PrinterCallback

    collator, sampler, rows = data
    arguments.batch_sampler = cast("Any", lambda *_, **__: sampler)
    trainer = _trainer_class()(
        model=model,
        args=arguments,
        train_dataset=index_dataset(rows),
        data_collator=cast("Any", collator),
        loss=build_loss(model, spec, settings, sampler.batch_size),
        callbacks=[_callback_class()(hooks)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _trainer_class() -> type["SentenceTransformerTrainer"]:
    from sentence_transformers import SentenceTransformerTrainer

    class QuietTrainer(SentenceTransformerTrainer):
        """Writes no model card and stops on a loss that is not a number."""

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            return

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            self.model.save_pretrained(str(output_dir), create_model_card=False)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss: Any = super().compute_loss(*args, **kwargs)
            check_loss(float(loss.detach()), self.state.global_step + 1)
            return loss

    return QuietTrainer


def _callback_class() -> type[Any]:
    from transformers import TrainerCallback

    class HookCallback(TrainerCallback):
        """Calls the hooks at the trainer's events."""

        def __init__(self, hooks: Hooks) -> None:
            self.hooks = hooks

        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            self.hooks.progress.advance(state.global_step)
            if not self.hooks.recall_base(state.log_history):
                self.hooks.measure_base(model, state)

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step in self.hooks.measured_at:
                self.hooks.measure(model, state)
                control.should_save = True

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.hooks.checkpoints.seal(state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if "loss" in (logs or {}):
                self.hooks.progress.advance(note=f"loss {logs['loss']:.4f}")

    return HookCallback
