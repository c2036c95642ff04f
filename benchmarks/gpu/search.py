"""Exact search: our top-k on the GPU against numpy, and what a million passages cost."""

import time
from typing import Any

import numpy as np
from kit import Bench, peak_gib, reset_peak

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.retrieval import gpu
from embed_pipeline.retrieval.search import top_k

K, WIDTH = 100, 384


def run(bench: Bench) -> None:
    bench.measure("searched_by", lambda: searched_by(bench.device))
    bench.measure("whole_numbers_and_ties", lambda: whole_numbers(bench))
    passages = bench.size(1_000_000, 20_000)
    queries, rows = vectors(bench.size(10_000, 200), 1), vectors(passages, 0)
    found: dict[str, Any] = {}

    def timed() -> dict[str, Any]:
        top_k(queries[:8], rows[:4096], K, bench.device)  # starts the libraries
        reset_peak()
        began = time.perf_counter()
        found["scores"], found["indices"] = top_k(queries, rows, K, bench.device)
        taken = time.perf_counter() - began
        products = 2 * len(queries) * len(rows) * WIDTH / taken / 1e12
        return {
            "passages": len(rows),
            "queries": len(queries),
            "k": K,
            "seconds": round(taken, 3),
            "queries_per_s": round(len(queries) / taken, 1),
            "tflops": round(products, 3),
            "peak_gib": peak_gib(),
        }

    bench.measure("exact_search", timed)
    if found:
        bench.measure("against_numpy", lambda: against_numpy(queries, rows, **found))
    if bench.on_gpu:
        bench.measure("cpu_for_comparison", lambda: on_cpu(queries[:500], rows))


def searched_by(device: str) -> str:
    """Which library searches here."""
    if device != "cpu":
        return "torch" if gpu.number_of(device) is None else "faiss on the GPU"
    return "faiss on the CPU" if gpu.have_faiss() else "torch on the CPU"


def vectors(count: int, seed: int) -> Vectors:
    """Random unit vectors."""
    rows = np.random.default_rng(seed).standard_normal((count, WIDTH), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def whole_numbers(bench: Bench) -> dict[str, Any]:
    """Products of small whole numbers are exact everywhere, and ties are many: the result must be equal."""
    rng = np.random.default_rng(2)
    queries, passages = (
        rng.integers(-2, 3, (count, 8)).astype(np.float32) for count in (64, bench.size(300_000, 5000))
    )
    scores, indices = top_k(queries, passages, K, bench.device)
    products = queries @ passages.T
    wanted = np.argsort(-products, axis=1, kind="stable")[:, :K]
    same = bool(np.array_equal(indices, wanted) and np.array_equal(scores, np.take_along_axis(products, wanted, 1)))
    return {"equal": same, "as_expected": same}


def against_numpy(queries: Vectors, passages: Vectors, scores: Vectors, indices: Any) -> dict[str, Any]:
    """A sample of the queries in float64."""
    chosen = np.arange(0, len(queries), max(1, len(queries) // 20))
    exact = queries[chosen].astype(np.float64) @ passages.T.astype(np.float64)
    wanted = np.argsort(-exact, axis=1, kind="stable")[:, :K]
    shared = [len(np.intersect1d(*pair)) / K for pair in zip(wanted, indices[chosen], strict=True)]
    error = float(np.abs(np.take_along_axis(exact, indices[chosen], 1) - scores[chosen]).max())
    return {
        "queries": len(chosen),
        "shared_of_top_k": round(float(np.mean(shared)), 6),
        "same_order": round(float((wanted == indices[chosen]).mean()), 6),
        "largest_score_error": error,
        "as_expected": bool(np.mean(shared) > 0.9999 and error < 1e-5),
    }


def on_cpu(queries: Vectors, passages: Vectors) -> dict[str, Any]:
    began = time.perf_counter()
    top_k(queries, passages, K, "cpu")
    taken = time.perf_counter() - began
    return {"by": searched_by("cpu"), "queries": len(queries), "seconds": round(taken, 3),
            "queries_per_s": round(len(queries) / taken, 1)}  # fmt: skip
