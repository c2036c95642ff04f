"""``tools/install.sh``: where torch comes from, and what it says; python, pip, uv and uname are played."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = """#!/bin/sh
[ "$1" = -c ] && exit "${OLD:-0}"
mkdir -p .venv/bin && cp fake/pip .venv/bin/pip
"""
PIP = """#!/bin/sh
[ "$1" = index ] && { echo "Available versions: $OFFERED"; exit 0; }
echo "pip $*" >> asked
echo "Collecting one"
echo "  Downloading big-1.0.whl (123.4 MB)"
echo "  Downloading small-1.0.whl (0.4 MB)"
[ -z "${BROKEN:-}" ] || { echo "ERROR: nothing found"; exit 1; }
echo "Installing collected packages: one, two"
"""
UV = """#!/bin/sh
[ "$2" = compile ] && { cat > /dev/null; exit "${UNREACHABLE:-0}"; }
echo "uv $*" >> asked
"""
UNAME = """#!/bin/sh
echo "${SYSTEM:-Linux}"
"""


@pytest.fixture
def project(tmp_path) -> Path:
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "install.sh", tmp_path / "tools")
    (tmp_path / "constraints.txt").write_text("tomli==1.0\ntorch==2.13.0\n")
    (tmp_path / "fake").mkdir()
    for name, text in (("python", PYTHON), ("pip", PIP), ("uv", UV), ("uname", UNAME)):
        (tmp_path / "fake" / name).write_text(text)
        (tmp_path / "fake" / name).chmod(0o755)
    return tmp_path


def install(project: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """The exit code, what was said, and what pip or uv was asked."""
    environment = {"PATH": f"{project / 'fake'}:{os.environ['PATH']}", "PYTHON": str(project / "fake" / "python")}
    command = ["sh", "tools/install.sh", *arguments]
    done = subprocess.run(command, cwd=project, env=environment | variables, capture_output=True, text=True)
    asked = project / "asked"
    return done.returncode, done.stdout + done.stderr, asked.read_text() if asked.exists() else ""


def test_a_named_index_comes_first(project):
    code, said, asked = install(project, TORCH_INDEX="https://mirror.example/cpu", OFFERED="2.13.0+cpu")
    assert code == 0
    assert "2.13.0 comes from https://mirror.example/cpu" in said
    assert "install -c constraints.txt -e .[cpu,demo,dev] --extra-index-url https://mirror.example/cpu" in asked


def test_a_build_for_cpus_where_pip_looks(project):
    _, said, asked = install(project, OFFERED="2.15.0, 2.13.0+cpu, 2.13.0")
    assert "0.7 GB" in said
    assert "pip --disable-pip-version-check install -c constraints.txt -e .[cpu,demo,dev]\n" in asked
    assert "uv" not in asked


def test_pytorchs_index_through_uv(project):
    _, said, asked = install(project, OFFERED="2.13.0")
    assert "through uv" in said
    assert "--torch-backend cpu -c constraints.txt -e .[cpu,demo,dev]" in asked
    assert asked.startswith("uv pip install")


def test_the_plain_index_is_the_last_resort_and_its_price_is_named(project):
    code, said, asked = install(project, OFFERED="2.13.0", UNREACHABLE="2")
    assert code == 0
    assert "TORCH_INDEX" in said
    assert "3.5 GB" in said
    assert asked.startswith("pip")


@pytest.mark.parametrize("variables", [{"SYSTEM": "Darwin"}, {"EXTRAS": "serving"}])
def test_no_build_is_looked_for_where_none_brings_cuda(project, variables):
    _, said, asked = install(project, OFFERED="2.13.0", **variables)
    assert "torch" not in said
    assert asked.startswith("pip")


def test_large_downloads_are_told_and_small_ones_not(project):
    _, said, _ = install(project, OFFERED="2.13.0+cpu")
    assert "big-1.0.whl (123.4 MB)" in said
    assert "small" not in said
    assert "installing 2 packages" in said
    assert "small-1.0.whl" in (project / ".venv" / "install.log").read_text()


def test_a_failure_is_told_with_what_pip_said(project):
    code, said, _ = install(project, OFFERED="2.13.0+cpu", BROKEN="1")
    assert code == 1
    assert "ERROR: nothing found" in said
    assert ".venv/install.log" in said


def test_another_python_is_refused(project):
    code, said, asked = install(project, OLD="1")
    assert code == 1
    assert "3.11 to 3.14" in said
    assert asked == ""


def test_a_folder_of_packages(project):
    code, said, asked = install(project, "wheelhouse", OFFERED="2.13.0+cpu", EXTRAS="cpu,demo")
    assert code == 0
    assert "wheel --wheel-dir wheelhouse -c constraints.txt .[cpu,demo]" in asked
    assert "--no-index --find-links wheelhouse 'embed-pipeline[cpu,demo]'" in said


def test_an_unknown_word(project):
    code, said, _ = install(project, "uninstall")
    assert code == 2
    assert "usage" in said
