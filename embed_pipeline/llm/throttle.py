"""The one way to the endpoint: every request passes here, and what became of it decides who passes next."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from embed_pipeline.errors import LLMUnavailableError
from embed_pipeline.llm.chat_api import RetryableError

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


DECREASE = 0.6


class Limiter:
    """Grows by one per window of successes, shrinks to :data:`DECREASE` when the endpoint asks for fewer.

    Requests that were sent before a decrease cannot cause another one, so that a burst of refusals counts once
    per round trip: each carries the ``epoch`` in which it was sent.

    Args:
        most: upper bound, and where it begins; at least 1.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.epoch = 0
        self._limit = float(most)

    @property
    def limit(self) -> int:
        """Requests that may be in flight now, 1 to ``most``."""
        return int(self._limit)

    def succeeded(self) -> None:
        """A request was answered."""
        self._limit = min(float(self.most), self._limit + 1 / self._limit)

    def refused(self, epoch: int, in_flight: int) -> bool:
        """The endpoint asked for fewer requests; whether this lowered the limit.

        Args:
            epoch: the value of :attr:`epoch` when the refused request was sent.
            in_flight: requests in flight when the refusal arrived, this one included.
        """
        if epoch != self.epoch:
            return False
        self.epoch += 1
        self._limit = max(1.0, min(self._limit, float(max(1, in_flight))) * DECREASE)
        return True


class Waiters:
    """Like a condition without a lock, and bound to no event loop: between two loops nobody waits."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], None] = {}

    async def wait(self, seconds: float | None = None) -> None:
        """Return after the next :meth:`wake`, or after ``seconds``."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        try:
            async with asyncio.timeout(seconds):
                await turn
        except TimeoutError:
            pass
        finally:
            self._waiting.pop(turn, None)

    def wake(self) -> None:
        """Let everybody who waits look again, the longest waiting first."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)


class EndpointDownError(LLMUnavailableError):
    """Not one request but the endpoint fails, or asks to be left alone for long."""


@dataclass
class Ticket:
    """A request in flight; ``epoch`` and ``answers`` as they were when it was sent."""

    request: str
    epoch: int
    answers: int
    probe: bool


class Gate:
    """Concurrency, hold-back and circuit breaker of one client; its state outlives event loops.

    Args:
        name: of the endpoint, for messages.
        most: most requests in flight.
        cool_down: first cool-down of the breaker, in seconds.
        clock: seconds from any origin.
    """

    def __init__(self, name: str, most: int, cool_down: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self.limiter = Limiter(most)
        self.breaker = Breaker(cool_down, clock)
        self.in_flight = 0
        self.at_work = 0
        self.answers = 0
        self._hold_until = 0.0
        self._clock = clock
        self._waiters = Waiters()

    def begin(self) -> None:
        """A new round: an endpoint that was given up gets another chance, the learned concurrency stays."""
        self.breaker.reset()

    @asynccontextmanager
    async def passage(self, request: str) -> AsyncIterator[Ticket]:
        """Wait for a turn; inside the block the request may be sent.

        Raises:
            EndpointDownError: the breaker is exhausted.
        """
        await self._turn()
        ticket = Ticket(request, self.limiter.epoch, self.answers, self.breaker.enter())
        self.in_flight += 1
        try:
            yield ticket
        finally:
            self.in_flight -= 1
            self.breaker.leave(ticket.probe)
            self._waiters.wake()

    def succeeded(self, ticket: Ticket) -> None:
        """The request was answered."""
        self.answers += 1
        self.limiter.succeeded()
        self.breaker.succeeded()

    def alive(self) -> None:
        """The endpoint said something sensible, if no answer."""
        self.breaker.succeeded()

    def failed(self, ticket: Ticket, error: RetryableError) -> None:
        """The request failed in a way that may pass; everybody holds back while a Retry-After runs.

        A time-out during which nobody got an answer is taken as a request for fewer requests as well.
        """
        if error.retry_after is not None:
            self._hold_until = max(self._hold_until, self._clock() + error.retry_after)
        if error.limited or (error.timed_out and self.answers == ticket.answers):
            self.limiter.refused(ticket.epoch, self.in_flight)
        if error.down:
            at_work = min(self.at_work, self.limiter.limit)
            self.breaker.failed(ticket.request, ticket.probe, at_work, str(error))
        else:
            self.breaker.succeeded()

    async def _turn(self) -> None:
        while True:
            if self.breaker.exhausted:
                raise EndpointDownError(
                    f"{self._name} is down, also after {self.breaker.openings - 1} pauses: {self.breaker.reason}. "
                    "Answers received so far are kept; run again later."
                )
            wait = self.breaker.wait()
            if wait is not None:
                wait = max(wait, self._hold_until - self._clock())
                if wait <= 0:
                    if not self.breaker.closed or self.in_flight < self.limiter.limit:
                        return
                    wait = None
            await self._waiters.wait(wait)
