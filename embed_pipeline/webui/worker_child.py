"""The process that searches or reads documents for the web UI: ``python -m embed_pipeline.webui.worker_child WORK HOME
SETTINGS``.

Reads requests from standard input and writes answers to standard output, one JSON object a line; ends with its input.
"""

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from embed_pipeline.errors import EmbedPipelineError, UserError
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.settings import Settings
from embed_pipeline.settings.snapshot import read_snapshot

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def searching(home: Path, settings: Settings) -> Answer:
    """Searches in the home."""
    from embed_pipeline.stages.searching import HomeSearch, answer

    return partial(answer, HomeSearch(home, settings))


def previewing(home: Path, settings: Settings) -> Answer:
    """Reads documents of the corpus, wherever the home is."""
    from embed_pipeline.stages.previewing import answer

    return partial(answer, settings, home=home)


WORKS = {"search": searching, "preview": previewing}


def serve(work: str, home: Path, snapshot: Path, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more."""

    def tell(value: object) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, waiting), daemon=True).start()
    answer: Answer | None = None
    with reporting(LogReporter(lambda line: tell({"doing": line}), every=1.0)):
        while True:
            request = json.loads(waiting.get())
            try:
                if answer is None:
                    answer = WORKS[work](home, read_snapshot(snapshot))
                tell({"found": answer(request)})
            except EmbedPipelineError as error:
                tell({"error": str(error), "user": isinstance(error, UserError)})


def _read(requests: TextIO, waiting: "queue.SimpleQueue[str]") -> None:
    """Ends the process, whatever it is at, once nobody can ask any more."""
    for line in requests:
        waiting.put(line)
    os._exit(0)


def main() -> None:
    """Take standard output for the answers; whatever else is printed goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that asks
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    serve(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.stdin, answers)


if __name__ == "__main__":
    main()
