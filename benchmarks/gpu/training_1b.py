"""Training a 1B Llama: memory and steps a second, of all weights and of adapters, at once and in pieces."""

import math
import time
from functools import partial
from typing import Any

from kit import Bench, flops, free_memory, llama, peak_gib, reset_peak, synchronize, texts_of
from training import StepClock

from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.finetune.checkpoints import Checkpoints
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.environment import quiet_transformers
from embed_pipeline.finetune.in_process import trainable_model
from embed_pipeline.finetune.job import plan_training
from embed_pipeline.finetune.trainer import Hooks, build_trainer, training_arguments
from embed_pipeline.progress import reporting, task
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import FinetuneSettings

LORA = {"rank": 16, "alpha": 32}
WAYS: dict[str, dict[str, Any]] = {
    "lora_at_once": {"lora": LORA, "grad_cache": "off"},
    "lora_pieces_of_16": {"lora": LORA, "grad_cache": "on", "mini_batch_size": 16},
    "full_at_once": {"grad_cache": "off"},
    "full_pieces_of_64": {"grad_cache": "on", "mini_batch_size": 64},
    "full_pieces_of_16": {"grad_cache": "on", "mini_batch_size": 16},
    "full_recomputed": {"grad_cache": "off", "gradient_checkpointing": True},
}


def run(bench: Bench) -> None:
    first: dict[str, list[float]] = {}
    for name, values in WAYS.items():
        found = bench.measure(name, partial(steps, bench, bench.work / "training_1b" / name, values))
        if found is not None:
            first[name] = found["losses"]
    bench.measure("pieces_against_at_once", lambda: differences(first))


def steps(bench: Bench, work: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Some steps of the pipeline's trainer, without a checkpoint: those of a 1B model are 15 GB each."""
    length = bench.size(128, 16)
    batch, count = bench.size(64, 4), bench.size(8, 4)
    settings = FinetuneSettings.model_validate(
        {"batch_size": batch, "max_steps": count, "hard_negatives": 1, "epochs": 1, "processes": 1, "precision": "bf16"}
        | {"learning_rate": 1e-5, "warmup_steps": 0}
        | {"max_query_length": bench.size(32, 16), "max_passage_length": length}
        | values
    )
    spec = llama(bench, length)
    job = plan_training(rows(batch * max(count, 8), length), None, spec, settings)
    reset_peak()
    began = time.perf_counter()
    model = trainable_model(job, bench.device)
    synchronize()
    loaded, held = time.perf_counter() - began, peak_gib()
    hooks_for = partial(
        Hooks, validator=None, checkpoints=Checkpoints(work, "steps"), measured_at=frozenset(),
        first_after_epoch=0, settings=settings, sampler=job.sampler, steps_per_epoch=job.steps_per_epoch,
    )  # fmt: skip
    arguments = training_arguments(settings, work, job.sampler.size, job.steps, bench.device)
    collator = Collator(job.rows, model.preprocess, spec, settings)
    clock = StepClock()
    reset_peak()
    with quiet_transformers(), reporting(clock), task("train", job.steps) as progress:
        hooks = hooks_for(progress=progress)
        trainer = build_trainer(model, spec, arguments, settings, collator, len(job.rows), hooks)
        trainer.train()
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    norms = [float(entry["grad_norm"]) for entry in trainer.state.log_history if "grad_norm" in entry]
    trainable = sum(value.numel() for value in model.parameters() if value.requires_grad)
    ours = TorchEncoder(spec, model)
    forward = flops(ours, batch, settings.max_query_length) + flops(ours, 2 * batch, length)
    rate = clock.per_second()
    found = {
        "parameters": sum(value.numel() for value in model.parameters()),
        "trainable": trainable,
        "batch_size": job.sampler.size,
        "steps": len(losses),
        "losses": losses,
        "grad_norms": norms,
        "seconds_to_load": round(loaded, 1),
        "gib_of_the_weights": held,
        "peak_gib": peak_gib(),
        "steps_per_s": rate,
        "tflops_of_3_forward_passes": round(3 * forward * rate / 1e12, 3) if rate else None,
        "as_expected": len(losses) == count and all(map(math.isfinite, losses)),
    }
    trainer.accelerator.free_memory()
    del trainer, model, ours, collator, hooks
    free_memory()
    return found


def rows(count: int, length: int) -> list[TrainingRow]:
    """Texts of the sample longer than the model takes: a question, a positive, a negative."""
    questions, positives = texts_of([24] * count, 3), texts_of([length + 8] * count, 4)
    negatives = texts_of([length + 8] * count, 5)
    return [
        TrainingRow(
            row_id=f"q{n}", question_id=f"q{n}", question=f"{n} {questions[n]}", positive_id=f"p{n}",
            positive=f"{n} {positives[n]}", positive_group=f"p{n}", negative_ids=[f"n{n}"],
            negatives=[f"{n} {negatives[n]}"], negative_groups=[f"n{n}"], component=f"c{n}",
        )
        for n in range(count)
    ]  # fmt: skip


def differences(losses: dict[str, list[float]]) -> dict[str, Any]:
    """First losses of the ways that compute the same: they differ by rounding alone."""
    groups = [[name for name in losses if name.startswith(kind)] for kind in ("lora", "full")]
    apart = {name: abs(losses[name][0] - losses[group[0]][0]) for group in groups for name in group[1:]}
    return {"first_loss": apart, "as_expected": all(value < 0.02 for value in apart.values())}
