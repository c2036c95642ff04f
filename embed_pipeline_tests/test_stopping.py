"""Ctrl-C and SIGTERM at random moments of a whole run: it ends soon, says so, and leaves nothing behind."""

import os
import random
import signal
import subprocess
import time

import psutil
import pytest

from embed_pipeline_tests.test_pipeline import User

LONGEST = 60.0
"""Seconds from a stop to the end on a machine that does other things as well; some five alone."""


def session_of(leader: int) -> list[int]:
    """The processes that a run has started, but for an endpoint, which has a session of its own."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def stopped(somebody: User, sent: int, wait: float, times: int, *arguments: str) -> str | None:
    """What a run says that is stopped after ``wait`` seconds of work; None if it was through before."""
    process = subprocess.Popen(
        somebody.command("run", *somebody.options, *arguments),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    first = process.stderr.readline()
    if "assets to compute" in first:
        time.sleep(wait)
    if "nothing to do" in first or process.poll() is not None:  # the one before had come through
        process.communicate(timeout=LONGEST)
        return None
    for _ in range(times):
        process.send_signal(sent)
        time.sleep(0.1)
    _, said = process.communicate(timeout=LONGEST)
    assert process.returncode in (128 + sent, -sent), said  # the latter: a signal met Python while it was ending
    assert session_of(process.pid) == []
    return said


@pytest.mark.skipif("STOPPING" not in os.environ, reason="a long check at random moments: make stopping")
@pytest.mark.timeout(900)
def test_a_run_that_is_stopped_at_any_moment_ends_and_goes_on(tmp_path):
    somebody = User(tmp_path / "stopped", documents=8)
    moments = random.Random(11)
    try:
        said = []
        for number in range(4):
            sent = (signal.SIGINT, signal.SIGTERM)[number % 2]
            said.append(stopped(somebody, sent, moments.uniform(0.5, 25), 1 + number % 3))
        export = ("--to", "onnx_model", "--force", "onnx_model")
        said += [stopped(somebody, signal.SIGINT, wait, 1, *export) for wait in (4.0,)]
        told = [text for text in said if text is not None]
        assert len(told) >= 2
        assert [text for text in told if "stopped; finished stages are kept, run again to go on" not in text] == []
        assert [text for text in told if "Traceback" in text] == []
        assert set(somebody.outcomes().values()) <= {"computed", "reused", "skipped"}
    finally:
        somebody.stop()
