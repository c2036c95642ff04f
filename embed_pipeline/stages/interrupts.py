"""Stopping work that does not notice Ctrl-C.

A signal becomes an exception in the main thread, and code that catches everything (an exporter that tries one way after
the other, a callback called from C++) can swallow it; then the work would go on as if nothing had happened. Inside
:func:`stoppable` a stop is remembered: it is raised again every few seconds, :func:`raise_if_stopped` refuses what
was made meanwhile, and at last the process is ended.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOPPING = (signal.SIGINT, signal.SIGTERM)
REPEAT_SECONDS = 3.0
LAST_SECONDS = 20.0
EXIT_CODE = 128
"""Plus the number of the signal: what shells say of a program that a signal ended."""


class Stop:
    """Whether somebody asked this process to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._ended = threading.Event()

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM; 1 where nobody asked."""
        return EXIT_CODE + self.signal if self.signal is not None else 1

    def watch(self, signals: socket.socket, last_words: Callable[[], object]) -> None:
        """Remember the first stop, raise it again until the work ends; end the process if it does not."""
        while self.signal is None:
            received = signals.recv(64)
            if not received:
                return
            self.signal = next((number for number in received if number in STOPPING), None)
        asked = time.monotonic()
        while not self._ended.wait(REPEAT_SECONDS):
            if time.monotonic() - asked > LAST_SECONDS:
                _end(self.exit_code, last_words)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def end(self) -> None:
        """The work is done."""
        self._ended.set()


_active: list[Stop] = []


@contextmanager
def stoppable(last_words: Callable[[], object] = lambda: None) -> Iterator[Stop]:
    """Within this block a stop is final. Inside another one, or in another thread than the main one, that one counts.

    Args:
        last_words: called before the process is ended by force, from another thread.
    """
    if _active or threading.current_thread() is not threading.main_thread():
        yield _active[-1] if _active else Stop()
        return
    stop = Stop()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=stop.watch, args=(reader, last_words), daemon=True, name="stop")
    watcher.start()
    _active.append(stop)
    told = sys.unraisablehook
    sys.unraisablehook = lambda what: None if _is_stop(what.exc_type) else told(what)
    try:
        yield stop
    finally:
        sys.unraisablehook = told
        _active.remove(stop)
        stop.end()
        signal.set_wakeup_fd(before)
        writer.close()
        watcher.join(REPEAT_SECONDS)
        reader.close()


def raise_if_stopped() -> None:
    """Raise what was swallowed.

    Raises:
        KeyboardInterrupt: this process was asked to stop.
    """
    if _active and _active[-1].signal is not None:
        raise KeyboardInterrupt


def _is_stop(kind: type[BaseException]) -> bool:
    """Where Python itself swallows a stop, in a finalizer for example, it would print its trace."""
    return not issubclass(kind, Exception)


def _end(code: int, last_words: Callable[[], object]) -> None:
    with contextlib.suppress(Exception):
        last_words()
    with contextlib.suppress(Exception):
        _kill_children()
    os._exit(code)


def _kill_children() -> None:
    """Every process below this one, but for those with a session of their own: an endpoint goes on serving."""
    import psutil

    own = os.getsid(0)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(child.pid) == own:
                child.kill()
