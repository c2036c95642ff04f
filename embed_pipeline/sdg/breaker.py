"""A dead endpoint is noticed once, not once per record."""

import time
from collections.abc import Callable

LEAST = 5  # failed requests in a row, at least, before the endpoint as a whole is suspected
MOST_OPENINGS = 5
LONGEST_COOL_DOWN = 60.0  # seconds


class Breaker:
    """Closed (all pass), open (nobody passes until a cool-down is over), then one request at a time as a probe.

    It opens when as many *different* requests as are being worked on (at least :data:`LEAST`) failed without a
    success in between; a few requests that fail for reasons of their own do not open it. A probe that succeeds
    closes it; one that fails doubles the cool-down. After :data:`MOST_OPENINGS` openings it is exhausted.

    Args:
        cool_down: seconds of the first one.
        clock: seconds from any origin.
    """

    def __init__(self, cool_down: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._cool_down = cool_down
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Closed, and nothing remembered."""
        self._failed: set[str] = set()
        self._until: float | None = None
        self._probing = False
        self.openings = 0
        self.reason = ""

    @property
    def closed(self) -> bool:
        """Whether all may pass."""
        return self._until is None

    @property
    def exhausted(self) -> bool:
        """Whether the endpoint is given up."""
        return self.openings > MOST_OPENINGS

    def wait(self) -> float | None:
        """Seconds until the next request may pass, 0 for now; None: a probe is out, its end decides."""
        if self._until is None:
            return 0.0
        return None if self._probing else max(0.0, self._until - self._clock())

    def enter(self) -> bool:
        """One request passes; whether it is a probe."""
        self._probing = not self.closed
        return self._probing

    def leave(self, probe: bool) -> None:
        """A request ended in whatever way."""
        self._probing = self._probing and not probe

    def succeeded(self) -> None:
        """The endpoint gave a sign of life."""
        self._failed.clear()
        self._until = None
        self.openings = 0

    def failed(self, request: str, probe: bool, at_work: int, reason: str) -> None:
        """A request failed as it does when the endpoint is down.

        Args:
            request: identity of the request; its repetitions count once.
            probe: what :meth:`enter` said.
            at_work: requests being worked on, those that wait for their next attempt included.
            reason: for the final error.
        """
        self._failed.add(request)
        if probe or (self.closed and len(self._failed) >= max(LEAST, at_work)):
            self.reason = reason
            self.openings += 1
            self._until = self._clock() + min(LONGEST_COOL_DOWN, self._cool_down * 2 ** (self.openings - 1))
