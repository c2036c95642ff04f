"""The program :mod:`embed_pipeline.llm.data_designer.program`, and the interpreter that runs it.

A program of its own: Data Designer reads its settings when it is imported, sets up logging for the whole process,
and may be installed elsewhere, since it holds other packages at older versions.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from embed_pipeline.errors import SettingsError
from embed_pipeline.llm.data_designer import program

PYTHON = "EMBED_PIPELINE_DATA_DESIGNER_PYTHON"
LONGEST_LINE = 64 * 2**20  # bytes
INSTALL = (
    'Install the extra (pip install -c constraints-data-designer.txt "embed-pipeline[cpu,demo,data-designer]"), or let '
    f"the environment variable {PYTHON} name the Python of an environment with data-designer>=0.9.7,<0.10, or set "
    "sdg.engine to llm"
)


def interpreter(environment: Mapping[str, str]) -> str:
    """The Python that has Data Designer: the one named in the environment, else this one.

    Raises:
        SettingsError: there is none.
    """
    named = environment.get(PYTHON, "").strip()
    if named:
        if not os.access(named, os.X_OK):
            raise SettingsError(f"{PYTHON}: {named} is no program. It must be the path of a Python. {INSTALL}.")
        return named
    if find_spec("data_designer") is None:
        raise SettingsError(f"sdg.engine is data_designer, but Data Designer is not installed. {INSTALL}.")
    return sys.executable


async def run_pass(
    python: str, request: Mapping[str, Any], prompts: Sequence[str], environment: Mapping[str, str]
) -> AsyncGenerator[dict[str, Any], None]:
    """What :mod:`~embed_pipeline.llm.data_designer.program` says of the prompts, line by line.

    Nothing stays on the disk, and nothing is sent to anybody but the endpoint. The program is killed when the
    iteration ends early.

    Args:
        request: endpoint, key_name, model, parameters, schema, group.
        prompts: row 0, 1, …
        environment: of the program; the key is in it and nowhere else.
    """
    with tempfile.TemporaryDirectory(prefix="data-designer-") as name:
        folder = Path(name)
        rows = (json.dumps({"row": row, "prompt": prompt}) + "\n" for row, prompt in enumerate(prompts))
        (folder / "prompts.jsonl").write_text("".join(rows), "utf-8")
        log = folder / "log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(python, "-I", program.__file__, name),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=name,
                env={**environment, **_quiet(folder)},
                limit=LONGEST_LINE,
            )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(request).encode() + b"\n")
            failed = False
            async for line in process.stdout:
                value: dict[str, Any] = json.loads(line)
                failed = failed or "error" in value
                yield value
            if await process.wait() and not failed:
                yield {"error": f"it ended with code {process.returncode}: {_end_of(log)}", "kinds": []}
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def _quiet(folder: Path) -> dict[str, str]:
    """No telemetry, and no files in the user's home."""
    return {
        "NEMO_TELEMETRY_ENABLED": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DATA_DESIGNER_HOME": str(folder / "home"),
        "PYTHONIOENCODING": "utf-8",
    }


def _end_of(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
