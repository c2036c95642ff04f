"""Holding a home for the length of a run; who comes second waits, and says for whom."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._utils.interrupts import pop_captured_interrupt

from embed_pipeline.progress import say, spoken
from embed_pipeline.store.home_lock import Holder, home_lock

PAUSES = (30.0, 60.0, 300.0, 900.0)
"""Seconds after which a waiting run says again that it waits; the last one from then on."""


@contextmanager
def hold_home(home: Path, holder: Holder, context: PlanOrchestrationContext) -> Iterator[None]:
    """Hold a home; while another run does, wait.

    Raises:
        DagsterExecutionInterruptedError: the run was stopped while it waited.
    """
    with home_lock(home, holder, _Waiting(context)):
        yield


class _Waiting:
    """Tells the log of the run, and whoever listens outside, rarely; ends when the run is stopped."""

    def __init__(self, context: PlanOrchestrationContext) -> None:
        self._log = context.log
        self._pauses = list(PAUSES)
        self._next = 0.0

    def __call__(self, other: Holder | None, waited: float) -> None:
        if pop_captured_interrupt():
            raise DagsterExecutionInterruptedError
        if waited < self._next:
            return
        self._next = waited + (self._pauses.pop(0) if len(self._pauses) > 1 else self._pauses[0])
        so_far = f", {spoken(waited)} so far" if waited >= 1 else ""
        line = f"waiting for {other or 'another run'} to end{so_far}; Ctrl-C, or Terminate in the web UI, gives up"
        self._log.info(line)
        say(line)
