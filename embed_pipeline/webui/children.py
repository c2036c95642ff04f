"""The processes of the web UI, each in a process group of its own with whatever it starts."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

STOP_SECONDS = 20.0
"""Until a process that was asked to end is killed; a run writes down in that time that it was stopped."""
POLL_SECONDS = 0.1
LAST_LINES = 12
SAFE_PATH = ("-P",)
"""The working folder is the user's, and none of Python's: a file there must not stand in for a module."""
FEW_ARENAS = {"MALLOC_ARENA_MAX": "2"}
"""Threads that do little need no memory pools of their own (glibc); see what __main__ does with it."""


class Child:
    """One process of the web UI.

    Args:
        log: file for what it and its runs say; None: standard error.
        lifeline: descriptor of the pipe it ends with.
        others: further descriptors that it inherits.
    """

    def __init__(
        self,
        role: str,
        options: Mapping[str, Any],
        environment: Mapping[str, str],
        log: Path | None,
        lifeline: int,
        others: Sequence[int] = (),
    ) -> None:
        self.role = role
        self._log = log
        self._from = log.stat().st_size if log is not None and log.exists() else 0
        words = [role, json.dumps({**options, "lifeline": lifeline})]
        target = log.open("ab") if log is not None else None
        try:
            self.process = subprocess.Popen(
                [sys.executable, *SAFE_PATH, "-m", "embed_pipeline.webui", *words],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=target or sys.stderr.fileno(),
                stderr=target or sys.stderr.fileno(),
                pass_fds=[lifeline, *others],
                start_new_session=True,
            )
        finally:
            if target is not None:
                target.close()

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def last_lines(self) -> str:
        """What was said last since it was started."""
        if self._log is None:
            return ""
        with self._log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._from, size - 8_000))
            lines = file.read().decode("utf-8", "replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LAST_LINES:])

    def retire(self) -> None:
        """Ask a code server to end after its last run."""
        self.process.send_signal(signal.SIGUSR1)

    def signal(self, number: int) -> None:
        """Send a signal to the process and whatever it started; what has ended already is no error."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def stop(children: Iterable[Child], seconds: float = STOP_SECONDS) -> None:
    """End processes and all that they started, at the latest after ``seconds``."""
    children = list(children)
    for child in children:
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(child.ended and not _has_members(child) for child in children):
        time.sleep(POLL_SECONDS)
    for child in children:
        child.signal(signal.SIGKILL)
        child.process.wait()


def _has_members(child: Child) -> bool:
    """Whether anything of its process group is left."""
    try:
        os.killpg(child.process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
