"""Ctrl-C and SIGTERM: the command cleans up as after any error, says one line, and ends with 130 or 143."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def stopped_in_words(words: str) -> Iterator[None]:
    """Say ``words`` when the command is stopped; for a whole command it is a decorator.

    Without it, SIGTERM would end Python at once and leave half-written files, and typer would say nothing.
    """
    signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"error: {words}\n")
        raise typer.Exit(128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)) from None


class _Terminated(KeyboardInterrupt):
    """SIGTERM, where nothing inside has a handler of its own, as a run has."""


def _terminated(_number: int, _frame: object) -> None:
    raise _Terminated
