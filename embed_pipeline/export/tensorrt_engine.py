"""ONNX to a TensorRT engine, where there is an NVIDIA GPU and TensorRT; otherwise skipped, said plainly.

The network is strongly typed (the only kind TensorRT 11 knows; TensorRT 10 has it too), so that precision is
decided in the ONNX graph: for fp16 its weights and products are cast, while normalisations, softmax and
pooling stay in fp32.
"""

import ctypes
import importlib.util
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.encoders.onnx_encoder import MODEL_FILE
from embed_pipeline.errors import ExportError
from embed_pipeline.export.onnx_graph import INPUTS, copy_companions
from embed_pipeline.files import temporary_folder, write_bytes, write_json
from embed_pipeline.progress import say, task
from embed_pipeline.settings import ExportSettings

if TYPE_CHECKING:
    from onnx import ModelProto

ENGINE_FILE = "model.plan"
REPORT_FILE = "engine.json"
# Sums, roots and exponentials lose their meaning in 16 bits.
FLOAT32_OPERATORS = [
    "Clip",
    "CumSum",
    "Div",
    "Exp",
    "LayerNormalization",
    "LpNormalization",
    "Pow",
    "Range",
    "Reciprocal",
    "ReduceL2",
    "ReduceMean",
    "ReduceSum",
    "RMSNormalization",
    "SimplifiedLayerNormalization",
    "Softmax",
    "Sqrt",
]


@dataclass(frozen=True)
class EngineReport:
    """engine.json.

    Attributes:
        status: built or skipped; reason: why it was skipped.
        profile: input dimension -> smallest, usual and largest size.
    """

    status: str
    reason: str | None = None
    precision: str | None = None
    tensorrt: str | None = None
    profile: dict[str, tuple[int, int, int]] | None = None
    bytes: int | None = None


def tensorrt_unavailable() -> str | None:
    """Why no engine can be built here, or None."""
    if not _gpu_is_there():
        return "no NVIDIA GPU was found"
    if importlib.util.find_spec("tensorrt") is None:
        return "the tensorrt package is not installed (pip install 'embed-pipeline[gpu]')"
    return None


@cache
def _gpu_is_there() -> bool:
    """Whether torch can use a GPU; it is asked in a process of its own, for those who plan and do not compute."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False  # without the driver there is none, and no need to ask
    if "torch" in sys.modules:
        import torch

        return torch.cuda.is_available()
    question = "import sys, torch; sys.exit(0 if torch.cuda.is_available() else 1)"
    return subprocess.run([sys.executable, "-c", question], check=False, capture_output=True).returncode == 0


def build_engine(onnx_folder: Path, output: Path, settings: ExportSettings) -> EngineReport:
    """Write model.plan, tokenizer, encoder.json and engine.json; only engine.json where TensorRT cannot run.

    Raises:
        ExportError: TensorRT is there, but refuses the graph.
    """
    reason = tensorrt_unavailable()
    if reason is not None:
        say(f"TensorRT engine skipped: {reason}.")
        report = EngineReport("skipped", reason)
    else:
        copy_companions(onnx_folder, output)
        report = _build(onnx_folder, output, settings)
    write_json(output / REPORT_FILE, {name: value for name, value in asdict(report).items() if value is not None})
    return report


def half_precision(path: Path) -> "ModelProto":
    """The graph with 16-bit weights and products; inputs, outputs and :data:`FLOAT32_OPERATORS` keep 32 bits."""
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    graph: ModelProto = convert_float_to_float16(
        onnx.load(str(path)), keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *FLOAT32_OPERATORS]
    )
    # The converter casts a tensor once for each of its readers, under one name.
    nodes = list({node.output[0]: node for node in graph.graph.node}.values())
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    OnnxModel(graph).topological_sort()
    return graph


def optimization_profile(settings: ExportSettings) -> dict[str, tuple[int, int, int]]:
    """Smallest, usual and largest batch and sequence, as in the reference recipe."""
    batch, length = settings.tensorrt_max_batch, settings.tensorrt_max_length
    return {"batch": (1, min(16, batch), batch), "sequence": (3, min(128, length), length)}


def _build(onnx_folder: Path, output: Path, settings: ExportSettings) -> EngineReport:
    import tensorrt

    profile = optimization_profile(settings)
    with temporary_folder(output.parent, "tensorrt") as scratch, task("build the TensorRT engine"):
        path = onnx_folder / MODEL_FILE
        if settings.tensorrt_precision == "fp16":
            path = _write_half(path, scratch / MODEL_FILE)
        plan = _compile(tensorrt, path, profile)
    write_bytes(output / ENGINE_FILE, plan)
    return EngineReport(
        "built",
        precision=settings.tensorrt_precision,
        tensorrt=str(tensorrt.__version__),
        profile=profile,
        bytes=len(plan),
    )


def _write_half(source: Path, target: Path) -> Path:
    import onnx

    data = f"{target.name}.data"
    onnx.save_model(half_precision(source), str(target), save_as_external_data=True, location=data)
    return target


def _compile(tensorrt: Any, path: Path, profile: dict[str, tuple[int, int, int]]) -> bytes:
    builder = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.WARNING))
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, tensorrt.Logger(tensorrt.Logger.WARNING))
    if not parser.parse_from_file(str(path)):
        problems = "; ".join(str(parser.get_error(place)) for place in range(parser.num_errors))
        raise ExportError(f"TensorRT cannot read the ONNX graph: {problems[:300]}.")
    shapes = builder.create_optimization_profile()
    for name in INPUTS:
        shapes.set_shape(name, *zip(profile["batch"], profile["sequence"], strict=True))
    config = builder.create_builder_config()
    config.add_optimization_profile(shapes)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ExportError("TensorRT could not build an engine; set export.tensorrt_precision to fp32 to try again.")
    return bytes(plan)
