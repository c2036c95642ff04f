"""A command that is stopped cleans up, says one line, and its exit code tells by which signal."""

import signal
import subprocess
import sys
import time

import pytest

from embed_pipeline.store.backup import back_up
from embed_pipeline.store.home import open_home

LARGE = 8 << 30
"""Bytes of a file with a hole, which takes no room and many seconds to be compressed."""


def stopped(sent, folder, pattern, *arguments) -> tuple[int, str]:
    """Exit code and error output of a command that gets a signal as soon as a file or folder of this kind is there."""
    command = [sys.executable, "-m", "embed_pipeline.cli", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(sent)
    out, said = process.communicate(timeout=60)
    assert out == ""
    return process.returncode, said


@pytest.fixture
def home(tmp_path):
    open_home(tmp_path / "home")
    (tmp_path / "home" / "history").mkdir()
    return tmp_path / "home"


def with_a_large_file(home):
    with (home / "history" / "large").open("wb") as file:
        file.truncate(LARGE)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_backup_that_is_stopped_leaves_nothing_and_the_file_of_before(home, tmp_path, sent):
    target = tmp_path / "backups" / "home.tar.gz"
    back_up(home, target)
    before = target.read_bytes()
    with_a_large_file(home)
    code, said = stopped(sent, target.parent, ".home.tar.gz.*.tmp", "backup", target, "--home", home)
    assert code == 128 + sent
    assert said == "error: stopped; nothing was saved, and a file that was there is as it was\n"
    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == before
