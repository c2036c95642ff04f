"""The decision, and what it amounts to over time whatever happens to folder, runs and cursor."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from embed_pipeline.automation.corpus_watch import CorpusView
from embed_pipeline.automation.retraining import PastRun, Situation, decide
from embed_pipeline.corpus.changes import CorpusChange
from embed_pipeline.settings import AutomationSettings

SETTINGS = AutomationSettings(retries=2, retry_seconds=100, max_retry_seconds=150)


def view(content="A", changed=10):
    return CorpusView(content, CorpusChange(100, 100, 1000, 1000, changed, 10 * changed), ())


def situation(**values):
    usual = {"now": 1000.0, "view": view(), "in_use": "old", "trained": False, "complete": False, "busy": False}
    return Situation(**{**usual, **values})


def failed(*ends, content="A"):
    return [PastRun(content, "failure", end) for end in ends]


def test_new_content_runs():
    assert decide(situation(), SETTINGS).action == "run"
    assert decide(situation(view=CorpusView("A", None, ()), in_use=None), SETTINGS).action == "run"


def test_what_was_trained_on_needs_nothing_even_without_history():
    assert decide(situation(trained=True, in_use="A"), SETTINGS).action == "rest"


def test_a_run_under_way_holds_back():
    assert decide(situation(busy=True), SETTINGS).action == "wait"


@pytest.mark.parametrize(
    ("past", "action", "said"),
    [
        (failed(950), "wait", "begins in 50 s"),
        (failed(899), "run", "run 1 on this"),
        (failed(900, 700), "wait", "begins in 50 s"),  # doubled, but not longer than the longest
        (failed(840, 700), "run", "run 2 on this"),
        (failed(500, 400, 300), "rest", "3 runs on this content failed"),
        ([*failed(899), PastRun("B", "success", 1), *failed(3, 2, 1)], "run", "run 1 on this"),
        ([PastRun("A", "canceled", 1)], "rest", "cancelled"),
        ([PastRun("B", "canceled", 1)], "run", "changed"),
    ],
)
def test_after_a_run_that_did_not_succeed(past, action, said):
    decision = decide(situation(past=past, in_use="A"), SETTINGS)
    assert decision.action == action
    assert said in decision.reason


def test_a_failure_that_a_later_run_made_good_is_not_tried_again():
    assert decide(situation(past=failed(1), complete=True), SETTINGS).action == "rest"


def test_success_is_enough_as_long_as_nothing_else_was_read_since():
    done = [PastRun("A", "success", 1)]
    assert decide(situation(past=done, in_use="A"), SETTINGS).action == "rest"
    assert decide(situation(past=done, in_use="B"), SETTINGS).action == "run"


def test_too_little_change_rests_and_says_how_much():
    few = AutomationSettings(min_change=0.02)
    decision = decide(situation(view=view(changed=1)), few)
    assert decision.action == "rest"
    assert "1.00 % of" in decision.reason.replace("%", " %")
    assert decide(situation(view=view(changed=2)), few).action == "run"


def test_what_must_be_confirmed_waits_unless_somebody_ran_it_by_hand():
    assert decide(situation(to_confirm="it shrank"), SETTINGS).action == "confirm"
    assert "embed-pipeline confirm" in decide(situation(to_confirm="it shrank"), SETTINGS).reason
    past = failed(1)
    assert decide(situation(past=past, to_confirm="it shrank"), SETTINGS).action == "confirm"
    meant = [PastRun("A", "failure", 1, by_hand=True)]
    assert decide(situation(past=meant, to_confirm="it shrank"), SETTINGS).action == "run"


@dataclass
class World:
    """The sensor's surroundings: a folder with a content, runs that end somehow, a clock."""

    content: str = "A"
    now: float = 0.0
    in_use: str | None = None
    trained_on: str | None = None
    past: list[PastRun] = field(default_factory=list)
    running: str | None = None
    started: list[tuple[float, str]] = field(default_factory=list)

    def tick(self):
        done = self.trained_on == self.content == self.in_use
        situation = Situation(
            self.now, view(self.content), self.in_use, done, done, self.running is not None, self.past
        )
        decision = decide(situation, SETTINGS)
        if decision.action == "run":
            assert self.running is None
            assert not done
            self.running = self.content
            self.started.append((self.now, self.content))
        return decision

    def end(self, how):
        if self.running is not None:
            self.in_use = self.running
            if how == "success":
                self.trained_on = self.running
            self.past.insert(0, PastRun(self.running, how, self.now))
            self.running = None


_events = st.lists(
    st.one_of(
        st.tuples(st.just("content"), st.sampled_from("ABC")),
        st.tuples(st.just("end"), st.sampled_from(["success", "failure", "canceled"])),
        st.tuples(st.just("pass"), st.integers(1, 400)),
        st.tuples(st.just("tick"), st.none()),
    ),
    max_size=60,
)


@given(_events)
@hypothesis_settings(max_examples=200)
def test_over_time(events):
    world = World()
    for event, value in events:
        if event == "content":
            world.content = value
        elif event == "end":
            world.end(value)
        elif event == "pass":
            world.now += value
        else:
            world.tick()
    assert _longest_series(world.past) <= SETTINGS.retries + 1
    _ends_trained(world)


def _longest_series(past):
    longest = series = 0
    before = None
    for run in past:
        series = series + 1 if run.end == "failure" and run.content == before else int(run.end == "failure")
        before = run.content if run.end == "failure" else None
        longest = max(longest, series)
    return longest


def _ends_trained(world):
    """When nothing disturbs any more and runs succeed, new content is trained on."""
    world.end("success")
    world.content = "never seen"
    for _ in range(3):
        world.now += 1000
        world.tick()
        world.end("success")
    assert world.trained_on == "never seen"
    count = len(world.started)
    world.tick()
    assert len(world.started) == count
