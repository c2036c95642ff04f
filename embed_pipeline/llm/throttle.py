"""The one way to the endpoint: every request passes here, and what became of it decides who passes next."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from embed_pipeline.errors import LLMUnavailableError
from embed_pipeline.llm.chat_api import RetryableError
from embed_pipeline.sdg.breaker import Breaker
from embed_pipeline.sdg.limiter import Limiter
from embed_pipeline.sdg.waiters import Waiters


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
