"""Faiss on an NVIDIA GPU, where its build can use one (``faiss-gpu-cuvs``).

Written after Faiss 1.15's source and documentation and tested with its CPU build; it has not run on a GPU yet.
cuVS is left aside: Faiss's own kernels compute in float32, as the CPU does.
"""

import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoders.spec import Vectors

MOST = 2048
"""Results of a query, and clusters searched, at most."""
PASSAGE_BYTES = 1 << 30
"""Passages on the GPU at once, in an exact search."""


def have_faiss() -> bool:
    """Whether Faiss is installed, in any build."""
    return importlib.util.find_spec("faiss") is not None


def number_of(device: str) -> int | None:
    """The GPU that Faiss can use for ``device``; None where that is none, or Faiss is its CPU build or missing."""
    if not device.startswith("cuda") or not have_faiss():
        return None
    import faiss

    number = int(device.partition(":")[2] or 0)
    return number if number < faiss.get_num_gpus() else None


def knn(queries: Vectors, passages: Vectors, k: int, number: int) -> tuple[Vectors, NDArray[np.int64]]:
    """The ``k`` (2048 at most) highest inner products; passages may lie on the disk and come in blocks."""
    import faiss

    scores, indices = faiss.knn_gpu(
        faiss.StandardGpuResources(),
        queries,
        passages,
        k,
        metric=faiss.METRIC_INNER_PRODUCT,
        device=number,
        vectorsMemoryLimit=PASSAGE_BYTES,
    )
    return scores, indices


def moved(index: Any, number: int) -> Any:
    """An index of clusters on the GPU, still to be trained and filled."""
    import faiss

    options = faiss.GpuClonerOptions()
    options.use_cuvs = False
    index.nprobe = min(index.nprobe, MOST)
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), number, index, options)
