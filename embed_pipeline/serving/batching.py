"""Micro-batches across requests: whatever waits while the model is busy runs together next."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.serving.errors import overloaded

TokenIds = Sequence[int]
BATCH_TOKENS = 8192
TURN = 32  # rows of one request in a batch before the next request has its turn
MAX_WAITING = 4096


class TokenEncoder(Protocol):
    """Token ids to vectors; called in a thread, one call at a time."""

    def embed_tokens(self, rows: Sequence[Sequence[int]]) -> Vectors: ...


@dataclass(eq=False)
class _Job:
    rows: Sequence[TokenIds]
    done: asyncio.Future[Vectors]
    taken: int = 0
    parts: list[Vectors] = field(default_factory=list)


class Batcher:
    """Runs the rows of all requests in turn, in batches of about ``batch_tokens`` tokens.

    Rows of one request stay in order; a long request shares every batch with the others. Everything but the
    model itself runs on the event loop, so nothing here needs a lock.
    """

    def __init__(self, encoder: TokenEncoder, batch_tokens: int = BATCH_TOKENS, max_waiting: int = MAX_WAITING) -> None:
        self.waiting = 0
        self._encoder = encoder
        self._batch_tokens = batch_tokens
        self._max_waiting = max_waiting
        self._jobs: deque[_Job] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._pump: asyncio.Task[None] | None = None

    @contextmanager
    def admitted(self, count: int) -> Iterator[None]:
        """Reserve room for ``count`` inputs, from reading them to their vectors.

        Raises:
            ApiError: 429, too many inputs wait already. Alone, a request of any size is admitted.
        """
        if self.waiting and self.waiting + count > self._max_waiting:
            raise overloaded()
        self.waiting += count
        try:
            yield
        finally:
            self.waiting -= count

    async def embed(self, rows: Sequence[TokenIds]) -> Vectors:
        """Vectors [rows, dimensions], in order."""
        job = _Job(rows, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        if self._pump is None:
            self._pump = asyncio.create_task(self._run())
        return await job.done

    def close(self) -> None:
        """Free the thread, once nothing runs any more."""
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._jobs:
                shares = self._next_batch()
                rows = [row for _, part in shares for row in part]
                try:
                    vectors = await loop.run_in_executor(self._thread, self._encoder.embed_tokens, rows)
                    self._hand_out(shares, vectors)
                except Exception as error:  # whatever the model raises belongs to the requests of this batch
                    self._fail([job for job, _ in shares], error)
        finally:
            self._pump = None

    def _next_batch(self) -> list[tuple[_Job, Sequence[TokenIds]]]:
        """Up to ``TURN`` rows of each waiting request until the batch is full; at least one row."""
        shares: list[tuple[_Job, Sequence[TokenIds]]] = []
        tokens = 0
        for _ in range(len(self._jobs)):
            job = self._jobs.popleft()
            if job.done.done():  # its client is gone
                continue
            part = job.rows[job.taken : job.taken + TURN]
            job.taken += len(part)
            shares.append((job, part))
            if job.taken < len(job.rows):
                self._jobs.append(job)
            tokens += sum(len(row) for row in part)
            if tokens >= self._batch_tokens:
                break
        return shares

    def _hand_out(self, shares: list[tuple[_Job, Sequence[TokenIds]]], vectors: Vectors) -> None:
        start = 0
        for job, part in shares:
            job.parts.append(vectors[start : start + len(part)])
            start += len(part)
            if sum(map(len, job.parts)) == len(job.rows) and not job.done.done():
                job.done.set_result(np.concatenate(job.parts))

    def _fail(self, jobs: list[_Job], error: Exception) -> None:
        for job in jobs:
            if job in self._jobs:
                self._jobs.remove(job)
            if not job.done.done():
                job.done.set_exception(error)
