"""Is the exported graph the checkpoint? Both encode the same texts in many shapes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from embed_pipeline.encoders.onnx_encoder import OnnxEncoder
from embed_pipeline.encoders.spec import EncoderSpec, Role, Vectors
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.errors import ExportError
from embed_pipeline.progress import track

BATCH_SIZES = {"one token": (1, 2, 7, 32), "longest": (1, 2), "mixed": (1, 2, 7, 32)}
WORD_COUNTS = (3, 20, 1, 12, 7, 25, 2)  # of the mixed texts
ROLES: tuple[Role, ...] = ("query", "passage")


@dataclass(frozen=True)
class ParityCase:
    """One batch, encoded by both.

    Attributes:
        lengths: one token, longest (cut at the maximum) or mixed (hence padded).
        lowest_cosine: over the batch; largest_difference: over all numbers of the vectors.
    """

    role: str
    lengths: str
    batch_size: int
    lowest_cosine: float
    largest_difference: float


@dataclass(frozen=True)
class ParityReport:
    """The worst over all cases, and the cases; figures are rounded to 6 decimals."""

    lowest_cosine: float
    largest_difference: float
    cases: tuple[ParityCase, ...]


def check_parity(checkpoint: Path, onnx_folder: Path, texts: Sequence[str], min_cosine: float) -> ParityReport:
    """Compare the vectors of a checkpoint and of its export.

    Batches of up to 32 one-token texts, texts of the maximum length and texts of mixed lengths run in one
    piece each, as queries and as passages.

    Args:
        texts: of the domain; at least one with a word in it.
        min_cosine: the lowest cosine accepted.

    Raises:
        ExportError: a cosine is below ``min_cosine`` (numbers that are not finite count as -1), or there is no text.
    """
    spec = EncoderSpec.load(checkpoint)
    variants = _variants(texts, spec.max_passage_length)
    largest = max(size for sizes in BATCH_SIZES.values() for size in sizes)
    torch_encoder = TorchEncoder.load(spec, batch_size=largest)
    onnx_encoder = OnnxEncoder.load(
        onnx_folder, batch_size=largest, token_budget=largest * max(spec.max_query_length, spec.max_passage_length)
    )
    cases = []
    shapes = [(role, name, size) for role in ROLES for name in variants for size in BATCH_SIZES[name]]
    for role, name, size in track(shapes, "compare ONNX with the checkpoint"):
        batch = list(islice(cycle(variants[name]), size))
        expected, exported = torch_encoder.encode(batch, role), onnx_encoder.encode(batch, role)
        lowest, difference = _compare(expected, exported)
        cases.append(ParityCase(role, name, size, lowest, difference))
    report = ParityReport(
        min(case.lowest_cosine for case in cases), max(case.largest_difference for case in cases), tuple(cases)
    )
    if not report.lowest_cosine >= min_cosine:
        worst = min(cases, key=lambda case: case.lowest_cosine)
        raise ExportError(
            f"{onnx_folder}: the exported model is not the checkpoint: cosine {worst.lowest_cosine:.6f} with "
            f"{worst.batch_size} {worst.role} texts ({worst.lengths}), below export.min_cosine {min_cosine}. "
            "Try another export.opset."
        )
    return report


def cosines(left: Vectors, right: Vectors) -> Iterator[float]:
    """Cosine of each pair of rows; -1 where a number is not finite."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    with np.errstate(all="ignore"):
        values = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return iter(np.where(np.isfinite(values), values, -1.0).tolist())


def _compare(expected: Vectors, exported: Vectors) -> tuple[float, float]:
    difference = np.abs(expected.astype(np.float64) - exported.astype(np.float64)).max()
    largest = float(difference) if np.isfinite(difference) else float(np.finfo(np.float32).max)
    return round(min(cosines(expected, exported)), 6), round(largest, 6)


def _variants(texts: Sequence[str], max_length: int) -> dict[str, list[str]]:
    words = " ".join(texts).split()
    if not words:
        raise ExportError("the export cannot be compared with the checkpoint: there is no text to encode.")
    long = " ".join(islice(cycle(words), 2 * max_length))
    mixed = [
        " ".join(islice(cycle(words), start, start + WORD_COUNTS[start % len(WORD_COUNTS)])) for start in range(32)
    ]
    return {"one token": ["a"], "longest": [long], "mixed": mixed}
