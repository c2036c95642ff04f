"""What the doctor says of packages, for environments that are not this one."""

import pytest

from embed_pipeline.cli.inspect import print_findings
from embed_pipeline.cli.packages import (
    CPU_LINE,
    GPU_LINE,
    Accelerator,
    cuda_majors,
    examine_packages,
    installed,
)

CPU = dict.fromkeys(("torch", "sentence-transformers", "transformers", "dagster", "polars", "onnx"), "1.0") | {
    "onnxruntime": "1.32.0",
    "faiss-cpu": "1.15.1",
}
GPU = {name: version for name, version in CPU.items() if name not in ("onnxruntime", "faiss-cpu")} | {
    "onnxruntime-gpu": "1.31.1",
    "faiss-gpu-cuvs": "1.15.1",
    "tensorrt-cu13": "11.4.0",
    "cuda-toolkit": "13.2.2",
    "nvidia-cudnn-cu13": "9.26.0",
    "libcuvs-cu13": "26.6.0",
}
H100 = Accelerator("580.95", "NVIDIA H100", "13.2", ("CUDAExecutionProvider", "CPUExecutionProvider"))


def examined(versions, machine=Accelerator()):  # noqa: B008  # frozen
    return {row["check"]: (row["state"], row["detail"]) for row in examine_packages(versions, machine)}


def test_a_sound_environment_on_either_machine():
    for versions, machine in ((CPU, Accelerator()), (GPU, H100)):
        assert {state for state, _ in examined(versions, machine).values()} == {"ok"}


def test_this_environment():
    versions = installed()
    found = examined(versions)
    assert found["torch"] == ("ok", versions["torch"])
    assert found["faiss"][0] == found["onnxruntime"][0] == "ok"


def test_both_runtimes_overwrite_each_other():
    state, detail = examined(CPU | {"onnxruntime-gpu": "1.31.1"}, H100)["onnxruntime"]
    assert state == "fail"
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in detail
    assert GPU_LINE in detail


@pytest.mark.parametrize("other", ["faiss-gpu", "faiss-gpu-cu12", "faiss-gpu-cuvs"])
def test_two_builds_of_faiss(other):
    state, detail = examined(CPU | {other: "1.14"})["faiss"]
    assert state == "fail"
    assert f"pip uninstall -y faiss-cpu {other}" in detail
    assert CPU_LINE in detail


@pytest.mark.parametrize(
    ("check", "package"), [("torch", "torch"), ("onnxruntime", "onnxruntime"), ("faiss", "faiss-cpu")]
)
def test_what_is_missing(check, package):
    found = examined({name: version for name, version in CPU.items() if name != package})
    assert found.pop(check)[0] == "fail"
    assert {state for state, _ in found.values()} == {"ok"}


def test_two_releases_of_cuda():
    state, detail = examined(GPU | {"nvidia-cublas-cu12": "12.8.4", "cupy-cuda12x": "13.6"}, H100)["cuda"]
    assert state == "warn"
    assert "12 (cupy-cuda12x, nvidia-cublas-cu12)" in detail
    assert "libcuvs-cu13" in detail


def test_the_release_of_cuda_is_read_from_names_and_versions():
    versions = {"nvidia-cublas": "13.4.1", "nvidia-cufft": "12.2.0", "tensorrt-cu13-libs": "11.4", "triton": "3.9"}
    assert cuda_majors(versions) == {13: ["nvidia-cublas", "tensorrt-cu13-libs"]}


def test_packages_for_a_gpu_without_one():
    state, detail = examined(GPU)["gpu"]
    assert state == "warn"
    assert "onnxruntime-gpu, faiss-gpu-cuvs, tensorrt-cu13 without an NVIDIA driver" in detail
    assert CPU_LINE in detail


def test_a_gpu_with_packages_for_cpus():
    assert "torch is built for CPUs" in examined(CPU, Accelerator("580.95"))["gpu"][1]
    state, detail = examined(CPU, H100)["gpu"]
    assert state == "warn"
    assert "onnxruntime-gpu and tensorrt-cu13 missing" in detail
    assert GPU_LINE in detail


def test_a_driver_that_is_too_old():
    state, detail = examined(GPU, Accelerator("550.54", cuda="13.2"))["gpu"]
    assert state == "warn"
    assert "driver 550.54" in detail
    assert "580" in detail


def test_a_runtime_that_lost_cuda():
    state, detail = examined(GPU, Accelerator("580.95", "NVIDIA H100", "13.2", ("CPUExecutionProvider",)))["gpu"]
    assert state == "fail"
    assert "--force-reinstall" in detail


def test_apples_gpu_needs_no_driver():
    assert examined(CPU, Accelerator(name="Apple's (mps)"))["gpu"] == ("ok", "Apple's (mps)")


def test_the_line_that_mends_is_printed_whole(capsys):
    print_findings(list(examine_packages(CPU, Accelerator("580.95"))))
    assert GPU_LINE in capsys.readouterr().out


def test_what_an_interrupted_installation_left_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "broken-1.dist-info").mkdir()
    (tmp_path / "broken-1.dist-info" / "METADATA").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    found = installed()
    assert "pytest" in found
    assert None not in found
