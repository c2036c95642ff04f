"""What the project promises of itself: what is shipped, and that hosted CI runs what `make` runs here."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import embed_pipeline

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "embed_pipeline"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAKE = re.compile(r"make ([a-z-]+)")


def commands(workflow: Path) -> list[str]:
    jobs = yaml.safe_load(workflow.read_text("utf-8"))["jobs"].values()
    return [step["run"] for job in jobs for step in job.get("steps", []) if "run" in step]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_the_version_stands_in_one_place():
    assert "version" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "embed_pipeline.__version__"}
    assert importlib.metadata.version("embed-pipeline") == embed_pipeline.__version__
    assert "version" not in yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def test_every_data_file_of_the_package_is_shipped():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["embed_pipeline"]
    shipped = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    data = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert len(data) > 10
    assert data <= shipped


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_hosted_ci_runs_make_targets_only(workflow):
    run = commands(workflow)
    assert run
    named = [MAKE.fullmatch(command) for command in run]
    assert [command for command, match in zip(run, named, strict=True) if match is None] == []
    assert {match[1] for match in named if match} - targets() == set()


def test_hosted_ci_tries_every_python_that_the_package_claims():
    matrix = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]["test"]["strategy"][
        "matrix"
    ]
    least, beyond = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["project"]["requires-python"]).groups()
    assert matrix["python"] == [f"3.{minor}" for minor in range(int(least), int(beyond))]


def test_everything_in_make_check_is_a_step_of_hosted_ci():
    (needed,) = re.findall(r"^check: (.*?)(?: ##.*)?$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert len(needed.split()) > 3
    assert {f"make {target}" for target in needed.split()} <= set(commands(ROOT / ".github/workflows/ci.yml"))
