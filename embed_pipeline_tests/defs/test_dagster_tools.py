"""Dagster's own tools in a bare clone work with the home and the settings of the command line."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import STAGES
from embed_pipeline_tests.ports import free_port
from embed_pipeline_tests.processes import end, wait_until

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
QUERY = """{
  manifest: assetNodeOrError(assetKey: {path: ["corpus_manifest"]}) {
    ... on AssetNode { staleStatus assetMaterializations(limit: 1) { runId } }
  }
  checkpoint: assetNodeOrError(assetKey: {path: ["checkpoint"]}) { ... on AssetNode { opVersion } }
}"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """What Dagster's tools read of a clone, with a settings file of its user, who has run the first asset."""
    folder: Path = tmp_path_factory.mktemp("clone")
    for name in ("dagster.yaml", "workspace.yaml", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, folder)
    (folder / "embed_pipeline").symlink_to(REPOSITORY / "embed_pipeline")
    (folder / "docs").mkdir()
    (folder / "docs" / "valve.md").write_text("# The valve\n\n" + "The valve is checked every spring. " * 20)
    (folder / "pipeline.yaml").write_text("corpus: {path: docs}\nfinetune: {epochs: 7}\n")
    command = [sys.executable, "-m", "embed_pipeline.cli", "run", "--to", "corpus_manifest"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


def environment() -> dict[str, str]:
    """With the command beside this Python on the path, and this package to be imported."""
    return os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}


@pytest.fixture(params=[["dagster", "dev", "-w", "workspace.yaml"], ["dg", "dev"]], ids=["dagster dev", "dg dev"])
def shown(request: pytest.FixtureRequest, clone: Path) -> Iterator[Any]:
    """What one of the tools shows."""
    port, log = free_port(), clone / "dev.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(BIN / request.param[0]), *request.param[1:], "-p", str(port)],
            cwd=clone, env=environment(), stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: process.poll() is not None or answer(port) is not None, 120, log.read_text)
        assert process.poll() is None, log.read_text()
        yield answer(port)
    finally:
        end(process, signal.SIGINT)


def answer(port: int) -> Any:
    """None before there is one."""
    try:
        got = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": QUERY}, timeout=60, trust_env=False)
    except httpx.HTTPError:
        return None
    return got.json()["data"] if got.is_success else None


def test_home_and_settings_are_those_of_the_command_line(shown, clone):
    (run,) = (folder.name for folder in (clone / ".embed_pipeline" / "runs").iterdir())
    assert shown["manifest"] == {"staleStatus": "FRESH", "assetMaterializations": [{"runId": run}]}
    settings = load_settings(clone / "pipeline.yaml", None, (), {})
    assert settings.finetune.epochs == 7
    assert shown["checkpoint"]["opVersion"] == STAGES["checkpoint"].code_version(settings)
