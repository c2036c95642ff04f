"""Which packages stand beside each other, and which of them must not: for ``doctor`` and for ``make resolve``."""

import importlib.metadata
import re
from collections.abc import Mapping

Versions = Mapping[str, str]
"""Versions by package name, in lower case with hyphens."""

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
FAISS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu12", "faiss-gpu-cu11")
TENSORRT = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
_CUDA = ("cuda-toolkit", "cuda-bindings", "nvidia-cuda-runtime", "nvidia-cuda-nvrtc", "nvidia-cublas")
"""Packages whose own version is that of CUDA."""
_CUDA_NAME = re.compile(r"-(?:cu|cuda)(\d\d)x?(?:-\w+)?$")


def installed() -> dict[str, str]:
    """The packages of this environment."""
    return {canonical(found.name): found.version for found in importlib.metadata.distributions()}


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
