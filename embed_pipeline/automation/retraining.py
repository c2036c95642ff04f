"""Whether to retrain now: one decision from a plain state, so that every way through it can be tested.

The rules, in this order. A run under way holds everything back. Content that the model in use was trained on needs
nothing. Content whose last run failed is tried again after a pause that doubles each time, up to
``automation.retries``; content whose run somebody cancelled is left alone until it changes. New content waits until the
folder rests, until enough of it has changed, and for a confirmation where one is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from embed_pipeline.automation.corpus_watch import CorpusView
from embed_pipeline.settings import AutomationSettings

End = Literal["success", "failure", "canceled"]
Action = Literal["run", "wait", "confirm", "rest"]


@dataclass(frozen=True)
class PastRun:
    """A run that has ended.

    Attributes:
        content: fingerprint of the corpus it was about.
        ended: seconds since 1970.
        by_hand: started by a person.
    """

    content: str
    end: End
    ended: float
    by_hand: bool = False


@dataclass(frozen=True)
class Situation:
    """All that a decision rests on.

    Attributes:
        now: seconds since 1970.
        in_use: fingerprint of the corpus that was read last.
        trained: the model in use was trained and measured on what the corpus holds now.
        complete: and what is served goes back to it as well.
        busy: a run is under way or waiting for its turn.
        past: runs that have ended, newest first.
        to_confirm: what must be confirmed first.
    """

    now: float
    view: CorpusView
    in_use: str | None
    trained: bool
    complete: bool
    busy: bool
    past: Sequence[PastRun] = ()
    to_confirm: str | None = None


@dataclass(frozen=True)
class Decision:
    """What to do, and why, in words for the web UI.

    Attributes:
        action: run; wait (something will happen by itself); confirm (somebody must do something); rest.
    """

    action: Action
    reason: str


BUSY = Decision("wait", "a run is under way; what has changed is picked up after it")
NOTHING = Decision("rest", "the corpus has not changed since the last run")


def decide(now: Situation, settings: AutomationSettings) -> Decision:
    """What the sensor does about a corpus that rests."""
    if now.busy:
        return BUSY
    last = now.past[0] if now.past and now.past[0].content == now.view.content else None
    if last is None:
        return _begin(now, settings)
    if last.end == "success":
        return _begin(now, settings) if now.in_use != now.view.content else NOTHING
    if last.end == "canceled":
        waits = Decision("rest", "the run on this content was cancelled; it begins again when the corpus changes")
        return NOTHING if now.trained else waits
    if now.complete:
        return NOTHING
    return _again(now, settings)


def _begin(now: Situation, settings: AutomationSettings) -> Decision:
    change = now.view.change
    if now.trained:
        return NOTHING
    if now.to_confirm is not None:
        return _confirm(now.to_confirm)
    if change is not None and now.in_use != now.view.content and change.share < settings.min_change:
        return Decision(
            "rest", f"{change.share:.2%} of the corpus changed; automation.min_change is {settings.min_change:.2%}"
        )
    return Decision("run", f"the corpus changed: {change}" if change is not None else "nothing was trained yet")


def _again(now: Situation, settings: AutomationSettings) -> Decision:
    failed = list(takewhile(lambda run: run.content == now.view.content and run.end == "failure", now.past))
    if len(failed) > settings.retries:
        return Decision(
            "rest", f"{len(failed)} runs on this content failed; it begins again when the corpus changes, or by hand"
        )
    if now.to_confirm is not None and not failed[0].by_hand:
        return _confirm(now.to_confirm)
    left = failed[0].ended + pause_after(len(failed), settings) - now.now
    if left > 0:
        return Decision("wait", f"run {len(failed)} on this content failed; the next one begins in {left:.0f} s")
    return Decision("run", f"run {len(failed)} on this content failed and is tried again")


def _confirm(what: str) -> Decision:
    how = "embed-pipeline confirm, or the job confirm_corpus, lets it retrain"
    return Decision("confirm", f"waiting for a confirmation: {what}. {how}")


def pause_after(failures: int, settings: AutomationSettings) -> float:
    """Seconds until the next attempt after so many failures, 1 or more: it doubles up to max_retry_seconds."""
    return float(min(settings.retry_seconds * 2.0 ** min(failures - 1, 60), settings.max_retry_seconds))
