"""The GPU benchmark runs where only torch and its kin are installed: no Dagster, no Polars, no Faiss."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUN = ROOT / "benchmarks" / "gpu" / "run.sh"
MISSING = ("dagster", "dataframely", "faiss", "polars", "pytrec_eval", "starlette")
BLOCKER = f"""
from importlib.machinery import PathFinder


class Without:
    find = PathFinder.find_spec

    def __call__(self, name, *more):
        return None if name.partition(".")[0] in {MISSING!r} else self.find(name, *more)


PathFinder.find_spec = Without()
"""


@pytest.fixture
def environment(tmp_path):
    """A Python that does not find these packages."""
    folder = tmp_path / "blocker"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCKER)
    return {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": f"{folder}:{ROOT}"}


def run(environment, *arguments):
    return subprocess.run([RUN, *arguments], env=environment, capture_output=True, text=True, timeout=240)


def test_sections_run_without_dagster_polars_and_faiss(environment, tmp_path):
    ended = run(environment, "--quick", "--out", tmp_path / "out", "--only", "environment", "search", "training_1b")
    report = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (ended.returncode, report["failures"]) == (0, []), ended.stderr
    sections = report["sections"]
    assert {name: section["ended"] for name, section in sections.items()} == dict.fromkeys(sections, "done")
    assert sections["environment"]["results"]["versions"]["torch"]
    search, training = (sections[name]["results"] for name in ("search", "training_1b"))
    if not sections["environment"]["results"]["card"].get("driver"):
        assert search["searched_by"] == "torch on the CPU"
    assert search["against_numpy"]["shared_of_top_k"] == 1.0
    assert training["full_at_once"]["trainable"] == training["full_at_once"]["parameters"]
    assert 0 < training["lora_at_once"]["trainable"] < training["lora_at_once"]["parameters"] / 10
    table = (tmp_path / "out" / "results.md").read_text()
    assert "Failed or not as expected: nothing." in table
    assert "| whole_numbers_and_ties | yes | equal True |" in table


def test_the_whole_training_imports_without_them(environment):
    code = "import embed_pipeline.finetune.train, embed_pipeline.evaluation.retrieve, sys; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert not set(MISSING) & set(ended.stdout.split())


def test_what_had_no_time_says_so(environment, tmp_path):
    ended = run(environment, "--quick", "--out", tmp_path, "--minutes", "0.01", "--only", "fp8")
    assert ended.returncode == 0
    assert json.loads((tmp_path / "results.json").read_text())["sections"]["fp8"]["ended"].startswith(
        "not run: no time"
    )


def test_a_folder_that_is_no_model_is_named(environment, tmp_path):
    ended = run(environment, "--out", tmp_path, "--model", tmp_path)
    assert ended.returncode == 2
    assert "holds no config.json" in ended.stderr
    assert "Traceback" not in ended.stderr
