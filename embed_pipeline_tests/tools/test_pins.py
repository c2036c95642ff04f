"""The committed pins belong to the extras, and the resolver check refuses what must not stand together."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from embed_pipeline.cli.packages import canonical

pytest.importorskip("uv")
ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = runpy.run_path(str(ROOT / "tools" / "lock.py"))
RESOLVE = runpy.run_path(str(ROOT / "tools" / "resolve.py"))
PLATFORM = {"sys_platform": "linux", "platform_machine": "x86_64", "python_version": "3.11"}


def pins(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", (ROOT / file).read_text("utf-8"), re.MULTILINE))


def requirements(*extras: str) -> list[Requirement]:
    """What the extras ask for on Linux, those of extras within them too."""
    found: list[Requirement] = []
    for line in [
        *PROJECT["dependencies"],
        *(line for name in extras for line in PROJECT["optional-dependencies"][name]),
    ]:
        asked = Requirement(line)
        if asked.name == "embed-pipeline":
            found += requirements(*asked.extras)
        elif asked.marker is None or asked.marker.evaluate(PLATFORM):
            found.append(asked)
    return found


@pytest.mark.parametrize("written", LOCK["FILES"], ids=lambda written: written.file)
def test_every_requirement_is_pinned_within_its_bounds(written):
    """Fails when the extras have changed since ``make lock``."""
    pinned = pins(written.file)
    asked = {canonical(one.name): one.specifier for one in requirements(*written.extras, *written.optional)}
    assert {
        name: pinned.get(name) for name, bounds in asked.items() if not bounds.contains(pinned.get(name, "0"))
    } == {}


def test_files_agree_where_they_can():
    cpu = pins("constraints.txt")
    hashed = pins("requirements-hashed.txt")
    assert {name: cpu[name] for name in hashed if name in cpu} == {name: hashed[name] for name in hashed if name in cpu}
    gpu = pins("constraints-gpu.txt")
    assert [name for name in gpu if name in cpu and cpu[name] != gpu[name]] == ["torch"]


def test_every_package_of_the_hashed_file_has_hashes_and_no_address():
    text = (ROOT / "requirements-hashed.txt").read_text("utf-8")
    packages = re.split(r"\n(?=[a-z])", text)[1:]
    assert len(packages) > 100
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in text


def test_a_server_needs_a_runtime_and_neither_torch_nor_dagster():
    for extra, runtime in (("server", set()), ("serving", {"onnxruntime"}), ("serving-gpu", {"onnxruntime-gpu"})):
        names = {asked.name for asked in requirements(extra)}
        assert names & {"torch", "dagster"} == set()
        assert {name for name in names if name.startswith("onnxruntime")} == runtime


@pytest.mark.parametrize(
    ("extra", "brought"), [("cpu", {"onnxruntime", "faiss-cpu"}), ("gpu", {"onnxruntime-gpu", "faiss-gpu-cuvs"})]
)
def test_one_runtime_and_one_faiss(extra, brought):
    names = {asked.name for asked in requirements(extra)}
    assert {name for name in names if name.startswith(("onnxruntime", "faiss"))} == brought


WAYS = {way.extras[0]: way for way in RESOLVE["WAYS"][:4]}
SOUND = {"onnxruntime": "1.32", "faiss-cpu": "1.15", "torch": "2.13"}


@pytest.mark.parametrize(
    ("way", "versions", "said"),
    [
        (WAYS["cpu"], SOUND | {"onnxruntime-gpu": "1.31"}, "onnxruntime, onnxruntime-gpu"),
        (WAYS["cpu"], {"faiss-cpu": "1.15"}, "found none"),
        (WAYS["cpu"], SOUND | {"faiss-gpu": "1.15"}, "several builds of Faiss"),
        (WAYS["cpu"], {"onnxruntime": "1.32"}, "no Faiss"),
        (WAYS["gpu"], SOUND | {"cuda-toolkit": "13.2", "nvidia-cublas-cu12": "12.8"}, "several releases of CUDA"),
        (WAYS["serving"], {"onnxruntime": "1.32", "torch": "2.13"}, "needs no torch"),
        (WAYS["serving"], {"onnxruntime": "1.32", "dagster-graphql": "1.13"}, "needs no dagster-graphql"),
    ],
)
def test_a_set_that_is_refused(way, versions, said):
    (fault,) = RESOLVE["faults"](way, versions, versions)
    assert said in fault


def test_a_sound_set_and_one_that_is_not_pinned():
    assert list(RESOLVE["faults"](WAYS["cpu"], SOUND, SOUND)) == []
    (fault,) = RESOLVE["faults"](WAYS["cpu"], SOUND | {"newcomer": "1"}, SOUND)
    assert "newcomer" in fault
    assert "make lock" in fault


def test_cuda_of_a_cpu_build_is_not_pinned():
    assert not [name for name in pins("constraints.txt") if name.startswith(("nvidia-", "cuda-", "triton"))]
    assert "nvidia-cudnn-cu13" in pins("constraints-gpu.txt")


def test_conditions_that_hold_everywhere_are_dropped():
    text = (
        "".join(f"{name}==1 ; everywhere \\\n    --hash=sha256:00\n" for name in "abc")
        + "d==1 ; linux \\\n    --hash=x\n"
    )
    shortened = LOCK["_requirements"](text)
    assert "everywhere" not in shortened
    assert "d==1 ; linux \\" in shortened
