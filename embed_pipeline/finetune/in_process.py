"""The training itself, in this process."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.errors import SettingsError
from embed_pipeline.finetune.averaging import copied_weights
from embed_pipeline.finetune.checkpoints import Checkpoints
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.crop import around_evidence
from embed_pipeline.finetune.environment import trains_in_bf16
from embed_pipeline.finetune.gather import from_others
from embed_pipeline.finetune.job import TrainingJob
from embed_pipeline.finetune.lora import add_adapters
from embed_pipeline.finetune.teacher import load_teacher
from embed_pipeline.finetune.trainer import Hooks, build_trainer, measuring_steps, training_arguments
from embed_pipeline.finetune.validation import Validator
from embed_pipeline.progress import task
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import FinetuneSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

VECTORS = "embeddings"
"""Of the cache, where the pipeline keeps vectors."""


def train_here(
    job: TrainingJob, checkpoints: Checkpoints, device: str, resumed: Path | None, cache: Path | None = None
) -> list[dict[str, Any]]:
    """Train from the base model, or from the checkpoint ``resumed``; the trainer's log history.

    Args:
        device: cpu, cuda or cuda:N (one of several processes).
        cache: where a teacher's answers over the network are kept, and vectors of the base model.
    """
    from transformers import set_seed

    settings, spec = job.settings, job.spec
    set_seed(settings.seed)  # parts that the base model's files lack are drawn when it is loaded
    model = trainable_model(job, device)
    rows = _as_trained_on(job, model)
    teacher = load_teacher(rows, job.base or spec, settings, checkpoints.folder.parent, device, cache, job.bm25)
    with task("train", job.steps) as progress:
        encoded_at_once = 128 if device.startswith("cuda") else 32
        validation = job.validation if job.validation is not None and job.validation.queries else None
        measured_at = measuring_steps(job.steps_per_epoch, job.steps, settings)
        validator = None
        if validation is not None:
            fused = settings.validate_on == "hybrid"
            validator = Validator(validation, spec, encoded_at_once, settings.seed, fused, job.bm25)
        hooks = Hooks(
            validator=validator,
            checkpoints=checkpoints,
            measured_at=measured_at,
            first_after_epoch=min(step for step in measured_at if step >= min(job.steps_per_epoch, job.steps)),
            settings=settings,
            progress=progress,
            sampler=job.sampler,
            steps_per_epoch=job.steps_per_epoch,
            base_vectors=cache / VECTORS if cache is not None and settings.keep_layers is None else None,
            base_weights=copied_weights(model) if settings.base_weight and not settings.lora.rank else None,
        )
        arguments = training_arguments(settings, checkpoints.folder, job.sampler.size, job.steps, device)
        collator = Collator(rows, model.preprocess, spec, settings, teacher, from_others, job.bm25)
        trainer = build_trainer(model, spec, arguments, settings, collator, len(job.rows), hooks)
        trainer.train(resume_from_checkpoint=str(resumed) if resumed is not None else None)
    return list(trainer.state.log_history)


def _as_trained_on(job: TrainingJob, model: "SentenceTransformer") -> Sequence[TrainingRow]:
    """The rows, with what of their positives is trained on."""
    settings, spec = job.settings, job.spec
    if settings.crop == "front":
        return job.rows
    length = min(settings.max_passage_length, spec.max_passage_length)
    around = len(model.tokenizer(spec.passage_prompt)["input_ids"])
    return around_evidence(job.rows, model.tokenizer, max(1, length - around))


def trainable_model(job: TrainingJob, device: str) -> "SentenceTransformer":
    """The base model as it is trained: attention implementation, adapters, gradient checkpointing.

    Raises:
        SettingsError: flash_attention_2 without a GPU or without the package flash-attn; see also
            :func:`embed_pipeline.finetune.lora.add_adapters`.
    """
    settings = job.settings
    model = load_sentence_transformer(job.spec, device, attention_for(settings, device))
    if settings.dropout is not None:
        set_dropout(model, settings.dropout)
    if settings.lora.rank:
        add_adapters(model, settings.lora)
    if settings.gradient_checkpointing:
        body: Any = model[0].model
        if hasattr(body, "activation_checkpointing_enable"):
            body.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        else:  # its name in older transformers, 5.17 for one
            body.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def set_dropout(model: "SentenceTransformer", share: float) -> None:
    """Drop this share of the activations in training, everywhere where the model drops some.

    What ships is not touched: the configuration of the written model is the base model's.
    """
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
        elif isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = share  # type: ignore[assignment]


def attention_for(settings: FinetuneSettings, device: str) -> str | None:
    """What transformers is told; None leaves the choice (sdpa) to it.

    In bf16 on a CPU sdpa's backward pass takes three times as long as eager attention's (torch 2.13), so that is taken.

    Raises:
        SettingsError: flash_attention_2 where it cannot run.
    """
    chosen = settings.attention_implementation
    there = device.startswith("cuda") and importlib.util.find_spec("flash_attn") is not None
    if chosen == "flash_attention_2" and (not there or settings.precision == "fp32"):
        raise SettingsError(
            "finetune.attention_implementation is flash_attention_2, which needs a GPU, the package flash-attn and "
            "finetune.precision bf16 or auto. Set it to auto or sdpa."
        )
    if chosen != "auto":
        return chosen
    if device.startswith("cpu") and trains_in_bf16(settings, device):
        return "eager"
    return "flash_attention_2" if there and settings.precision != "fp32" else None
