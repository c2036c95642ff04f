"""One pass of NVIDIA NeMo Data Designer; run as a program by an interpreter that has ``data-designer`` 0.9.

Needs nothing else of this package, which that interpreter need not have. Standard input gives the request, one
line of JSON; the folder given as argument holds ``prompts.jsonl`` ({"row", "prompt"} a line). Standard output gets
one JSON object a line::

    {"row": 3, "answer": {…}}                an answer, as soon as its group of rows is done
    {"row": 4, "reason": "…", "kinds": […]}  why there is none, and the classes of the errors
    {"error": "…", "kinds": ["…", …]}        nothing came about; the last line

It ends when standard input is closed, so that it does not go on asking (and paying) for a parent that was killed.
"""

import importlib
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

COLUMN = "answer"
_FAILED = re.compile(rf"failure on {COLUMN}\[rg=(\d+), row=(\d+)\]: (.*)", re.DOTALL)


def main(folder: Path) -> int:
    """Ask everything; the exit code."""
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    out, sys.stdout = sys.stdout, sys.stderr  # libraries print

    def say(value: dict[str, Any]) -> None:
        out.write(json.dumps(value, ensure_ascii=False) + "\n")
        out.flush()

    try:
        _run(folder, request, say)
    except Exception as error:
        chain = list(_chain(error))
        say({"error": _cause(str(chain[min(1, len(chain) - 1)])), "kinds": _kinds(error)})
        return 1
    return 0


def _run(folder: Path, request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
    config: Any = importlib.import_module("data_designer.config")
    interface: Any = importlib.import_module("data_designer.interface")
    pandas: Any = importlib.import_module("pandas")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    lines = (folder / "prompts.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    model = config.ModelConfig(
        alias="model",
        model=request["model"],
        provider="endpoint",
        skip_health_check=True,  # the first requests tell as well
        inference_parameters=config.ChatCompletionInferenceParams(**request["parameters"]),
    )
    builder = config.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(
        config.DataFrameSeedSource(df=pandas.DataFrame(rows)), sampling_strategy=config.SamplingStrategy.ORDERED
    )
    builder.add_column(
        config.LLMStructuredColumnConfig(
            name=COLUMN, prompt="{{ prompt }}", output_format=request["schema"], model_alias="model"
        )
    )
    provider = config.ModelProvider(name="endpoint", endpoint=request["endpoint"], api_key=request["key_name"])
    designer = interface.DataDesigner(artifact_path=folder / "artifacts", model_providers=[provider])
    designer.set_run_config(
        config.RunConfig(
            buffer_size=request["group"],
            max_conversation_restarts=0,
            max_conversation_correction_steps=1,  # as this package itself does
            disable_early_shutdown=True,  # one record's bad answer is no reason to stop
            otel_metrics_port=None,
            # The template is ours and the prompts are values in it; the other engine refuses some of them.
            jinja_rendering_engine="native",
        )
    )
    designer._create_dataset_profiler = _without_profile  # statistics that nobody reads, by a download
    logging.getLogger().addHandler(_Reasons(request["group"], [row["row"] for row in rows], say))

    def done(path: Path) -> None:
        for row in parquet.read_table(path, columns=["row", COLUMN]).to_pylist():
            say({"row": row["row"], "answer": row[COLUMN]})

    designer.create(builder, num_records=len(rows), on_batch_complete=done)


class _NoProfile:
    def profile_dataset(self, *_: object) -> None:
        return None


def _without_profile(*_: object, **__: object) -> _NoProfile:
    return _NoProfile()


class _Reasons(logging.Handler):
    """Reads from the log why a row got no answer."""

    def __init__(self, group: int, rows: list[int], say: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._group = group
        self._rows = rows
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        failure = _FAILED.search(record.getMessage())
        if failure:
            place = int(failure[1]) * self._group + int(failure[2])
            if place < len(self._rows):
                kinds = _kinds(sys.exc_info()[1])  # it logs while it handles the error
                self._say({"row": self._rows[place], "reason": _cause(failure[3]), "kinds": kinds})


def _cause(text: str) -> str:
    """The cause and what the endpoint said, out of one of Data Designer's framed messages."""
    lines = [line.strip(" |-") for line in text.splitlines()]
    causes = [line for line in lines if line.startswith(("Cause:", "Provider message:"))]
    return " ".join(causes or [line for line in lines if line])[:500]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _kinds(error: BaseException | None) -> list[str]:
    return [type(one).__name__ for one in _chain(error)]


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
