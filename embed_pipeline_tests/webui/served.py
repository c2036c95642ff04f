"""A real web UI of a small corpus, and how programs talk to it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from embed_pipeline_tests.ports import free_port
from embed_pipeline_tests.processes import end, wait_until

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on InvalidSubsetError { message }
  }
}"""
RUNS = "{ runsOrError { ... on Runs { results { runId status } } } }"


def corpus_of(folder: Path) -> Path:
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for name in ("valve", "drum", "cradle"):
        body = f"The {name} is checked every spring. " + f"Grease the {name} with K2 before the first launch. " * 6
        (corpus / f"{name}.md").write_text(f"# The {name}\n\n{body}")
    return corpus


class Ui:
    """``embed-pipeline ui`` in a process of its own."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"terminal_{self.port}.log"
        command = [sys.executable, "-m", "embed_pipeline.cli", "ui", "--home", str(self.home), "--port", str(self.port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *options], cwd=folder, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **environment},
            )  # fmt: skip

    def wait(self, seconds: float = 120) -> None:
        """Until the URL is printed."""
        wait_until(lambda: "web UI: " in self.said() or self.process.poll() is not None, seconds, self.said)
        assert self.process.poll() is None, self.said()

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def graphql(self, query: str, variables: dict[str, Any] | None = None, **options: Any) -> Any:
        answer = self.post({"query": query, "variables": variables or {}}, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def post(self, body: Any, **options: Any) -> httpx.Response:
        return httpx.post(f"{self.url}/graphql", json=body, timeout=60, trust_env=False, **options)

    def runs(self, **options: Any) -> dict[str, str]:
        return {run["runId"]: run["status"] for run in self.graphql(RUNS, **options)["runsOrError"]["results"]}

    def launch(self, *assets: str, overrides: tuple[str, ...] = (), **options: Any) -> str:
        """The id of a run of ``assets``."""
        answer = self.graphql(LAUNCH, {"params": parameters(*assets, overrides=overrides)}, **options)
        return str(answer["launchPipelineExecution"]["run"]["runId"])

    def finished(self, run_id: str, seconds: float = 120) -> str:
        """The state in which a run has ended."""
        wait_until(lambda: self.runs().get(run_id) in ("SUCCESS", "FAILURE", "CANCELED"), seconds, lambda: self.runs())
        return self.runs()[run_id]


def parameters(*assets: str, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Of :data:`LAUNCH`."""
    config = {"resources": {"pipeline": {"config": {"overrides": list(overrides)}}}}
    return {
        "selector": {
            "repositoryLocationName": "embed_pipeline",
            "repositoryName": "__repository__",
            "pipelineName": "pipeline",
            "assetSelection": [{"path": [name]} for name in assets],
        },
        "mode": "default",
        "runConfigData": json.dumps(config),
    }


@contextmanager
def serving(folder: Path, *options: str, **environment: str) -> Iterator[Ui]:
    """A web UI that answers."""
    ui = Ui(folder, *options, **environment)
    try:
        ui.wait()
        yield ui
    finally:
        end(ui.process)


@contextmanager
def own_page(command: str, *options: str, folder: Path | None = None) -> Iterator[str]:
    """``embed-pipeline COMMAND --json``, which serves a page of its own until it is stopped; where."""
    words = [sys.executable, "-m", "embed_pipeline.cli", command, "--json", "--port", str(free_port()), *options]
    served = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=folder)
    try:
        assert served.stdout is not None
        yield json.loads(served.stdout.readline())["url"]
    finally:
        end(served)
        assert served.stdout is not None
        served.stdout.close()
    assert served.returncode == 0
