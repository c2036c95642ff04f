"""Training in several processes, one for each GPU: torchrun starts them, DistributedDataParallel joins gradients.

::

    finetune() ── <work>/job/ ── torchrun ─┬─ rank 0: trains, validates, writes checkpoints, reports progress
                                           └─ rank n: trains

Each process has batches of its own; a question's in-batch negatives are those of all processes
(:mod:`embed_pipeline.finetune.gather`). Rank 0 reports what happens as one JSON object a line on its standard output,
which the caller passes on.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from embed_pipeline import errors
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import EmbedPipelineError, TrainingError
from embed_pipeline.files import write_json, write_jsonl
from embed_pipeline.finetune.checkpoints import Checkpoints
from embed_pipeline.finetune.environment import explained_failures, quiet_transformers
from embed_pipeline.finetune.in_process import train_here
from embed_pipeline.finetune.job import TrainingJob, plan_training
from embed_pipeline.finetune.teacher import load_teacher
from embed_pipeline.formats.beir import read_retrieval_set, write_retrieval_set
from embed_pipeline.progress import Reporter, SilentReporter, current_reporter, reporting
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import Bm25Settings, FinetuneSettings

JOB, ROWS = "job.json", "rows.jsonl"
VALIDATION: Final = "validation"
LOG_END = 2000
"""Characters of a dead process's log that the user is shown."""


def processes_for(settings: FinetuneSettings, device: str) -> int:
    """``finetune.processes``, or one for each visible GPU; one on a CPU unless more are asked for."""
    if settings.processes or device == "cpu":
        return max(1, settings.processes)
    import torch

    return max(1, int(torch.cuda.device_count()))


def train_in_processes(
    job: TrainingJob, checkpoints: Checkpoints, device: str, resumed: Path | None, cache: Path | None = None
) -> None:
    """Run the training under torchrun; its checkpoints are in ``checkpoints`` afterwards.

    Raises:
        EmbedPipelineError: what a process raised, or that one of them died.
    """
    work_folder = checkpoints.folder.parent
    folder = work_folder / "job"
    # what it knows is computed or asked for once; each process then finds it there
    load_teacher(job.rows, job.base or job.spec, job.settings, work_folder, device, cache, job.bm25)
    _write_job(job, checkpoints.inputs, device, {"resumed": resumed, "cache": cache}, folder)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={job.processes}"]
    command += ["-m", "embed_pipeline.finetune", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    log = folder / "torchrun.log"
    with log.open("w") as log_file:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log_file, text=True, env=environment)
        with running:
            try:
                failure = _listen(running)
            except BaseException:
                running.terminate()
                raise
    if failure is not None:
        raise failure
    if running.returncode:
        tail = " ".join(log.read_text("utf-8", "replace")[-LOG_END:].split())
        raise TrainingError(f"A training process ended with exit code {running.returncode}; {log} ends with: {tail}")


def _write_job(job: TrainingJob, inputs: str, device: str, places: Mapping[str, Path | None], folder: Path) -> None:
    write_jsonl(folder / ROWS, (asdict(row) for row in job.rows))
    if job.validation is not None:
        write_retrieval_set(job.validation, folder / VALIDATION, VALIDATION)
    written = {
        "spec": job.spec.model_dump(mode="json"),
        "base": job.base.model_dump(mode="json") if job.base is not None else None,
        "settings": job.settings.model_dump(mode="json"),
        "bm25": job.bm25.model_dump(mode="json"),
        "device": device,
        "processes": job.processes,
        "inputs": inputs,
        **{name: str(path) if path is not None else None for name, path in places.items()},
        "validation": job.validation is not None,
    }
    write_json(folder / JOB, written)


def _listen(running: "subprocess.Popen[str]") -> EmbedPipelineError | None:
    """Pass on what rank 0 reports; the error that any process reports."""
    reporter, handles = current_reporter(), {}
    failure: EmbedPipelineError | None = None
    assert running.stdout is not None
    for line in running.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event["event"] == "error":
            kind = getattr(errors, event["type"], TrainingError)
            failure = failure or kind(event["text"])
        elif event["event"] == "message":
            reporter.message(event["text"])
        elif event["event"] == "start":
            handles[event["task"]] = reporter.start(event["name"], event["total"])
        elif event["event"] == "update":
            reporter.update(handles[event["task"]], event["done"], event["note"])
        else:
            reporter.finish(handles[event["task"]])
    return failure


class JsonReporter:
    """Reports progress as JSON lines on standard output."""

    def __init__(self) -> None:
        self._tasks = 0

    def start(self, name: str, total: int | None) -> object:
        self._tasks += 1
        _emit({"event": "start", "task": self._tasks, "name": name, "total": total})
        return self._tasks

    def update(self, handle: object, done: int, note: str = "") -> None:
        _emit({"event": "update", "task": handle, "done": done, "note": note})

    def finish(self, handle: object) -> None:
        _emit({"event": "finish", "task": handle})

    def message(self, text: str) -> None:
        _emit({"event": "message", "text": text})


def _emit(event: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def run_process(folder: Path) -> int:
    """What each process does with the job in ``folder``; the exit code."""
    rank = int(os.environ["RANK"])
    reporter: Reporter = JsonReporter() if rank == 0 else SilentReporter()
    try:
        with reporting(reporter), quiet_transformers(), explained_failures(folder.parent):
            _train_share(folder)
    except EmbedPipelineError as error:
        _emit({"event": "error", "type": type(error).__name__, "text": str(error)})
        return 1
    return 0


def _train_share(folder: Path) -> None:
    job_file = json.loads((folder / JOB).read_text("utf-8"))
    lines = (folder / ROWS).read_text("utf-8").split("\n")
    rows = [TrainingRow(**json.loads(line)) for line in lines if line]
    validation = (
        read_retrieval_set(folder / VALIDATION, VALIDATION, VALIDATION, kind=VALIDATION)
        if job_file["validation"]
        else None
    )
    spec, settings = EncoderSpec.model_validate(job_file["spec"]), FinetuneSettings.model_validate(job_file["settings"])
    with reporting(SilentReporter()):
        base = EncoderSpec.model_validate(job_file["base"]) if job_file["base"] else None
        bm25 = Bm25Settings.model_validate(job_file["bm25"])
        job = plan_training(rows, validation, spec, settings, job_file["processes"], base, bm25)
    device = job_file["device"] if job_file["device"] == "cpu" else f"cuda:{os.environ['LOCAL_RANK']}"
    resumed, cache = (Path(job_file[name]) if job_file[name] else None for name in ("resumed", "cache"))
    train_here(job, Checkpoints(folder.parent, job_file["inputs"]), device, resumed, cache)
