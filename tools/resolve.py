"""``make resolve``: does every way to install have a solution, on every supported Python and system?

A dry run of uv's resolver with the committed constraints: it reads metadata and downloads no package, except for the
few kilobytes of packages that are published as source alone. Exits with 1 when a set has no solution or holds what
must not stand together.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from embed_pipeline.cli.packages import FAISS, RUNTIMES, Versions, cuda_majors, present

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LINUX, LINUX_ARM, MACOS = "Linux x86-64", "Linux ARM", "macOS ARM"
PLATFORMS = {
    LINUX: "x86_64-manylinux_2_28",
    LINUX_ARM: "aarch64-manylinux_2_35",
    MACOS: "aarch64-apple-darwin",
}
MACOS_RELEASE = "14.0"
SOURCE_ONLY = ("tensorrt-cu13", "tensorrt-cu13-libs")
"""Published as source alone: what they install comes from NVIDIA's own index."""
COMPILED = {(LINUX_ARM, python): ("pytrec-eval-terrier",) for python in PYTHONS} | {(MACOS, "3.14"): ("watchdog",)}
"""Published without a wheel for a system: pip builds them there, which needs a C compiler."""
AT_ONCE = 4
UV = find_uv_bin()


@dataclass(frozen=True)
class Way:
    """One way to install: its extras and the constraints that go with it."""

    extras: tuple[str, ...]
    constraints: str
    systems: tuple[str, ...]


WAYS = (
    Way(("cpu", "demo", "dev"), "constraints.txt", (LINUX, LINUX_ARM, MACOS)),
    Way(("gpu", "demo", "dev"), "constraints-gpu.txt", (LINUX, LINUX_ARM)),
    Way(("serving",), "constraints.txt", (LINUX, LINUX_ARM, MACOS)),
    Way(("serving-gpu",), "constraints-gpu.txt", (LINUX, LINUX_ARM)),
    Way(("cpu", "data-designer"), "constraints-data-designer.txt", (LINUX,)),
    Way(("cpu", "mlflow", "tensorboard", "trackio", "wandb"), "constraints.txt", (LINUX, LINUX_ARM, MACOS)),
    Way(("gpu", "mlflow", "tensorboard", "trackio", "wandb"), "constraints-gpu.txt", (LINUX, LINUX_ARM)),
)


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    way: Way
    system: str
    python: str


def resolve(case: Case) -> Versions:
    """The packages that pip would install.

    Raises:
        subprocess.CalledProcessError: there is no solution; its ``stderr`` says why.
    """
    command = [UV, "pip", "compile", "pyproject.toml", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python", sys.executable, "--no-python-downloads"]
    command += ["--constraints", case.way.constraints, "--python-version", case.python]
    command += ["--python-platform", PLATFORMS[case.system], "--only-binary", ":all:"]
    command += [part for name in SOURCE_ONLY + _compiled(case) for part in ("--no-binary", name)]
    command += [part for extra in case.way.extras for part in ("--extra", extra)]
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": MACOS_RELEASE}
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, env=environment)
    return dict(line.split("==") for line in done.stdout.splitlines() if "==" in line)


def faults(way: Way, versions: Versions, pinned: Versions) -> Iterator[str]:
    """What is wrong with a set that resolves."""
    runtimes = present(RUNTIMES, versions)
    if len(runtimes) != 1:
        yield f"one ONNX Runtime expected, found {', '.join(runtimes) or 'none'}"
    if len(faiss := present(FAISS, versions)) > 1:
        yield f"several builds of Faiss: {', '.join(faiss)}"
    if len(majors := cuda_majors(versions)) > 1:
        yield f"several releases of CUDA: {', '.join(f'{names[0]} ({major})' for major, names in majors.items())}"
    if way.extras[0].startswith("serving"):
        unwanted = [name for name in versions if name == "torch" or name.startswith("dagster")]
        if unwanted:
            yield f"a server needs no {', '.join(unwanted)}"
    elif not present(FAISS, versions):
        yield "no Faiss"
    free = [name for name in versions if name not in pinned and not name.startswith(("nvidia-", "cuda-", "triton"))]
    if free:
        yield f"{way.constraints} does not pin {', '.join(free)}: run make lock"


def _compiled(case: Case) -> tuple[str, ...]:
    return () if case.way.extras[0].startswith("serving") else COMPILED.get((case.system, case.python), ())


def _pinned(file: str) -> Versions:
    lines = (ROOT / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def _row(case: Case) -> tuple[Case, str, bool]:
    try:
        versions = resolve(case)
    except subprocess.CalledProcessError as error:
        return case, f"no solution\n{error.stderr}", False
    found = list(faults(case.way, versions, _pinned(case.way.constraints)))
    majors = cuda_majors(versions)
    notes = [f"{len(versions)} packages", *(f"CUDA {major}" for major in majors)]
    notes += [f"{name} is compiled" for name in _compiled(case)]
    return case, "; ".join(found) or ", ".join(notes), not found


def main() -> int:
    """Print one line for each set, system and Python; the exit code."""
    cases = [Case(way, system, python) for way in WAYS for system in way.systems for python in PYTHONS]
    good = True
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for case, outcome, sound in pool.map(_row, cases):
            name = ",".join(case.way.extras)
            print(f"{'ok  ' if sound else 'FAIL'}  {name:<18}  {case.system:<12}  {case.python}  {outcome}", flush=True)
            good = good and sound
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
