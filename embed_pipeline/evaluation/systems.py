"""The systems that people could use, and what each of them finds.

::

    BM25 ──┬── hybrid, convex ── base            known before training
           └── hybrid_tuned, convex_tuned ── tuned ── tuned@256 …   after it

``hybrid`` fuses by ranks, ``convex`` by scores (:mod:`embed_pipeline.retrieval.fusion`).
"""

from collections.abc import Mapping

from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.evaluation.lexical import found_by_words
from embed_pipeline.evaluation.retrieve import dense_run, encode_set, nearest
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import Run, Scores, convex, rrf
from embed_pipeline.settings import EvalSettings
from embed_pipeline.settings.evaluation import KEPT

BASE_SYSTEMS = ("base", "bm25", "hybrid", "convex")
TUNED_SYSTEMS = ("tuned", "hybrid_tuned", "convex_tuned")
SYSTEMS = ("bm25", "base", "hybrid", "convex", *TUNED_SYSTEMS)
"""In the order in which they are shown; ``tuned@256`` and the like follow."""
STORED = ("base", "bm25", "tuned")
"""The systems whose runs are kept; the others are made of them."""
DEPTH = KEPT
"""Passages of a run, at least: what fusion sees of each side."""
NAMES: Mapping[str, str] = {
    "base": "the base model",
    "tuned": "the tuned model",
    "bm25": "BM25 alone",
    "hybrid": "BM25 and the base model fused by ranks",
    "hybrid_tuned": "BM25 and the tuned model fused by ranks",
    "convex": "BM25 and the base model fused by scores",
    "convex_tuned": "BM25 and the tuned model fused by scores",
    "reranked": "BM25 and the tuned model fused by scores, then the reranker",
    "reranked_blended": "BM25 and the tuned model fused by scores, blended with the reranker",
    "reranked_untrained": "BM25 and the tuned model fused by scores, then the reranker before training",
    "onnx_int8": "the tuned model in INT8",
    "endpoint": "the endpoint",
}
"""What people read, wherever they read of a system."""
WAYS: Mapping[str, str] = {
    "base": "model alone",
    "bm25": "BM25 alone",
    "hybrid": "with BM25, by ranks",
    "convex": "with BM25, by scores",
    "reranked": "with BM25, reranked",
    "reranked_untrained": "with BM25, reranked",
    "reranked_blended": "with BM25, blended",
    "onnx_int8": "model in INT8",
    "endpoint": "endpoint",
}
"""The lines of a chart, each for one way of use before and after training; too narrow for :data:`NAMES`."""


def depth(settings: EvalSettings) -> int:
    """Passages kept for each query."""
    return max(DEPTH, *settings.ks)


def base_runs(retrieval_set: RetrievalSet, encoder: Encoder, settings: EvalSettings, weight: float) -> dict[str, Run]:
    """What :data:`BASE_SYSTEMS` find.

    Args:
        weight: of the dense side in the convex combination.
    """
    k, keep = depth(settings), settings.keep_identical_ids
    dense = dense_run(retrieval_set, encoder, k, keep)
    sparse = found_by_words(retrieval_set, settings, k)
    return {
        "base": dense,
        "bm25": sparse,
        "hybrid": rrf([dense, sparse], k),
        "convex": convex(sparse, dense, k, weight),
    }


def tuned_runs(
    retrieval_set: RetrievalSet,
    encoder: Encoder,
    sparse: Mapping[str, Scores],
    settings: EvalSettings,
    weight: float,
) -> dict[str, Run]:
    """What :data:`TUNED_SYSTEMS` find, and the model cut to each smaller dimension that it offers.

    Args:
        sparse: what BM25 finds.
        weight: of the dense side in the convex combination.
    """
    k, keep = depth(settings), settings.keep_identical_ids
    vectors = encode_set(retrieval_set, encoder)
    dense = nearest(retrieval_set, vectors, k, keep)
    smaller = {
        f"tuned@{size}": nearest(retrieval_set, vectors.prefix(size), k, keep) for size in encoder.spec.dimensions[1:]
    }
    return {
        "tuned": dense,
        "hybrid_tuned": rrf([dense, sparse], k),
        "convex_tuned": convex(sparse, dense, k, weight),
        **smaller,
    }


def compared_systems(settings: EvalSettings) -> tuple[str, str]:
    """Before and after, by the way people will use the model (``eval.deploys``)."""
    if settings.deploys == "dense":
        return "base", "tuned"
    return ("convex", "convex_tuned") if settings.fusion == "convex" else ("hybrid", "hybrid_tuned")


def name_of(system: str) -> str:
    """A system in words."""
    model, _, size = system.partition("@")
    return f"{NAMES.get(model, model)} at {size} dimensions" if size else NAMES.get(system, system)


def way_of(system: str) -> str:
    """A way of use in a few words, for a chart."""
    model, _, size = system.partition("@")
    return f"model at {size} dimensions" if model == "tuned" and size else WAYS.get(system, name_of(system))
