"""The sentence-transformers trainer of cross-encoders, silent, guarded, with validation and checkpoints."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from embed_pipeline.encoders.cross_encoder import CrossEncoderModel, is_cross_encoder
from embed_pipeline.finetune.batches import SeparatingBatchSampler
from embed_pipeline.finetune.checkpoints import VALIDATION_KEY, Checkpoints
from embed_pipeline.finetune.environment import trains_in_bf16
from embed_pipeline.finetune.guards import check_gradient, check_loss
from embed_pipeline.finetune.reranker_pairs import FirstStage, RankedLists
from embed_pipeline.progress import Task
from embed_pipeline.settings import FinetuneSettings

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments

READ_AT_ONCE = 32
"""Pairs that go through the model together."""
ALONE_KEY, WEIGHT_KEY = "validation_alone", "validation_weight"
"""In a trainer's history, beside the blend's nDCG@10: that of the reranker alone, and its weight in the blend."""
OF_CROSS_ENCODER, OF_NEW_HEAD = 5e-5, 3e-4
"""Learning rates. A new head of MiniLM had learned next to nothing after 30 steps of 8 questions at 5e-5, and ordered
well after 60 at 3e-4 (docs/reranker.md); the two were not compared over the same number of steps.
"""
WARM_UP = 0.1
"""Share of the steps until the learning rate is at its peak."""


@dataclass
class Hooks:
    """What happens during training besides training.

    Attributes:
        validation: None: the last checkpoint is kept.
        measured_at: steps after which to validate and save.
    """

    validation: FirstStage | None
    checkpoints: Checkpoints
    measured_at: frozenset[int]
    progress: Task
    sampler: SeparatingBatchSampler

    def measure(self, model: "CrossEncoder", state: Any) -> None:
        """Validate and put the result into the trainer's history, which every checkpoint carries along."""
        if self.validation is not None:
            found = self.validation.measured(_scorer(model))
            entry = {VALIDATION_KEY: found.blended, ALONE_KEY: found.alone, WEIGHT_KEY: found.weight}
            state.log_history.append({"step": state.global_step, **entry})

    def measure_first_stage(self, state: Any) -> None:
        """The order as it was found is step 0."""
        if self.validation is not None and not any(VALIDATION_KEY in entry for entry in state.log_history):
            state.log_history.append({"step": 0, VALIDATION_KEY: self.validation.ndcg()})


def _scorer(model: "CrossEncoder") -> Callable[[Any], Any]:
    def scores(pairs: Any) -> Any:
        was_training = model.training
        model.eval()
        found = CrossEncoderModel(model).scores(pairs)
        model.train(was_training)
        return np.round(found, 6)

    return scores


def learning_rate(base: Path, settings: FinetuneSettings) -> float:
    """Its peak: as set, else by what the reranker is trained from."""
    if settings.reranker_learning_rate is not None:
        return settings.reranker_learning_rate
    return OF_CROSS_ENCODER if is_cross_encoder(base) else OF_NEW_HEAD


def training_arguments(
    settings: FinetuneSettings, folder: Path, batch_size: int, steps: int, device: str, rate: float
) -> "CrossEncoderTrainingArguments":
    """AdamW, linear schedule with warm-up up to ``rate``, no reports, no saving of its own."""
    from sentence_transformers.cross_encoder import CrossEncoderTrainingArguments

    on_gpu = device.startswith("cuda")
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=batch_size,
        learning_rate=rate,
        warmup_steps=round(WARM_UP * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch",
        seed=settings.seed,
        bf16=trains_in_bf16(settings, device),
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


def build_trainer(
    model: "CrossEncoder", arguments: "CrossEncoderTrainingArguments", lists: RankedLists, hooks: Hooks
) -> "CrossEncoderTrainer":
    """LambdaLoss with the weights NDCGLoss2++ (Wang and others 2018, "The LambdaLoss Framework for Ranking Metric
    Optimization"), over the passages of each question.
    """
    import datasets
    from sentence_transformers.cross_encoder.losses import LambdaLoss, NDCGLoss2PPScheme
    from transformers import PrinterCallback

    rows = {"query": list(lists.questions), "passages": list(lists.passages), "labels": list(lists.labels)}
    arguments.batch_sampler = cast("Any", lambda *_, **__: hooks.sampler)
    trainer = _trainer_class()(
        model=model,
        args=arguments,
        train_dataset=datasets.Dataset.from_dict(rows),
        loss=LambdaLoss(model, weighting_scheme=NDCGLoss2PPScheme(), mini_batch_size=READ_AT_ONCE),
        callbacks=[_callback_class()(hooks)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _trainer_class() -> type["CrossEncoderTrainer"]:
    from sentence_transformers.cross_encoder import CrossEncoderTrainer

    class QuietTrainer(CrossEncoderTrainer):
        """Writes no model card, and stops on a loss that is not a number."""

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            return

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            self.model.save_pretrained(str(output_dir), create_model_card=False)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss: Any = super().compute_loss(*args, **kwargs)
            check_loss(float(loss.detach()), self.state.global_step + 1, ADVICE)
            return loss

    return QuietTrainer


ADVICE = "Lower finetune.reranker_learning_rate or set finetune.precision to fp32."


def _callback_class() -> type[Any]:
    from transformers import TrainerCallback

    class HookCallback(TrainerCallback):
        """Calls the hooks at the trainer's events."""

        def __init__(self, hooks: Hooks) -> None:
            self.hooks = hooks

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.hooks.progress.advance(state.global_step)
            self.hooks.measure_first_stage(state)

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.hooks.sampler.set_epoch(state.global_step // len(self.hooks.sampler))

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step in self.hooks.measured_at:
                self.hooks.measure(model, state)
                control.should_save = True

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.hooks.checkpoints.seal(state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            check_gradient(logs or {}, state.global_step, ADVICE)
            if "loss" in (logs or {}):
                self.hooks.progress.advance(note=f"loss {logs['loss']:.4f}")

    return HookCallback
