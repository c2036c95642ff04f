"""Which packages are here, what is missing, and what must not stand together: for ``doctor`` and ``make resolve``."""

import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Versions = Mapping[str, str]
"""Versions by package name, in lower case with hyphens."""
Finding = dict[str, str]
"""``check``, ``state`` (ok, warn or fail) and ``detail``."""

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
FAISS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu12", "faiss-gpu-cu11")
TENSORRT = ("tensorrt-cu13", "tensorrt", "tensorrt-cu12")
NEEDED = ("torch", "sentence-transformers", "transformers", "dagster", "polars", "onnx")
ONE_OF = {"onnxruntime": RUNTIMES, "faiss": FAISS}
CPU_LINE = "pip install -c constraints.txt '.[cpu]'"
GPU_LINE = "pip install -c constraints-gpu.txt '.[gpu]'"
_CUDA = ("cuda-toolkit", "cuda-bindings", "nvidia-cuda-runtime", "nvidia-cuda-nvrtc", "nvidia-cublas")
"""Packages whose own version is that of CUDA."""
_CUDA_NAME = re.compile(r"-(?:cu|cuda)(\d\d)x?(?:-\w+)?$")


@dataclass(frozen=True)
class Accelerator:
    """What a machine offers besides its CPU.

    Attributes:
        driver: the version of NVIDIA's driver; None where there is none.
        name: the GPU that torch sees.
        cuda: the CUDA release torch is built for.
        providers: what ONNX Runtime can run on.
    """

    driver: str | None = None
    name: str | None = None
    cuda: str | None = None
    providers: tuple[str, ...] = ()


def installed() -> dict[str, str]:
    """The packages of this environment; what an interrupted installation left without a name is none."""
    found = ((one.metadata["Name"], one.metadata["Version"]) for one in importlib.metadata.distributions())
    return {canonical(name): version or "" for name, version in found if name}


def canonical(name: str) -> str:
    """The spelling that indexes use: lower case, hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()


def present(names: tuple[str, ...], versions: Versions) -> list[str]:
    """Those of ``names`` that are there."""
    return [name for name in names if name in versions]


def cuda_majors(versions: Versions) -> dict[int, list[str]]:
    """The CUDA releases that packages were built for, each with the names of those packages."""
    majors: dict[int, list[str]] = {}
    for name, version in sorted(versions.items()):
        named = _CUDA_NAME.search(name)
        if named is not None:
            majors.setdefault(int(named[1]), []).append(name)
        elif name in _CUDA:
            majors.setdefault(int(version.partition(".")[0]), []).append(name)
    return majors


def finding(check: str, state: str, detail: str) -> Finding:
    """One line of the doctor's."""
    return {"check": check, "state": state, "detail": detail}


def examine_packages(versions: Versions, accelerator: Accelerator) -> Iterator[Finding]:
    """What is there, missing or doubled, with the line that mends it."""
    line = CPU_LINE if accelerator.driver is None else GPU_LINE
    for name in NEEDED:
        if name in versions:
            yield finding(name, "ok", versions[name])
        else:
            yield finding(name, "fail", f"not installed: {line}")
    for check, names in ONE_OF.items():
        yield _one_of(check, present(names, versions), versions, line)
    majors = cuda_majors(versions)
    if len(majors) > 1:
        stacks = ", ".join(f"{major} ({', '.join(names)})" for major, names in majors.items())
        yield finding("cuda", "warn", f"several releases: {stacks}; in a new environment: {line}")
    yield _gpu(versions, accelerator)


def _one_of(check: str, found: list[str], versions: Versions, line: str) -> Finding:
    if not found:
        return finding(check, "fail", f"neither {' nor '.join(ONE_OF[check][:3])} is installed: {line}")
    if len(found) > 1:
        remedy = f"pip uninstall -y {' '.join(found)}, then {line}"
        return finding(check, "fail", f"{' and '.join(found)} overwrite each other's files: {remedy}")
    return finding(check, "ok", f"{found[0]} {versions[found[0]]}")


def _gpu(versions: Versions, machine: Accelerator) -> Finding:
    for_gpu = present((*RUNTIMES[1:], *FAISS[1:], *TENSORRT), versions)
    if machine.name is None and machine.driver is None:
        if for_gpu:
            detail = (
                f"{', '.join(for_gpu)} without an NVIDIA driver: everything runs on the CPU. In a new environment: "
            )
            return finding("gpu", "warn", detail + CPU_LINE)
        return finding("gpu", "ok", "none: everything runs on the CPU; tensorrt_engine is skipped")
    if machine.name is None:
        return finding("gpu", "warn", _unseen(machine))
    if machine.driver is None:  # Apple's
        return finding("gpu", "ok", machine.name)
    if "onnxruntime-gpu" in versions and "CUDAExecutionProvider" not in machine.providers:
        remedy = "pip install --force-reinstall --no-deps -c constraints-gpu.txt onnxruntime-gpu"
        return finding("gpu", "fail", f"{machine.name}, but onnxruntime-gpu has no CUDA provider: {remedy}")
    missing = [name for name in ("onnxruntime-gpu", TENSORRT[0]) if name not in versions]
    if TENSORRT[0] in missing and present(TENSORRT, versions):
        missing.remove(TENSORRT[0])
    if missing:
        detail = f"{machine.name}, but {' and '.join(missing)} missing; in a new environment: {GPU_LINE}"
        return finding("gpu", "warn", detail)
    return finding("gpu", "ok", machine.name)


def _unseen(machine: Accelerator) -> str:
    """Why torch sees no GPU although there is a driver."""
    if machine.cuda is None:
        return f"driver {machine.driver}, but torch is built for CPUs; in a new environment: {GPU_LINE}"
    return (
        f"driver {machine.driver}, but torch (CUDA {machine.cuda}) sees no GPU: CUDA 13 needs driver 580 or newer; "
        "CUDA_VISIBLE_DEVICES may hide it"
    )
