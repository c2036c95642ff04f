"""Many requests: a queue worked off by a few workers, so that memory stays flat."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from embed_pipeline.errors import LLMUnavailableError
from embed_pipeline.progress import Task, task
from embed_pipeline.sdg.client import BadAnswerError, ChatClient

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Answer]):
    """The answer, or the reason why there is none."""

    answer: Answer | None
    reason: str = ""


@dataclass(frozen=True)
class Round(Generic[Answer]):
    """What all requests of one round share; ``name`` is shown as progress."""

    client: ChatClient
    model: str
    schema: type[Answer]
    name: str


def ask_all(asking: Round[Answer], prompts: Iterable[tuple[str, str]], total: int) -> dict[str, Outcome[Answer]]:
    """Ask ``total`` questions, ``llm.concurrency`` at a time.

    Args:
        prompts: (record name, prompt), consumed as workers become free.

    Returns:
        The outcome of every record. A bad answer, or an endpoint that fails for this record only, sets the
        record aside.

    Raises:
        LLMAccessError: as soon as one request meets it.
        LLMUnavailableError: no answer arrived at all, or as many records as workers (at least three) failed
            in a row.
    """
    with task(asking.name, total) as running:
        return _run(lambda: _work_off(asking, iter(prompts), running))


async def _work_off(
    asking: Round[Answer], waiting: Iterator[tuple[str, str]], running: Task
) -> dict[str, Outcome[Answer]]:
    outcomes: dict[str, Outcome[Answer]] = {}
    failures: list[LLMUnavailableError] = []  # since the last success
    limit = max(3, asking.client.settings.concurrency)
    before = asking.client.usage()["requests"]

    async def worker() -> None:
        for record, prompt in waiting:
            try:
                outcomes[record] = await _outcome(asking, prompt)
                failures.clear()
            except LLMUnavailableError as error:
                outcomes[record] = Outcome(None, str(error))
                failures.append(error)
                if len(failures) >= limit:
                    raise
            running.advance()

    async with asking.client:
        await _together(worker, asking.client.settings.concurrency)
    if failures and asking.client.usage()["requests"] == before:
        raise failures[0]
    return outcomes


async def _outcome(asking: Round[Answer], prompt: str) -> Outcome[Answer]:
    messages = [{"role": "user", "content": prompt}]
    try:
        return Outcome(await asking.client.complete(asking.model, messages, asking.schema))
    except BadAnswerError as error:
        return Outcome(None, str(error))


async def _together(worker: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    """Run ``count`` workers; the first error stops all of them."""
    workers = [asyncio.create_task(worker()) for _ in range(count)]
    try:
        await asyncio.gather(*workers)
    finally:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _run(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run a coroutine to its end, also from inside a running event loop (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(context.run, lambda: asyncio.run(work())).result()
