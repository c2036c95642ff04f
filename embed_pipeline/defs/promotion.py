"""The job that takes an experiment or a variant over, for the web UI."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg

from embed_pipeline.defs.run_request import STARTED_BY_VARIABLE

JOB = "promote"


# Plain text: of a dg.Config, Dagster would also take the name of an environment variable and read it.
CONFIG = {"run_id": dg.Field(str, description="A variant, or the id of a run with overrides, or how it begins.")}


def build_promotion(home: Path) -> dg.JobDefinition:
    """A job of one step: ``embed-pipeline promote RUN`` with the settings that the web UI works with.

    The pipeline then runs as a run of its own, which this one waits for.
    """

    @dg.op(tags={"embed_pipeline/device": "cpu"}, config_schema=CONFIG)
    def promote_run(context: dg.OpExecutionContext) -> None:
        """Write the overrides of an experiment into the settings file and run the pipeline with them."""
        process = subprocess.Popen(
            _command(home, context.op_config["run_id"]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, STARTED_BY_VARIABLE: "ui"},
        )
        last = ""
        with process:
            try:
                assert process.stderr is not None
                for line in process.stderr:
                    last = line.strip() or last
                    context.log.info(line.rstrip())
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise dg.Failure(last.removeprefix("error: "), {"exit_code": process.returncode}, allow_retries=False)

    @dg.job(name=JOB, description="Take an experiment or a variant over: write its settings into the file, then run.")
    def promote() -> None:
        promote_run()

    return promote


def _command(home: Path, run_id: str) -> list[str]:
    command = [sys.executable, "-m", "embed_pipeline.cli", "promote", run_id, "--home", str(home)]
    for option, variable in (("--config", "EMBED_PIPELINE_CONFIG"), ("--profile", "EMBED_PIPELINE_PROFILE")):
        value = os.environ.get(variable)
        command += [option, value] if value else []
    for override in json.loads(os.environ.get("EMBED_PIPELINE_OVERRIDES") or "[]"):
        command += ["--set", override]
    return command
