"""Waiting for what other processes do, and ending them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any


def wait_until(true: Callable[[], Any], seconds: float, said: Callable[[], Any] = str) -> None:
    """Until it is true; otherwise the test fails and shows what ``said`` gives."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {said()}"
        time.sleep(0.2)


def end(process: "subprocess.Popen[Any]", number: int = signal.SIGTERM, seconds: float = 60) -> None:
    """Send a signal to a process that leads a session; kill the whole session if that does not end it."""
    if process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
