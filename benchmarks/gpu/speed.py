"""Passages a second, from text to vector on the host, and what share of the card's rate that is."""

from functools import partial
from typing import Any

from kit import Bench, encoder, flops, llama, minilm, peak_gib, reset_peak, seconds, texts_of

from embed_pipeline.encoders.torch_encoder import TorchEncoder


def run(bench: Bench) -> None:
    for name, spec_of, texts in (("minilm", minilm, 4096), ("llama_1b", llama, 512)):
        for length in (128, 512):
            for precision in ("fp32", "tf32", "bf16"):
                count = bench.size(max(64, texts * 128 // length), 4)
                made = partial(spec_of, bench, bench.size(length, 16))
                title = f"{name}_{length}_tokens_{precision}"
                bench.measure(title, partial(speeds, bench, made, precision, count))


def speeds(bench: Bench, made: Any, precision: str, count: int) -> dict[str, Any]:
    """Texts longer than the model takes, so that each has the same number of tokens, in batches of 32 (the default)
    and more.
    """
    spec = made()
    length = spec.max_passage_length
    texts = texts_of([length + 8] * count)
    ours = encoder(spec, bench.device, precision)
    reset_peak()
    found: dict[str, Any] = {"texts": count, "tokens": length}
    work = flops(ours, count, length)
    for batch in (32, 256):
        ours.batch_size = batch
        taken = seconds(lambda: ours.encode(texts, "passage"), 1 if precision == "fp32" else 2)
        found[f"passages_per_s_batch_{batch}"] = round(count / taken, 1)
        found[f"tflops_batch_{batch}"] = round(work / taken / 1e12, 3)
    found["passages_per_s_tokenizer_alone"] = round(count / tokenizing(ours, texts), 1)
    found["peak_gib"] = peak_gib()
    return found


def tokenizing(ours: TorchEncoder, texts: list[str]) -> float:
    """Seconds of the tokenizer alone."""
    return seconds(lambda: [ours.model.preprocess(texts[start : start + 32]) for start in range(0, len(texts), 32)], 1)
