"""Many requests in two phases, so that memory stays flat however many there are.

First a few workers fetch what the store lacks and forget it again at once; then the answers are read back from
the store one by one, in the order of the prompts.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from embed_pipeline.errors import LLMUnavailableError
from embed_pipeline.llm.client import BadAnswerError, RefusedRequestError
from embed_pipeline.llm.engines import ChatEngine
from embed_pipeline.llm.throttle import EndpointDownError
from embed_pipeline.progress import Task, task

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")
GRACE = 5.0  # seconds; what is on its way when a round has to stop was paid for
Prompts = Callable[[], Iterable[tuple[str, str]]]


@dataclass(frozen=True)
class Outcome(Generic[Answer]):
    """The answer, or the reason why there is none."""

    answer: Answer | None
    reason: str = ""


@dataclass(frozen=True)
class Round(Generic[Answer]):
    """What all requests of one round share; ``name`` is shown as progress."""

    client: ChatEngine
    model: str
    schema: type[Answer]
    name: str


@dataclass
class _Tally:
    """What a round keeps in memory: failures that are not in the store."""

    reasons: dict[str, str] = field(default_factory=dict)
    failed: LLMUnavailableError | None = None
    in_a_row: int = 0
    answers: int = 0  # of the endpoint, when the last record failed
    answered: int = 0
    stopping: bool = False


def ask_all(asking: Round[Answer], prompts: Prompts, total: int) -> Iterator[tuple[str, Outcome[Answer]]]:
    """Ask ``total`` questions, ``llm.concurrency`` at a time; all are asked when this returns.

    Args:
        prompts: gives (record name, prompt) pairs, the same each time; called twice, and consumed as workers
            become free. Record names are unique.

    Returns:
        The outcome of every record, in the order of the prompts, read from the store as it is consumed. A bad
        answer, or an endpoint that fails for this record only, sets the record aside.

    Raises:
        LLMAccessError, BudgetExceededError: as soon as one request meets it; answers that are on their way get
            :data:`GRACE` seconds to arrive and are kept.
        LLMUnavailableError: the endpoint is down, no record got an answer at all, or as many records as workers
            (at least three) failed in a row.
    """
    with task(asking.name, total) as running:
        reasons = _run(lambda: _work_off(asking, iter(prompts()), running))
    return _read(asking, prompts, reasons)


def answered(asking: Round[Answer], prompts: Prompts) -> Iterator[tuple[str, Outcome[Answer] | None]]:
    """What :func:`ask_all` would give without asking anything; None where the endpoint would be needed."""
    for record, prompt in prompts():
        yield record, _known(asking, prompt)


def _read(asking: Round[Answer], prompts: Prompts, reasons: dict[str, str]) -> Iterator[tuple[str, Outcome[Answer]]]:
    for record, prompt in prompts():
        known = _known(asking, prompt)
        yield record, known or Outcome(None, reasons.get(record, "it was not asked"))


def _known(asking: Round[Answer], prompt: str) -> Outcome[Answer] | None:
    try:
        answer = asking.client.known(asking.model, _messages(prompt), asking.schema)
    except BadAnswerError as error:
        return Outcome(None, str(error))
    return Outcome(answer) if answer is not None else None


def _messages(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


async def _work_off(asking: Round[Answer], waiting: Iterator[tuple[str, str]], running: Task) -> dict[str, str]:
    """Fetch what is missing; returns the reasons, by record, that will not be found in the store."""
    tally = _Tally()

    async def worker() -> None:
        for record, prompt in waiting:
            await _fetch(asking, record, prompt, tally)
            running.advance(note=asking.client.note())
            await asyncio.sleep(0)  # answers from the store come without waiting; let the others go on
            if tally.stopping:
                return

    def stop() -> None:
        tally.stopping = True

    async with asking.client:
        await _together(worker, asking.client.concurrency, stop)
    if tally.failed is not None and not tally.answered:
        raise tally.failed
    return tally.reasons


async def _fetch(asking: Round[Answer], record: str, prompt: str, tally: _Tally) -> None:
    try:
        await asking.client.complete(asking.model, _messages(prompt), asking.schema)
    except EndpointDownError:
        raise
    except LLMUnavailableError as error:
        tally.reasons[record], tally.failed = str(error), error
        answers = asking.client.answers
        tally.in_a_row = 1 + (tally.in_a_row if answers == tally.answers else 0)
        tally.answers = answers
        if tally.in_a_row >= max(3, asking.client.concurrency):
            raise
        return
    except RefusedRequestError as error:
        tally.reasons[record] = str(error)
    except BadAnswerError:
        pass  # in the store
    tally.answered += 1


async def _together(worker: Callable[[], Coroutine[Any, Any, None]], count: int, stop: Callable[[], None]) -> None:
    """Run ``count`` workers; the first error stops all, and answers on their way get :data:`GRACE` seconds."""
    workers = [asyncio.create_task(worker()) for _ in range(count)]
    try:
        done, others = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        if others:
            stop()
            await asyncio.wait(others, timeout=GRACE)
    finally:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    for one in done:
        one.result()


def _run(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run a coroutine to its end, also from inside a running event loop (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(context.run, lambda: asyncio.run(work())).result()
