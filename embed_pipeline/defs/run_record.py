"""The record of a run as it goes: what became of each step, in words, and ``<home>/history/<run id>.json`` at its end."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEvent, DagsterEventType

from embed_pipeline.defs.run_request import RunRequest
from embed_pipeline.store.artifacts import Store


class RunRecord:
    """What became of a run."""

    def __init__(self, store: Store, request: RunRequest, instance: dg.DagsterInstance) -> None:
        self.failed_steps: set[str] = set()
        self.passed_steps: set[str] = set()

    def note(self, event: DagsterEvent) -> None:
        if event.is_step_failure:
            self.failed_steps.add(str(event.step_key))
        elif event.is_step_success:
            self.passed_steps.add(str(event.step_key))

    def decided(self, up_to_date: Mapping[str, str], blocked: Sequence[str]) -> None:
        pass

    @contextmanager
    def kept(self) -> Iterator[None]:
        yield
