"""Progress: who listens hears every unit, and nobody has to listen."""

import time

import pytest

from embed_pipeline.progress import LogReporter, current_reporter, reporting, say, task, track


class Recorder:
    def __init__(self) -> None:
        self.heard: list[tuple] = []

    def start(self, name, total):
        self.heard.append(("start", name, total))
        return name

    def update(self, handle, done, note=""):
        self.heard.append(("update", handle, done, note))

    def finish(self, handle):
        self.heard.append(("finish", handle))

    def message(self, text):
        self.heard.append(("message", text))


def test_without_a_listener_everything_is_silent(capsys):
    assert list(track([1, 2], "work")) == [1, 2]
    say("hello")
    assert capsys.readouterr() == ("", "")


def test_a_loop_tells_start_every_item_and_the_end():
    recorder = Recorder()
    with reporting(recorder):
        assert list(track(["a", "b"], "work")) == ["a", "b"]
        say("note")
    assert recorder.heard == [
        ("start", "work", 2),
        ("update", "work", 1, ""),
        ("update", "work", 2, ""),
        ("finish", "work"),
        ("message", "note"),
    ]


def test_a_loop_over_a_generator_has_no_total_unless_told():
    recorder = Recorder()
    with reporting(recorder):
        list(track(iter("ab"), "unknown"))
        list(track(iter("ab"), "known", total=2))
    assert [entry for entry in recorder.heard if entry[0] == "start"] == [
        ("start", "unknown", None),
        ("start", "known", 2),
    ]


def test_an_error_or_a_break_still_ends_the_task():
    def fail() -> None:
        with task("one", 3) as running:
            running.advance(2, "half")
            raise RuntimeError

    recorder = Recorder()
    with reporting(recorder):
        with pytest.raises(RuntimeError):
            fail()
        for _ in track([1, 2, 3], "two"):
            break
    assert recorder.heard.count(("finish", "one")) == recorder.heard.count(("finish", "two")) == 1
    assert ("update", "one", 2, "half") in recorder.heard


def test_the_listener_before_is_restored_also_after_an_error():
    outer, inner = Recorder(), Recorder()

    def fail() -> None:
        with reporting(inner):
            assert current_reporter() is inner
            raise RuntimeError

    with reporting(outer):
        with pytest.raises(RuntimeError):
            fail()
        assert current_reporter() is outer
    assert current_reporter() is not outer


def test_log_lines_estimate_the_rest(monkeypatch):
    clock = iter([0.0, 5.0, 20.0, 30.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    lines: list[str] = []
    with reporting(LogReporter(lines.append, every=10)), task("encode", 100) as running:
        running.advance(10)  # 5 s: too early for a line
        running.advance(30, "loss 0.5")  # 20 s for 40: 30 s for the other 60
    assert lines == ["encode: 100 to do", "encode: 40/100, about 30 s left, loss 0.5", "encode: 40 in 30.0 s"]


def test_log_lines_without_a_total_count_only():
    lines: list[str] = []
    with reporting(LogReporter(lines.append, every=0)):
        with task("read") as running:
            running.advance()
        say("skipped x.pdf")
    assert lines[0] == "read: started"
    assert lines[1] == "read: 1"
    assert lines[-1] == "skipped x.pdf"
