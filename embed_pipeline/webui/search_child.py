"""The process that searches for the web UI: ``python -m embed_pipeline.webui.search_child HOME SETTINGS``.

Reads requests from standard input and writes answers to standard output, one JSON object a line; ends with its input.
"""

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import TextIO

from embed_pipeline.errors import EmbedPipelineError, UserError
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.settings.snapshot import read_snapshot
from embed_pipeline.stages.searching import HomeSearch, answer


def serve(home: Path, snapshot: Path, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more."""

    def tell(value: object) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, waiting), daemon=True).start()
    search: HomeSearch | None = None
    with reporting(LogReporter(lambda line: tell({"doing": line}), every=1.0)):
        while True:
            request = json.loads(waiting.get())
            try:
                if search is None:
                    search = HomeSearch(home, read_snapshot(snapshot))
                tell({"found": answer(search, request)})
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
    serve(Path(sys.argv[1]), Path(sys.argv[2]), sys.stdin, answers)


if __name__ == "__main__":
    main()
