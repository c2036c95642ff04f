"""Training MiniLM with the pipeline's own ``finetune``: it ends, learns, repeats itself, and survives a kill."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from kit import Bench, encoder, lowest_cosine, minilm, peak_gib, reset_peak, sample

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import TrainingError
from embed_pipeline.files import hash_tree
from embed_pipeline.finetune.checkpoints import COMPLETE, Checkpoints, history_of
from embed_pipeline.finetune.environment import quiet_transformers
from embed_pipeline.finetune.job import plan_training
from embed_pipeline.finetune.torchrun import train_in_processes
from embed_pipeline.finetune.train import TrainingReport, finetune
from embed_pipeline.progress import reporting
from embed_pipeline.records import RetrievalSet, TrainingRow
from embed_pipeline.settings import FinetuneSettings

HELD_OUT = 3
"""One question in so many validates, the others train."""
MOST_APART = 0.05
"""Losses of the same step that may differ so much: a GPU adds in no fixed order, and it grows from step to step."""
KILL_WITHIN = 80
"""Seconds within which the training to be killed must have written a checkpoint."""


class StepClock:
    """A reporter that notes when each step was over."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def start(self, name: str, total: int | None) -> object:
        return name

    def update(self, handle: object, done: int, note: str = "") -> None:
        if handle == "train" and note:  # the trainer logged a loss, so the step's work on the GPU is over
            self.times.append(time.perf_counter())

    def finish(self, handle: object) -> None:
        return None

    def message(self, text: str) -> None:
        print(f"    {text}", file=sys.stderr)

    def per_second(self) -> float | None:
        """Steps a second by the median step, the first three of many left out; None for too few steps."""
        steps = np.diff(self.times[3:] if len(self.times) > 6 else self.times)
        return round(1 / float(np.median(steps)), 3) if len(steps) else None


def run(bench: Bench) -> None:
    work = bench.work / "training"
    train = partial(trained, bench, work)
    first = bench.measure("fp32", lambda: train("first", precision="fp32"))
    bench.measure("fp32_same_seed_again", lambda: train("second", precision="fp32", compared="first"))
    bench.measure("auto_precision", lambda: train("auto"))
    bench.measure("fp32_grad_cache", lambda: train("pieces", precision="fp32", grad_cache="on", mini_batch_size=8))
    bench.measure("lora", lambda: train("lora", lora={"rank": 8}, learning_rate=1e-3))
    bench.measure("gradient_checkpointing", lambda: train("recomputed", gradient_checkpointing=True))
    if first is not None:
        bench.measure("killed_and_resumed", lambda: killed(bench, work))
        bench.measure("torchrun_one_process", lambda: by_torchrun(bench, work))


def chosen(bench: Bench, **values: Any) -> FinetuneSettings:
    """Settings of these trainings."""
    sizes = {"batch_size": bench.size(64, 8), "epochs": bench.size(6, 2), "hard_negatives": bench.size(3, 1)}
    lengths = {"max_query_length": bench.size(64, 16), "max_passage_length": bench.size(128, 16)}
    own = {"learning_rate": 5e-5, "max_steps": bench.size(60, 4), "processes": 1}
    return FinetuneSettings.model_validate(sizes | lengths | own | values)


def data(bench: Bench) -> tuple[list[TrainingRow], RetrievalSet]:
    """Gold questions of the bundled sample with their passage and neighbours of it as negatives; others validate.

    Real texts in a form that can be learned from in a minute; nothing is claimed about the quality of the result.
    """
    gold = sample()
    names = sorted(gold.queries)[: bench.size(len(gold.queries), 27)]
    held_out = set(names[::HELD_OUT])
    order = sorted(gold.passages)
    place = {name: number for number, name in enumerate(order)}
    rows = []
    for query in names:
        positive = min(gold.qrels[query])
        around = [order[(place[positive] + step) % len(order)] for step in range(2, 12)]
        negatives = [name for name in around if name not in gold.qrels[query]][:4]
        rows.append(
            TrainingRow(
                row_id=query,
                question_id=query,
                question=gold.queries[query],
                positive_id=positive,
                positive=gold.passages[positive],
                positive_group=positive,
                negative_ids=negatives,
                negatives=[gold.passages[name] for name in negatives],
                negative_groups=negatives,
                component=positive,
            )
        )
    queries = {name: gold.queries[name] for name in held_out}
    passages = dict(list(gold.passages.items())[: bench.size(len(gold.passages), 20)])
    passages |= {name: gold.passages[name] for query in queries for name in gold.qrels[query]}
    validation = RetrievalSet("validation", passages, queries, {name: gold.qrels[name] for name in queries})
    training = [row for row in rows if row.question_id not in held_out]
    again = range(bench.size(3, 1))  # more rows, so that the batch size is not cut
    return [replace(row, row_id=f"{row.row_id}/{turn}", question_id=f"{row.question_id}/{turn}")
            for turn in again for row in training], validation  # fmt: skip


def trained(bench: Bench, work: Path, name: str, compared: str | None = None, **values: Any) -> dict[str, Any]:
    """Train once; what it gave, and what it cost."""
    rows, validation = data(bench)
    settings, spec, clock = chosen(bench, **values), minilm(bench, bench.size(128, 32)), StepClock()
    reset_peak()
    began = time.perf_counter()
    with reporting(clock):
        report = finetune(rows, validation, spec, settings, work / name / "model", work / name / "work")
    facts = course(report) | {"seconds": round(time.perf_counter() - began, 1), "peak_gib": peak_gib()}
    rate = clock.per_second()
    if rate is not None:
        facts |= {"steps_per_s": rate, "questions_per_s": round(rate * report.batch_size, 1)}
    facts |= shares(spec, settings, report, rate)
    if compared is not None:
        facts |= same_as(work / compared / "model", work / name / "model", spec)
        facts["as_expected"] &= facts["largest_loss_difference"] < MOST_APART
    return facts


def course(report: TrainingReport) -> dict[str, Any]:
    losses = [loss for _, loss in report.losses]
    part = max(1, len(losses) // 5)
    early, late = float(np.mean(losses[:part])), float(np.mean(losses[-part:]))
    return {
        "steps": report.steps,
        "batch_size": report.batch_size,
        "loss_first_fifth": round(early, 5),
        "loss_last_fifth": round(late, 5),
        "losses": losses[:3] + losses[-1:],
        "as_expected": late < early,
        "validation_ndcg@10": {str(step): value for step, value in report.validations},
    }


def shares(spec: EncoderSpec, settings: FinetuneSettings, report: TrainingReport, rate: float | None) -> dict[str, Any]:
    """TFLOP/s of the steps: three times a forward pass over every text at its full length, an upper bound."""
    from kit import flops

    if rate is None:
        return {}
    model = encoder(spec, "cpu")
    passages = report.batch_size * (1 + settings.hard_negatives)
    forward = flops(model, report.batch_size, settings.max_query_length)
    forward += flops(model, passages, settings.max_passage_length)
    return {"tflops_at_most": round(3 * forward * rate / 1e12, 3)}


def same_as(one: Path, other: Path, spec: EncoderSpec) -> dict[str, Any]:
    """Whether two trained models are the same bytes; if not, how far their logs and vectors are apart."""
    name = "model.safetensors"
    identical = hash_tree(one)[name] == hash_tree(other)[name]
    logs = [json.loads((folder / "training_log.json").read_text("utf-8"))["log"] for folder in (one, other)]
    apart = max(abs(a["loss"] - b["loss"]) for a, b in zip(*logs, strict=True))
    texts = list(sample().passages.values())[:32]
    found = [encoder(spec.model_copy(update={"model": str(folder)}), "cpu").encode(texts, "passage")
             for folder in (one, other)]  # fmt: skip
    return {
        "bit_identical": identical,
        "largest_loss_difference": apart,
        "lowest_cosine_of_the_models": lowest_cosine(*found),
    }


# -- kill and torchrun ---------------------------------------------------------------------------------------


def killed(bench: Bench, work: Path) -> dict[str, Any]:
    """A training in another process, killed at its first checkpoint and called again here, against one in peace."""
    folder = work / "killed"
    command = [sys.executable, __file__, str(folder), bench.model, str(bench.work), str(int(bench.quick))]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + KILL_WITHIN
    try:
        while not list(folder.glob(f"work/checkpoints/*/{COMPLETE}")):
            if running.poll() is not None or time.monotonic() > deadline:
                running.kill()
                raise TrainingError(f"no checkpoint to be killed at: {running.communicate()[1][-1500:]}")
            time.sleep(0.01)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    done = (folder / "model").exists()
    checkpoints = sorted(path.name for path in (folder / "work" / "checkpoints").glob("checkpoint-*"))
    clock = StepClock()
    with reporting(clock):
        report = interruptible(bench, folder)
    peaceful = interruptible(bench, work / "peaceful")
    apart = max(abs(a - b) for (_, a), (_, b) in zip(report.losses, peaceful.losses, strict=True))
    return {
        "killed_before_the_end": not done,
        "checkpoints_then": checkpoints,
        "steps_made_again": len(clock.times),
        "steps": report.steps,
        "largest_loss_difference": apart,
        "as_expected": not done and len(clock.times) < report.steps == peaceful.steps and apart < MOST_APART,
    } | same_as(folder / "model", work / "peaceful" / "model", minilm(bench, bench.size(128, 32)))


def interruptible(bench: Bench, folder: Path) -> TrainingReport:
    """A training with a checkpoint in the middle."""
    rows, _ = data(bench)
    settings = chosen(bench, precision="fp32", evaluations_per_epoch=2)
    spec = minilm(bench, bench.size(128, 32))
    return finetune(rows, None, spec, settings, folder / "model", folder / "work")


def by_torchrun(bench: Bench, work: Path) -> dict[str, Any]:
    """The same training as ``fp32``, without validation, by torchrun with one process."""
    rows, _ = data(bench)
    spec, settings = minilm(bench, bench.size(128, 32)), chosen(bench, precision="fp32")
    job = plan_training(rows, None, spec, settings)
    checkpoints = Checkpoints(work / "torchrun", job.inputs())
    clock = StepClock()
    with quiet_transformers(), reporting(clock):
        train_in_processes(job, checkpoints, bench.device, None)
    newest = checkpoints.resume_from()
    assert newest is not None
    losses = [float(entry["loss"]) for entry in history_of(newest) if "loss" in entry]
    here = json.loads((work / "first" / "model" / "training_log.json").read_text("utf-8"))["log"]
    apart = max(abs(a - b["loss"]) for a, b in zip(losses, here, strict=True))
    return {
        "steps": len(losses),
        "losses": losses[:3] + losses[-1:],
        "steps_per_s": clock.per_second(),
        "largest_loss_difference": apart,
        "as_expected": len(losses) == job.steps and apart < MOST_APART,
    }


if __name__ == "__main__":  # the training that is killed
    target, named, scratch, small = sys.argv[1:]
    interruptible(Bench(Path(scratch) / "killed.json", bool(int(small)), named, Path(scratch)), Path(target))
