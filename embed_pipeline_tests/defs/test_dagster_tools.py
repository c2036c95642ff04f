"""Dagster's own tools in a bare clone work with the home and the settings of the command line."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import STAGES
from embed_pipeline_tests.ports import free_port

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
    done = subprocess.run(command, cwd=folder, env=plain(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


def plain() -> dict[str, str]:
    """The environment of somebody who has set nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EMBED_PIPELINE", "DAGSTER"))}
    return kept | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}


@pytest.fixture(params=[["dagster", "dev", "-w", "workspace.yaml"], ["dg", "dev"]], ids=["dagster dev", "dg dev"])
def shown(request: pytest.FixtureRequest, clone: Path) -> Iterator[Any]:
    """What one of the tools shows."""
    port, log = free_port(), clone / "dev.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(BIN / request.param[0]), *request.param[1:], "-p", str(port)],
            cwd=clone, env=plain(), stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        yield answer_of(f"http://127.0.0.1:{port}/graphql", process, log)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def answer_of(url: str, process: "subprocess.Popen[bytes]", log: Path) -> Any:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            answer = httpx.post(url, json={"query": QUERY}, timeout=60, trust_env=False)
            if answer.is_success:
                return answer.json()["data"]
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"no answer within 120 s: {log.read_text()}")


def test_home_and_settings_are_those_of_the_command_line(shown, clone):
    (run,) = (folder.name for folder in (clone / ".embed_pipeline" / "runs").iterdir())
    assert shown["manifest"] == {"staleStatus": "FRESH", "assetMaterializations": [{"runId": run}]}
    settings = load_settings(clone / "pipeline.yaml", None, (), {})
    assert settings.finetune.epochs == 7
    assert shown["checkpoint"]["opVersion"] == STAGES["checkpoint"].code_version(settings)
