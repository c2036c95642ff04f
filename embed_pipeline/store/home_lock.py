"""The one guard of a home: held by a run, whoever started it, and by what must not happen during one.

The lock belongs to the process, so a kill frees it. A file beside it says who holds it, for those who wait.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from embed_pipeline.errors import HomeBusyError
from embed_pipeline.files import now_text, write_json
from embed_pipeline.store.home import require_writable

LOCK = "run.lock"
HOLDER = "run.lock.json"
UI_LOCK = "ui.lock"
POLL_SECONDS = 0.25

Wait = Callable[["Holder | None", float], None]
"""Called again and again while somebody else holds the home, with who that is, where known, and the seconds waited."""


@dataclass(frozen=True)
class Holder:
    """Who holds a home.

    Attributes:
        started_by: cli, ui, sensor, schedule, backfill, or a command such as "embed-pipeline gc".
        since: ISO time.
    """

    pid: int
    started_by: str
    since: str
    run_id: str | None = None

    @classmethod
    def here(cls, started_by: str, run_id: str | None = None) -> "Holder":
        """This process, from now on."""
        return cls(os.getpid(), started_by, now_text(), run_id)

    def __str__(self) -> str:
        what = f"run {self.run_id[:8]}, started by {self.started_by}" if self.run_id else self.started_by
        return f"{what} (process {self.pid}, since {self.since})"


@contextmanager
def home_lock(home: Path, holder: Holder | None = None, wait: Wait | None = None) -> Iterator[None]:
    """Hold a home; without ``wait`` only if it is free.

    Args:
        holder: how to show oneself to those who wait.
        wait: what it raises ends the waiting.

    Raises:
        HomeBusyError: somebody else holds it; names who.
        HomeError: it cannot be written.
    """
    require_writable(home)
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / LOCK)
    began = time.monotonic()
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            other = holder_of(home)
            if wait is None:
                raise HomeBusyError(
                    f"{home}: another run is under way there: {other or 'it has just begun'}. "
                    "Wait for it, or choose another --home."
                ) from None
            wait(other, time.monotonic() - began)
            time.sleep(POLL_SECONDS)
    try:
        write_json(home / HOLDER, asdict(holder or Holder.here("another command")))
        yield
    finally:
        (home / HOLDER).unlink(missing_ok=True)
        lock.release()


def lock_of_ui(home: Path) -> FileLock:
    """Become the one web UI of a home, or keep any away; until the lock is released.

    Raises:
        HomeBusyError: a web UI serves it.
    """
    folder = home / "dagster"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / UI_LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise HomeBusyError(
            f"{home}: another web UI serves this home; stop that one first, or choose another --home."
        ) from None
    return lock


def holder_of(home: Path) -> Holder | None:
    """Who holds a home, as that one has written down; also what a killed one has left."""
    try:
        return Holder(**json.loads((home / HOLDER).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
