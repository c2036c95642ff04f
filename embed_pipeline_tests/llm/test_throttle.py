"""Concurrency that follows the endpoint, and the breaker; both without a network."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from embed_pipeline.llm.chat_api import RetryableError
from embed_pipeline.llm.throttle import (
    LEAST,
    LONGEST_COOL_DOWN,
    MOST_OPENINGS,
    Breaker,
    EndpointDownError,
    Gate,
    Limiter,
)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@given(st.integers(1, 200), st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(1, 300)), max_size=200))
def test_the_limit_stays_between_one_and_most(most, events):
    limiter = Limiter(most)
    assert limiter.limit == most
    for succeeded, age, in_flight in events:
        before, epoch = limiter.limit, limiter.epoch
        if succeeded:
            limiter.succeeded()
            assert before <= limiter.limit <= before + 1
        elif limiter.refused(epoch - age, in_flight):
            assert age == 0
            assert limiter.limit <= before
            assert limiter.limit < before or before == 1
        else:
            assert age > 0
            assert limiter.limit == before
        assert 1 <= limiter.limit <= most


def test_a_burst_of_refusals_counts_once_per_round_trip():
    limiter = Limiter(64)
    sent = limiter.epoch
    assert [limiter.refused(sent, 64) for _ in range(60)] == [True, *[False] * 59]
    assert limiter.limit == 38


def test_a_window_of_successes_adds_one():
    limiter = Limiter(64)
    limiter.refused(0, 20)
    assert limiter.limit == 12
    for _ in range(13):
        limiter.succeeded()
    assert limiter.limit == 13


class BreakerMachine(RuleBasedStateMachine):
    """Whatever happens, an open breaker lets at most one probe out and is exhausted after bounded openings."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(1.0, self.clock)
        self.out = []
        self.number = 0

    @precondition(lambda self: self.breaker.wait() == 0 and not self.breaker.exhausted)
    @rule()
    def enter(self):
        self.number += 1
        self.out.append((str(self.number), self.breaker.enter()))

    @precondition(lambda self: self.out)
    @rule(index=st.integers(0, 100), success=st.booleans())
    def end(self, index, success):
        request, probe = self.out.pop(index % len(self.out))
        if success:
            self.breaker.succeeded()
            assert self.breaker.closed
        else:
            self.breaker.failed(request, probe, len(self.out) + 1, "broken")
        self.breaker.leave(probe)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds):
        self.clock.now += seconds

    @invariant()
    def bounded(self):
        assert sum(probe for _, probe in self.out) <= 1 or self.breaker.closed
        assert self.breaker.openings <= MOST_OPENINGS + 1
        wait = self.breaker.wait()
        assert wait is None or 0 <= wait <= LONGEST_COOL_DOWN


TestBreaker = BreakerMachine.TestCase


def test_the_breaker_opens_after_different_requests_failed_in_a_row():
    breaker = Breaker(2.0, Clock())
    for number in range(LEAST - 1):
        breaker.failed(str(number), False, 1, "broken")
    for _ in range(20):
        breaker.failed("0", False, 1, "broken")  # the same ones again do not count
    assert breaker.closed
    breaker.failed("another", False, 1, "broken")
    assert not breaker.closed
    assert breaker.wait() == 2.0


def test_a_success_in_between_keeps_it_closed():
    breaker = Breaker(2.0, Clock())
    for number in range(100):
        breaker.failed(str(number), False, 1, "broken")
        if number % LEAST == LEAST - 2:
            breaker.succeeded()
    assert breaker.closed


def test_cool_downs_double_up_to_a_minute_and_end():
    clock = Clock()
    breaker, waits = Breaker(10.0, clock), []
    for number in range(LEAST):
        breaker.failed(str(number), False, LEAST, "broken")
    while not breaker.exhausted:
        waits.append(breaker.wait())
        clock.now += waits[-1]
        probe = breaker.enter()
        assert probe
        assert breaker.wait() is None
        breaker.failed("probe", probe, LEAST, "broken")
        breaker.leave(probe)
    assert waits == [10, 20, 40, 60, 60]


def test_everybody_holds_back_while_a_retry_after_runs():
    async def main():
        gate, loop = Gate("x", 4, 1.0), asyncio.get_running_loop()
        async with gate.passage("first") as ticket:
            gate.failed(ticket, RetryableError("429", limited=True, retry_after=0.2))
        began = loop.time()

        async def other():
            async with gate.passage("other"):
                return loop.time() - began

        return await asyncio.gather(other(), other())

    assert all(0.19 < waited < 1.5 for waited in asyncio.run(main()))


def test_in_flight_never_exceeds_the_limit_and_everybody_gets_a_turn():
    most_seen, done = [], []

    async def main():
        gate = Gate("x", 8, 1.0)

        async def one(number):
            async with gate.passage(str(number)) as ticket:
                most_seen.append(gate.in_flight)
                assert gate.in_flight <= gate.limiter.limit
                await asyncio.sleep(0.001)
                if number == 3:
                    gate.failed(ticket, RetryableError("429", limited=True))
                else:
                    gate.succeeded(ticket)
                done.append(number)

        await asyncio.wait_for(asyncio.gather(*map(one, range(50))), 10)
        assert gate.in_flight == 0
        return gate.limiter.limit

    assert 4 <= asyncio.run(main()) <= 8
    assert max(most_seen) == 8
    assert sorted(done) == list(range(50))


def test_an_exhausted_breaker_turns_everybody_away_until_the_next_round():
    async def main():
        gate = Gate("http://x", 8, 0.001)

        async def one(number):
            async with gate.passage(str(number)) as ticket:
                await asyncio.sleep(0)
                gate.failed(ticket, RetryableError("500: oops"))

        async def stubborn(number):
            while True:
                await one(number)

        gate.at_work = 5
        with pytest.raises(EndpointDownError, match=r"http://x is down, also after 5 pauses: 500: oops\. .*kept"):
            await asyncio.wait_for(asyncio.gather(*map(stubborn, range(5))), 10)
        with pytest.raises(EndpointDownError):
            await one(9)
        gate.begin()
        await one(9)

    asyncio.run(main())


def test_a_cancelled_request_gives_its_place_back():
    async def main():
        gate = Gate("x", 1, 1.0)

        async def hold():
            async with gate.passage("held"):
                await asyncio.sleep(60)

        held = asyncio.create_task(hold())
        await asyncio.sleep(0)
        waiting = asyncio.create_task(hold())
        await asyncio.sleep(0)
        waiting.cancel()
        held.cancel()
        await asyncio.gather(held, waiting, return_exceptions=True)
        async with asyncio.timeout(2), gate.passage("next"):
            return gate.in_flight

    assert asyncio.run(main()) == 1
