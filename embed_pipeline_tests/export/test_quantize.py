import json

import onnx
import pytest

from embed_pipeline.encoders.onnx_encoder import OnnxEncoder
from embed_pipeline.errors import ExportError
from embed_pipeline.export.onnx_graph import export_onnx
from embed_pipeline.export.parity import cosines
from embed_pipeline.export.quantize import needs_reduced_range, quantize_int8
from embed_pipeline.export.tensorrt_engine import build_engine, half_precision, optimization_profile
from embed_pipeline.files import hash_tree
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.settings import ExportSettings
from embed_pipeline_tests.export.conftest import TEXTS

SETTINGS = ExportSettings(opset=17, calibration_passages=8)


@pytest.fixture(scope="module")
def exported(tiny_bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(tiny_bert, folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def quantized(exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    return folder, quantize_int8(exported, folder, TEXTS, SETTINGS)


def test_keeps_the_method_nearest_to_the_float_model(exported, quantized):
    folder, report = quantized
    assert set(report.cosines) == {"static", "dynamic", "blockwise"}
    assert report.cosines[report.method] == max(report.cosines.values()) >= 0.99
    assert (report.calibrated_on, report.held_out) == (6, 2)
    assert report.bytes < report.float_bytes
    assert report.speed_ratio > 0
    vectors = OnnxEncoder.load(folder).encode(TEXTS[::4], "passage")
    reference = OnnxEncoder.load(exported).encode(TEXTS[::4], "passage")
    assert min(cosines(reference, vectors)) == pytest.approx(report.lowest_cosine, abs=1e-4)


def test_folder_is_complete_and_holds_no_timing(quantized):
    folder, report = quantized
    assert sorted(path.name for path in folder.iterdir()) == [
        "encoder.json",
        "model.onnx",
        "quantization.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    stored = json.loads((folder / "quantization.json").read_text())
    assert stored["method"] == report.method
    assert "speed_ratio" not in stored


def test_quantizing_twice_gives_the_same_bytes(exported, quantized, tmp_path):
    quantize_int8(exported, tmp_path / "again", TEXTS, SETTINGS)
    assert hash_tree(tmp_path / "again") == hash_tree(quantized[0])


def test_needs_passages(exported, tmp_path):
    with pytest.raises(ExportError, match=r"export\.int8"):
        quantize_int8(exported, tmp_path / "out", [" "], SETTINGS)


@pytest.mark.parametrize(
    ("machine", "flags", "reduced"),
    [
        ("x86_64", "flags: avx2 avx512_vnni", False),
        ("AMD64", "flags: avx2 avx_vnni", False),
        ("x86_64", "flags: avx2 fma", True),
        ("aarch64", "", False),
    ],
)
def test_reduced_range_only_where_products_may_overflow(machine, flags, reduced):
    assert needs_reduced_range(machine, flags) is reduced


def test_half_precision_graph_gives_nearly_the_same_vectors(exported, tmp_path):
    reference = OnnxEncoder.load(exported).encode(TEXTS, "passage")
    for name in ("tokenizer.json", "tokenizer_config.json", "encoder.json"):
        (tmp_path / name).write_bytes((exported / name).read_bytes())
    (tmp_path / "model.onnx").write_bytes(half_precision(exported / "model.onnx").SerializeToString())
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    assert min(cosines(reference, OnnxEncoder.load(tmp_path).encode(TEXTS, "passage"))) > 0.999
    assert (tmp_path / "model.onnx").stat().st_size < 0.6 * (exported / "model.onnx").stat().st_size


def test_without_a_gpu_the_engine_is_skipped_with_the_reason(exported, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    lines: list[str] = []
    with reporting(LogReporter(lines.append)):
        report = build_engine(exported, tmp_path, SETTINGS)
    assert report.status == "skipped"
    assert [path.name for path in tmp_path.iterdir()] == ["engine.json"]
    stored = json.loads((tmp_path / "engine.json").read_text())
    assert stored == {"status": "skipped", "reason": "no NVIDIA GPU was found"}
    assert any("no NVIDIA GPU" in line for line in lines)


def test_profile_stays_within_its_largest_sizes():
    assert optimization_profile(ExportSettings()) == {"batch": (1, 16, 64), "sequence": (3, 128, 256)}
    small = optimization_profile(ExportSettings(tensorrt_max_batch=4, tensorrt_max_length=32))
    assert small == {"batch": (1, 4, 4), "sequence": (3, 32, 32)}
