"""Who answers what a page asks: a child process that goes when nobody asks any more.

The process with the page stays small, and whole: models live in the child, which also reads documents of strangers. It
is started by the first question and ended after some minutes without one. They talk through the child's standard input
and output, one JSON object a line, which nobody else can reach; the child ends when its input does, hence with this
process.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embed_pipeline.errors import EmbedPipelineError, UserError, WebUIError
from embed_pipeline.webui.children import SAFE_PATH

IDLE_SECONDS = 600.0
"""After the last search the child ends."""
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Work:
    """What a child does.

    Attributes:
        does: in words, after "the process that".
        begins: what it is at while it starts.
        ended: what to do when it has ended by itself.
    """

    name: str
    does: str
    begins: str
    ended: str


SEARCHING = Work(
    "search",
    "searches",
    "start searching",
    "search again. If it does so again, the memory of this machine may not do for the models.",
)
PREVIEWING = Work(
    "preview",
    "reads documents",
    "start reading",
    "choose other documents. If it does so with one of them alone, that file is more than its parser or the memory of "
    "this machine can bear; leave it out of the corpus.",
)


class Worker:
    """Works in a child process, started when it is needed; one request at a time, others wait.

    Attributes:
        doing: what it is at, in words; empty when it is at nothing.

    Args:
        home: the home.
        snapshot: names the file with the settings in use; another one begins a new child.
        idle: seconds without a request after which the child ends.
        work: what it does.
    """

    def __init__(
        self, home: Path, snapshot: Callable[[], Path], idle: float = IDLE_SECONDS, work: Work = SEARCHING
    ) -> None:
        self._home, self._snapshot, self._idle, self._work = home, snapshot, idle, work
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._settings: Path | None = None
        self._timer: threading.Timer | None = None
        self.doing = ""

    @property
    def pid(self) -> int | None:
        """Of the child, while there is one."""
        return None if self._child is None else self._child.pid

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer; see ``answer`` in :mod:`embed_pipeline.stages.searching` and :mod:`embed_pipeline.stages.previewing`.

        Raises:
            UserError: what is asked cannot be done; says why.
            WebUIError: the child ended by itself.
        """
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            try:
                return self._asked(request)
            finally:
                self.doing = ""
                self._timer = threading.Timer(self._idle, self._rest)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """End the child, also one that is at work."""
        child, timer = self._child, self._timer
        if timer is not None:
            timer.cancel()
        if child is not None:
            child.kill()
        with self._lock:
            self._end()

    def _rest(self) -> None:
        if self._lock.acquire(blocking=False):  # else it is at work again
            try:
                self._end()
            finally:
                self._lock.release()

    def _asked(self, request: Mapping[str, Any]) -> dict[str, Any]:
        child = self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps(request) + "\n")
            child.stdin.flush()
            for line in child.stdout:
                told = json.loads(line)
                if "doing" not in told:
                    break
                self.doing = told["doing"]
            else:
                raise BrokenPipeError
        except (BrokenPipeError, ValueError):
            self._end()
            raise WebUIError(f"the process that {self._work.does} ended by itself; {self._work.ended}") from None
        if "error" in told:
            raise (UserError if told["user"] else EmbedPipelineError)(told["error"])
        found: dict[str, Any] = told["found"]
        return found

    def _started(self) -> "subprocess.Popen[str]":
        settings = self._snapshot()
        if self._child is not None and (self._child.poll() is not None or settings != self._settings):
            self._end()
        if self._child is None:
            self.doing = self._work.begins
            self._settings = settings
            words = ["-m", "embed_pipeline.webui.worker_child", self._work.name, str(self._home), str(settings)]
            self._child = subprocess.Popen(
                [sys.executable, *SAFE_PATH, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(OSError):  # it has ended already
            child.stdin.close()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()
