"""ONNX to INT8, judged by the domain's own text.

Three ways are tried; the one whose vectors are nearest to the float model's on held-out passages is kept:

- ``static``: weights per channel and activations per tensor, ranges calibrated on passages of the domain
  (MinMax). Down projections stay in float: their inputs hold the outliers that ruin a per-tensor range
  (Bondarenko, Nagel, Blankevoort 2021, "Understanding and Overcoming the Challenges of Efficient Transformer
  Quantization", section 3).
- ``dynamic``: the same weights, activation ranges taken from each batch; a vector then depends a little on its
  neighbours in the batch.
- ``blockwise``: 8-bit weights and activations with one scale for each block of 128 numbers (MatMulNBits).
"""

import logging
import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embed_pipeline.encoders.onnx_encoder import MODEL_FILE, OnnxEncoder
from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.errors import ExportError
from embed_pipeline.export.onnx_graph import LARGEST_SINGLE_FILE, copy_companions, save_graph
from embed_pipeline.export.parity import cosines
from embed_pipeline.files import temporary_folder, write_json
from embed_pipeline.progress import track
from embed_pipeline.settings import ExportSettings

REPORT_FILE = "quantization.json"
QUANTIZED_OPERATORS = ["MatMul", "Gemm"]
BLOCK_SIZE = 128
HELD_OUT_EVERY = 4


@dataclass(frozen=True)
class QuantizationReport:
    """What was written; everything but ``speed_ratio`` stands in quantization.json.

    Attributes:
        method: static, dynamic or blockwise.
        cosines: method -> mean cosine to the float model on held-out passages.
        lowest_cosine: of the kept method.
        bytes, float_bytes: size of model.onnx after and before.
        speed_ratio: seconds of the float model / seconds of the quantised one, on the held-out passages.
    """

    method: str
    cosines: dict[str, float]
    lowest_cosine: float
    calibrated_on: int
    held_out: int
    reduce_range: bool
    bytes: int
    float_bytes: int
    speed_ratio: float


@dataclass(frozen=True)
class _Job:
    source: Path
    calibration: list[dict[str, Any]]
    reduce_range: bool
    external_data: bool


def quantize_int8(
    onnx_folder: Path, output: Path, texts: Sequence[str], settings: ExportSettings
) -> QuantizationReport:
    """Write an INT8 model.onnx, tokenizer, encoder.json and quantization.json into ``output``.

    Args:
        onnx_folder: the exported float model.
        texts: passages of the domain; ``settings.calibration_passages`` of them, evenly spread, are used,
            every fourth held out to judge the result.

    Raises:
        ExportError: no passage, or no method gave a model that runs.
    """
    calibration, held_out = _sample(texts, settings.calibration_passages)
    encoder = OnnxEncoder.load(onnx_folder)
    size = _bytes(onnx_folder)
    job = _Job(
        onnx_folder / MODEL_FILE, _feeds(encoder, calibration), needs_reduced_range(), size > LARGEST_SINGLE_FILE
    )
    expected, float_seconds = _encode(encoder, held_out)
    cosines_of: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    with temporary_folder(output.parent, "quantize") as scratch:
        for method in track(list(METHODS), "quantise"):
            copy_companions(onnx_folder, scratch / method)
            with _quiet():
                METHODS[method](job, scratch / method / MODEL_FILE)
            vectors, seconds[method] = _encode(OnnxEncoder.load(scratch / method), held_out)
            cosines_of[method] = list(cosines(expected, vectors))
        means = {method: round(float(np.mean(values)), 6) for method, values in cosines_of.items()}
        best = max(means, key=lambda method: means[method])
        copy_companions(onnx_folder, output)
        _save(scratch / best / MODEL_FILE, output / MODEL_FILE)
    report = QuantizationReport(
        method=best,
        cosines=means,
        lowest_cosine=round(min(cosines_of[best]), 6),
        calibrated_on=len(calibration),
        held_out=len(held_out),
        reduce_range=job.reduce_range,
        bytes=_bytes(output),
        float_bytes=size,
        speed_ratio=float_seconds / seconds[best],
    )
    write_json(output / REPORT_FILE, {name: value for name, value in asdict(report).items() if name != "speed_ratio"})
    return report


def needs_reduced_range(machine: str | None = None, cpu_info: str | None = None) -> bool:
    """Whether 8-bit products may overflow here: x86 without VNNI multiplies into 16 bits, so weights take 7 bits.

    Source: ONNX Runtime documentation, "Quantize ONNX models", section on U8S8 and reduce_range.
    """
    if (machine or platform.machine()).lower() not in ("x86_64", "amd64", "i686"):
        return False
    if cpu_info is None:
        path = Path("/proc/cpuinfo")
        cpu_info = path.read_text("utf-8", "replace") if path.is_file() else ""
    return re.search(r"\bavx(512)?_vnni\b", cpu_info) is None


def _sample(texts: Sequence[str], wanted: int) -> tuple[list[str], list[str]]:
    """Calibration and held-out passages; a single passage serves as both."""
    usable = [text for text in texts if text.strip()]
    if not usable:
        raise ExportError("INT8 needs passages to calibrate on, and there is none; set export.int8 to false.")
    count = min(wanted, len(usable))
    chosen = [usable[place * len(usable) // count] for place in range(count)]
    held_out = chosen[::HELD_OUT_EVERY]
    calibration = [text for place, text in enumerate(chosen) if place % HELD_OUT_EVERY]
    return calibration or held_out, held_out


def _encode(encoder: OnnxEncoder, texts: list[str]) -> tuple[Vectors, float]:
    began = time.perf_counter()
    vectors = encoder.encode(texts, "passage")
    return vectors, time.perf_counter() - began


def _feeds(encoder: OnnxEncoder, texts: Sequence[str]) -> list[dict[str, Any]]:
    """One passage a batch, so that no padding enters the ranges."""
    rows = [token.ids for token in encoder.tokenize(texts, "passage")]
    return [
        {"input_ids": np.array([row], np.int64), "attention_mask": np.ones((1, len(row)), np.int64)} for row in rows
    ]


def _static(job: _Job, target: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = iter(job.calibration)

        def get_next(self) -> dict[str, Any] | None:
            return next(self.feeds, None)

    quantize_static(
        str(job.source),
        str(target),
        Reader(),
        op_types_to_quantize=QUANTIZED_OPERATORS,
        per_channel=True,
        reduce_range=job.reduce_range,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        nodes_to_exclude=_down_projections(job.source),
        use_external_data_format=job.external_data,
        extra_options={"MatMulConstBOnly": True},
    )


def _down_projections(path: Path) -> list[str]:
    """Matrix products with fewer outputs than inputs."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer if len(tensor.dims) == 2}
    products = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in shapes]
    return [node.name for node in products if shapes[node.input[1]][0] > shapes[node.input[1]][1]]


def _dynamic(job: _Job, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(job.source),
        str(target),
        op_types_to_quantize=QUANTIZED_OPERATORS,
        per_channel=True,
        reduce_range=job.reduce_range,
        weight_type=QuantType.QInt8,
        use_external_data_format=job.external_data,
    )


def _blockwise(job: _Job, target: Path) -> None:
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        onnx.load(str(job.source)), bits=8, block_size=BLOCK_SIZE, is_symmetric=True, accuracy_level=4
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(target), job.external_data)


METHODS: dict[str, Callable[[_Job, Path], None]] = {"static": _static, "dynamic": _dynamic, "blockwise": _blockwise}


def _save(source: Path, target: Path) -> None:
    import onnx

    graph = onnx.load(str(source))
    graph.producer_version = ""
    save_graph(graph, target)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"{MODEL_FILE}*"))


@contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's quantiser writes a line for every node to the root logger."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
