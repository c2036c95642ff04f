"""One guard for a home: who holds it is told, who waits is told for whom, a kill frees it."""

import os
import subprocess
import sys

import pytest

from embed_pipeline.errors import HomeBusyError
from embed_pipeline.store.gc import collect
from embed_pipeline.store.home_lock import Holder, holder_of, home_lock

PROGRAM = """
import sys, time
from pathlib import Path
from embed_pipeline.store.home_lock import Holder, home_lock
with home_lock(Path(sys.argv[1]), Holder.here("cli", "0123456789abcdef")):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the home."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_home_that_is_held_is_refused_and_the_holder_named(tmp_path, other):
    with pytest.raises(HomeBusyError, match=f"run 01234567, started by cli .process {other.pid}"), home_lock(tmp_path):
        pass
    with pytest.raises(HomeBusyError, match="run 01234567"):
        collect(tmp_path)


def test_who_waits_is_told_for_whom_and_gets_the_home_when_it_is_free(tmp_path, other):
    heard: list[tuple[Holder | None, float]] = []

    def wait(holder: Holder | None, waited: float) -> None:
        heard.append((holder, waited))
        if len(heard) == 3:
            other.kill()  # which frees it as well

    with home_lock(tmp_path, Holder.here("ui", "fedcba"), wait):
        holder = holder_of(tmp_path)
        assert holder is not None
        assert (holder.pid, holder.run_id, holder.started_by) == (os.getpid(), "fedcba", "ui")
    assert {one.pid for one, _ in heard if one is not None} == {other.pid}
    assert [waited for _, waited in heard] == sorted(waited for _, waited in heard)
    assert holder_of(tmp_path) is None


def test_waiting_ends_with_what_the_waiting_raises(tmp_path, other):
    def give_up(holder: Holder | None, waited: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), home_lock(tmp_path, wait=give_up):
        pass
    assert other.poll() is None


def test_what_a_killed_holder_left_hinders_nobody(tmp_path, other):
    other.kill()
    other.wait()
    assert holder_of(tmp_path) is not None
    with home_lock(tmp_path):
        assert holder_of(tmp_path).pid == os.getpid()


def test_a_damaged_note_about_the_holder_is_no_obstacle(tmp_path, other):
    (tmp_path / "run.lock.json").write_text("{")
    with pytest.raises(HomeBusyError, match="another run is under way"), home_lock(tmp_path):
        pass
