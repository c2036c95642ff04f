"""export: ONNX, INT8 and TensorRT."""

import random
from pathlib import Path

from embed_pipeline.files import write_json
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import StageRun, Version, stage
from embed_pipeline.store.artifacts import Artifact


def tensorrt_external(settings: Settings) -> dict[str, Version]:
    """Whether and with what an engine can be built here."""
    return {"tensorrt": _tensorrt}


def _tensorrt(home: Path) -> str:
    from embed_pipeline.export.tensorrt_engine import tensorrt_unavailable

    return tensorrt_unavailable() or "available"


@stage(
    group="export",
    version="1",
    storage="model",
    settings=("export.opset",),
    after=("metrics",),
    kinds=("onnx",),
)
def onnx_model(run: StageRun, checkpoint: Artifact, passages: Artifact) -> None:
    """One graph, tokens in, pooled and normalised embeddings out; compared with the checkpoint."""
    from embed_pipeline.export.onnx_graph import export_onnx
    from embed_pipeline.export.parity import check_parity

    report = export_onnx(checkpoint.path, run.folder, run.settings.export)
    parity = check_parity(checkpoint.path, run.folder, sample_texts(passages, 64), min_cosine=-1.0)
    write_json(
        run.folder / "parity.json",
        {
            "lowest_cosine": round(parity.lowest_cosine, 6),
            "largest_difference": round(parity.largest_difference, 6),
            "cases": len(parity.cases),
        },
    )
    run.summary |= {"opset": report.opset, "lowest_cosine": parity.lowest_cosine, "bytes": _size(run)}


@stage(
    group="export",
    version="1",
    storage="model",
    settings=("export.int8", "export.calibration_passages"),
    kinds=("onnx",),
)
def onnx_int8_model(run: StageRun, onnx_model: Artifact, passages: Artifact) -> None:
    """The ONNX graph in INT8, calibrated on the domain's own text."""
    from embed_pipeline.export.quantize import quantize_int8

    export = run.settings.export
    if not export.int8:
        run.skip("export.int8 is false")
        return
    texts = sample_texts(passages, 2 * export.calibration_passages)
    report = quantize_int8(onnx_model.path, run.folder, texts, export)
    run.summary |= {
        "method": report.method,
        "mean_cosine": report.cosines[report.method],
        "lowest_cosine": report.lowest_cosine,
        "bytes": report.bytes,
        "speed_ratio": report.speed_ratio,
    }


@stage(
    group="export",
    version="1",
    storage="folder",
    settings=("export.tensorrt_precision", "export.tensorrt_max_batch", "export.tensorrt_max_length"),
    external=tensorrt_external,
    looks_at=(),
    device="gpu",
    kinds=("tensorrt",),
)
def tensorrt_engine(run: StageRun, onnx_model: Artifact) -> None:
    """TensorRT engine with optimisation profiles; skipped where there is no GPU or no TensorRT."""
    from embed_pipeline.export.tensorrt_engine import build_engine

    report = build_engine(onnx_model.path, run.folder, run.settings.export)
    if report.status == "skipped":
        run.skip(report.reason or "no TensorRT")


def sample_texts(passages: Artifact, count: int) -> list[str]:
    """A seeded sample of passages, as the encoder sees them."""
    from embed_pipeline.records import passage_text

    rows = passages.frame().select("title", "text").rows()
    chosen = random.Random(0).sample(rows, min(count, len(rows)))  # noqa: S311 - a sample, not a secret
    return [passage_text(title, text) for title, text in chosen]


def _size(run: StageRun) -> int:
    return sum(path.stat().st_size for path in run.folder.rglob("*.onnx"))
