"""Whether a text has the same vector everywhere: our encoder on the GPU against the CPU in float32, text by text."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from kit import PRECISIONS, Bench, encoder, llama, lowest_cosine, minilm, sample, texts_of

from embed_pipeline.encoders.spec import EncoderSpec, Vectors

LEAST = {"fp32": 0.99999, "tf32": 0.9995, "bf16": 0.99, "fp16": 0.9999}
"""Cosines below which a precision is called wrong."""


def run(bench: Bench) -> None:
    for name, spec_of in (("minilm", minilm), ("llama_1b", llama)):
        specs: list[EncoderSpec] = []

        def prepare(spec_of: Callable[..., EncoderSpec] = spec_of, specs: list[EncoderSpec] = specs) -> str:
            specs.append(spec_of(bench, bench.size(256, 64)))
            return specs[0].version()[:12]

        bench.measure(f"{name}_encoder_version", prepare)
        if specs:
            compare(bench, name, specs[0])


def compare(bench: Bench, name: str, spec: EncoderSpec) -> None:
    """Every way to encode against the same texts one by one on the CPU."""
    texts = mixed_texts(bench, large=name != "minilm")
    wanted: Vectors | None = None

    def reference() -> dict[str, Any]:
        nonlocal wanted
        wanted = encoder(spec, "cpu", batch_size=1).encode(texts, "passage")
        return {"texts": len(texts), "dimensions": wanted.shape[1], "finite": bool(np.isfinite(wanted).all())}

    bench.measure(f"{name}_reference_cpu_fp32_batch_1", reference)
    if wanted is None:
        return
    compared = partial(against, wanted, texts)
    for precision in PRECISIONS:
        for attention in ("sdpa", "eager"):
            title = f"{name}_{precision}_{attention}"
            bench.measure(title, partial(compared, spec, bench.device, precision, attention))
    if name != "minilm":  # BERT's positions count padding; those of rotary embeddings are relative
        left = spec.model_copy(update={"padding_side": "left"})
        bench.measure(f"{name}_fp32_left_padding", partial(compared, left, bench.device, "fp32", "sdpa"))
    bench.measure(f"{name}_queries", lambda: queries(bench, spec))


def against(
    wanted: Vectors, texts: list[str], spec: EncoderSpec, device: str, precision: str, attention: str
) -> dict[str, Any]:
    """The lowest cosines, one by one and in batches of 64 with padding, and whether they are what is promised."""
    ours = encoder(spec, device, precision, 1, attention)
    alone = ours.encode(texts, "passage")
    ours.batch_size = 64
    together = ours.encode(texts, "passage")
    finite = bool(np.isfinite(alone).all() and np.isfinite(together).all())
    if not finite:
        return {"as_expected": False, "vectors_not_finite": int((~np.isfinite(together)).any(1).sum())}
    cosines = {
        "lowest_cosine_batch_1": lowest_cosine(alone, wanted),
        "lowest_cosine_batch_64": lowest_cosine(together, wanted),
        "lowest_cosine_between_batches": lowest_cosine(alone, together),
    }
    norms = np.linalg.norm(together.astype(np.float64), axis=1)
    return cosines | {
        "as_expected": min(cosines.values()) >= LEAST[precision],
        "largest_norm_error": round(float(np.abs(norms - 1).max()), 7),
    }


def queries(bench: Bench, spec: EncoderSpec) -> dict[str, Any]:
    """Queries of the sample, with the query's prompt and length, in order."""
    asked = list(sample().queries.values())[: bench.size(64, 8)]
    wanted = encoder(spec, "cpu").encode(asked, "query")
    found = encoder(spec, bench.device).encode(asked, "query")
    cosine = lowest_cosine(found, wanted)
    return {"lowest_cosine": cosine, "as_expected": cosine >= LEAST["fp32"]}


def mixed_texts(bench: Bench, large: bool) -> list[str]:
    """From one word to more than the model takes, in no order, some in other scripts."""
    counts = [1, 2, 3, 5, 8, 13, 30, 60, 120, 200, 300]
    several = bench.size(2 if large else 12, 1)
    words = np.random.default_rng(1).permutation(counts * several).tolist()
    return [*texts_of(words), "Übergrößenträger, naïve façade", "日本語の文章と中文句子", "😀 ☃", "a", "…"]
