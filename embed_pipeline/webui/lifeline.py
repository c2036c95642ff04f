"""A process that ends with the one that started it, however that one ends.

The supervisor holds the writing end of a pipe and hands the reading end to each child. When the supervisor is gone,
killed or not, the pipe ends; the child then ends its whole process group, runs included.
"""

import os
import signal
import threading
import time

GRACE = 15.0
"""Seconds in which a run may write down that it was stopped."""


def end_with(descriptor: int) -> None:
    """End this process group when the pipe ends."""
    threading.Thread(target=_wait, args=(descriptor,), name="lifeline", daemon=True).start()


def _wait(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)
