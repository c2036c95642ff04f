"""A stop is final, whatever the work does with it."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from embed_pipeline.stages import interrupts
from embed_pipeline.stages.interrupts import Stop, raise_if_stopped, stoppable

PROGRAM = """
import signal, subprocess, sys, time
from embed_pipeline.stages import interrupts
interrupts.REPEAT_SECONDS, interrupts.LAST_SECONDS = 0.2, 1.0
signal.signal(signal.SIGTERM, signal.default_int_handler)
"""


def program(body: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", PROGRAM + body], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    return process


def ended(process: "subprocess.Popen[str]", sent: int) -> tuple[int, str]:
    process.send_signal(sent)
    said, _ = process.communicate(timeout=20)
    return process.returncode, said


def test_without_a_stop_nothing_happens():
    before = signal.getsignal(signal.SIGINT)
    with stoppable() as stop:
        raise_if_stopped()
    assert stop.signal is None
    assert stop.exit_code == 1
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_that_is_swallowed_once_is_raised_again(sent):
    body = """
with interrupts.stoppable() as stop:
    try:
        print("working", flush=True)
        time.sleep(30)
    except KeyboardInterrupt:
        pass
    try:
        time.sleep(30)
    except KeyboardInterrupt:
        stop.end()
        print("raised again")
sys.exit(stop.exit_code)
"""
    assert ended(program(body), sent) == (128 + sent, "raised again\n")


def test_what_was_made_after_a_swallowed_stop_is_refused():
    with stoppable() as stop:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        deadline = time.monotonic() + 5
        while stop.signal is None and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(KeyboardInterrupt):
            raise_if_stopped()
    raise_if_stopped()


def test_work_that_swallows_every_stop_is_ended_with_its_children_after_its_last_words(tmp_path):
    body = f"""
with interrupts.stoppable(lambda: print("last words", flush=True)):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.DEVNULL)
    open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
    while True:
        try:
            print("working", flush=True)
            time.sleep(30)
        except KeyboardInterrupt:
            pass
"""
    code, said = ended(program(body), signal.SIGTERM)
    assert code == 143
    assert said.splitlines()[-1] == "last words"
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while _lives(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(child)


def test_a_stop_that_python_swallows_prints_no_trace(capsys):
    class Finalized:
        def __init__(self, error: BaseException) -> None:
            self.error = error

        def __del__(self) -> None:
            raise self.error

    before = sys.unraisablehook
    with stoppable():
        Finalized(KeyboardInterrupt())
    assert sys.unraisablehook is before
    assert capsys.readouterr().err == ""


def test_within_another_block_and_in_another_thread_the_outer_one_counts():
    inner: list[Stop] = []

    def elsewhere() -> None:
        with stoppable() as stop:
            inner.append(stop)

    with stoppable() as outer:
        with stoppable() as nested:
            assert nested is outer
        raise_if_stopped()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert inner == [outer]
    assert interrupts._active == []


def _lives(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
