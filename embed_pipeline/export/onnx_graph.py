"""Checkpoint to ONNX: one graph, deterministic bytes."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.encoders.onnx_encoder import MODEL_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE
from embed_pipeline.encoders.spec import SPEC_FILE, EncoderSpec
from embed_pipeline.errors import ExportError
from embed_pipeline.export.pooled import load_pooled_model
from embed_pipeline.files import temporary_folder, write_bytes, write_json
from embed_pipeline.progress import say
from embed_pipeline.settings import ExportSettings

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto

REPORT_FILE = "export.json"
COMPANIONS = (TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, SPEC_FILE)
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "embeddings"
LARGEST_SINGLE_FILE = 1_900_000_000  # protobuf ends at 2 GiB
DYNAMO_LOWEST_OPSET = 18


@dataclass(frozen=True)
class ExportReport:
    """What was exported, as in export.json.

    Attributes:
        exporter: dynamo or torchscript.
        inputs, outputs: name -> dimensions, dynamic ones by name.
        bytes: size of model.onnx and its external data.
    """

    exporter: str
    opset: int
    inputs: dict[str, list[str | int]]
    outputs: dict[str, list[str | int]]
    bytes: int


def export_onnx(checkpoint: Path, output: Path, settings: ExportSettings) -> ExportReport:
    """Write model.onnx, the tokenizer, encoder.json and export.json into ``output``.

    The graph takes int64 input_ids and attention_mask [batch, sequence] and gives float32 embeddings
    [batch, dimensions], pooled and normalised as the checkpoint's encoder.json says. The same checkpoint gives
    the same bytes.

    Raises:
        ExportError: neither exporter could write a valid graph, or the checkpoint holds no tokenizer.
        ArtifactError: the checkpoint has no readable encoder.json.
    """
    spec = EncoderSpec.load(checkpoint)
    copy_companions(checkpoint, output)
    model = load_pooled_model(spec)
    graph, exporter = _export(model, settings.opset, output)
    _strip(graph)
    save_graph(graph, output / MODEL_FILE)
    report = ExportReport(
        exporter=exporter,
        opset=_opset(graph),
        inputs={value.name: _shape(value) for value in graph.graph.input},
        outputs={value.name: _shape(value) for value in graph.graph.output},
        bytes=sum(path.stat().st_size for path in output.glob(f"{MODEL_FILE}*")),
    )
    write_json(output / REPORT_FILE, asdict(report))
    return report


def copy_companions(source: Path, output: Path) -> None:
    """Copy tokenizer and encoder.json into ``output``; the spec keeps the checkpoint's content hash.

    Raises:
        ExportError: one of them is missing.
    """
    output.mkdir(parents=True, exist_ok=True)
    for name in COMPANIONS:
        if not (source / name).is_file():
            raise ExportError(f"{source / name}: missing; a model needs {', '.join(COMPANIONS)} to be exported.")
        write_bytes(output / name, (source / name).read_bytes())


def save_graph(graph: "ModelProto", path: Path) -> None:
    """Check a graph and write it: one file below 2 GB, else with ``<name>.data`` beside it.

    Raises:
        ExportError: onnx.checker refuses the graph.
    """
    import onnx

    if sum(len(tensor.raw_data) for tensor in graph.graph.initializer) < LARGEST_SINGLE_FILE:
        write_bytes(path, graph.SerializeToString(deterministic=True))
    else:
        data = path.with_name(f"{path.name}.data")
        data.unlink(missing_ok=True)  # onnx would append to it
        onnx.save_model(graph, str(path), save_as_external_data=True, location=data.name)
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{path}: onnx.checker refuses the graph: {' '.join(str(error).split())[:300]}") from error


def _export(model: "torch.nn.Module", opset: int, output: Path) -> tuple["ModelProto", str]:
    """The graph and the name of the exporter that wrote it."""
    if opset >= DYNAMO_LOWEST_OPSET:
        try:
            return _with_dynamo(model, opset), "dynamo"
        except Exception as error:  # the exporter lets exceptions of many libraries through
            say(f"the default ONNX exporter failed ({_first_line(error)}); using the TorchScript exporter.")
    else:
        say(f"opset {opset} is below {DYNAMO_LOWEST_OPSET}; using the TorchScript exporter.")
    try:
        return _with_torchscript(model, opset, output), "torchscript"
    except Exception as error:
        raise ExportError(
            f"the checkpoint cannot be exported at opset {opset}: {_first_line(error)}. Try another export.opset."
        ) from error


def _example() -> tuple["torch.Tensor", "torch.Tensor"]:
    """Two dynamic dimensions, neither of size 1, with padding on both sides."""
    import torch

    ids = torch.arange(5, 26).reshape(3, 7)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    mask[2, :2] = 0
    return ids, mask


def _with_dynamo(model: "torch.nn.Module", opset: int) -> "ModelProto":
    import torch

    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    with _quiet():
        program = torch.onnx.export(
            model,
            _example(),
            dynamo=True,
            dynamic_shapes=dict.fromkeys(INPUTS, axes),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            opset_version=opset,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the exporter returned nothing")
    graph: ModelProto = program.model_proto
    if _opset(graph) != opset:
        raise RuntimeError(f"the exporter wrote opset {_opset(graph)} instead of {opset}")
    return graph


def _with_torchscript(model: "torch.nn.Module", opset: int, output: Path) -> "ModelProto":
    import onnx
    import torch

    axes = {0: "batch", 1: "sequence"}
    with temporary_folder(output.parent, "torchscript") as folder, _quiet(), torch.no_grad():
        torch.onnx.export(
            model,
            _example(),
            str(folder / MODEL_FILE),
            dynamo=False,
            dynamic_axes={**dict.fromkeys(INPUTS, axes), OUTPUT: {0: "batch"}},
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            opset_version=opset,
        )
        return onnx.load(str(folder / MODEL_FILE))


def _strip(graph: "ModelProto") -> None:
    """Remove stack traces, paths and tool versions, which differ between machines and runs."""
    graph.producer_version = ""
    body = graph.graph
    parts = (body.node, body.initializer, body.input, body.output, body.value_info, graph.functions)
    for part in [graph, body, *(item for group in parts for item in group)]:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def _opset(graph: "ModelProto") -> int:
    return next(int(entry.version) for entry in graph.opset_import if entry.domain in ("", "ai.onnx"))


def _shape(value: Any) -> list[str | int]:
    return [dim.dim_param or int(dim.dim_value) for dim in value.type.tensor_type.shape.dim]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's chatter about optional packages and tracing away from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
