"""Progress of long work, without knowing who shows it.

A stage writes ``for batch in track(batches, "encode passages")`` or opens a :func:`task`. Who listens is
decided outside: a terminal draws a bar, Dagster writes log lines, a notebook or a test hears nothing.
"""

import contextvars
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class Reporter(Protocol):
    """Who shows progress."""

    def start(self, name: str, total: int | None) -> object: ...
    def update(self, handle: object, done: int, note: str = "") -> None: ...
    def finish(self, handle: object) -> None: ...
    def message(self, text: str) -> None: ...


class SilentReporter:
    """Shows nothing."""

    def start(self, name: str, total: int | None) -> object:
        return None

    def update(self, handle: object, done: int, note: str = "") -> None:
        return None

    def finish(self, handle: object) -> None:
        return None

    def message(self, text: str) -> None:
        return None


_reporter: contextvars.ContextVar[Reporter] = contextvars.ContextVar("reporter", default=SilentReporter())


@contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Send the progress of everything inside the block to ``reporter``."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)


def current_reporter() -> Reporter:
    """Who listens now."""
    return _reporter.get()


def say(text: str) -> None:
    """One line the user should read: a fallback taken, something skipped, an estimate."""
    _reporter.get().message(text)


class Task:
    """A running piece of work; call :meth:`advance` as it goes."""

    def __init__(self, name: str, total: int | None) -> None:
        self.done = 0
        self._reporter = _reporter.get()
        self._handle = self._reporter.start(name, total)

    def advance(self, by: int = 1, note: str = "") -> None:
        """Report ``by`` more units as done."""
        self.done += by
        self._reporter.update(self._handle, self.done, note)

    def close(self) -> None:
        self._reporter.finish(self._handle)


@contextmanager
def task(name: str, total: int | None = None) -> Iterator[Task]:
    """Progress of a block whose units are counted by hand."""
    running = Task(name, total)
    try:
        yield running
    finally:
        running.close()


def track(items: Iterable[T], name: str, total: int | None = None) -> Iterator[T]:
    """Progress of a loop."""
    size = total if total is not None else (len(items) if isinstance(items, Sized) else None)
    with task(name, size) as running:
        for item in items:
            yield item
            running.advance()


class LogReporter:
    """Writes a line at the start, every ``every`` seconds with an estimate, and at the end.

    ``write`` is any function of one string: ``context.log.info``, ``print``, ``logger.info``.
    """

    def __init__(self, write: "LineWriter", every: float = 10.0) -> None:
        self._write = write
        self._every = every

    def start(self, name: str, total: int | None) -> object:
        self._write(f"{name}: {total} to do" if total is not None else f"{name}: started")
        now = time.monotonic()
        return {"name": name, "total": total, "began": now, "said": now, "done": 0}

    def update(self, handle: object, done: int, note: str = "") -> None:
        assert isinstance(handle, dict)
        handle["done"] = done
        now = time.monotonic()
        if now - handle["said"] < self._every:
            return
        handle["said"] = now
        total, seconds = handle["total"], now - handle["began"]
        left = f", about {seconds / done * (total - done):.0f} s left" if total and done else ""
        share = f"{done}/{total}" if total is not None else str(done)
        self._write(f"{handle['name']}: {share}{left}{', ' + note if note else ''}")

    def finish(self, handle: object) -> None:
        assert isinstance(handle, dict)
        self._write(f"{handle['name']}: {handle['done']} in {time.monotonic() - handle['began']:.1f} s")

    def message(self, text: str) -> None:
        self._write(text)


class LineWriter(Protocol):
    """A function that takes one line."""

    def __call__(self, line: str, /) -> object: ...


def spoken(seconds: float) -> str:
    """A duration as people say it: ``"45 s"``, ``"12 min"``, ``"1.5 h"``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
