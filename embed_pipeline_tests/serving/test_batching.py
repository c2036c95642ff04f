import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.serving.batching import Batcher
from embed_pipeline.serving.errors import ApiError


class Echo:
    """The vector of a row is its first id."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed_tokens(self, rows):
        self.batches.append(len(rows))
        return np.array([[row[0]] for row in rows], np.float32)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=12), st.integers(1, 200))
def test_every_request_gets_its_own_rows_in_order(sizes, batch_tokens):
    async def run():
        batcher = Batcher(Echo(), batch_tokens=batch_tokens)
        requests = [[[1000 * person + place] for place in range(size)] for person, size in enumerate(sizes)]
        answers = await asyncio.gather(*(batcher.embed(rows) for rows in requests))
        batcher.close()
        return requests, answers

    for rows, vectors in zip(*asyncio.run(run()), strict=True):
        assert vectors[:, 0].tolist() == [row[0] for row in rows]


def test_waiting_requests_share_a_batch_and_a_long_one_does_not_block_them():
    async def run():
        echo = Echo()
        batcher = Batcher(echo, batch_tokens=100)
        finished: list[str] = []

        async def embed(name, rows):
            await batcher.embed(rows)
            finished.append(name)

        await asyncio.gather(embed("long", [[1]] * 500), embed("short", [[2]]), embed("other", [[3]]))
        batcher.close()
        return echo.batches, finished

    batches, finished = asyncio.run(run())
    assert batches[0] == 34
    assert finished[-1] == "long"


def test_an_abandoned_request_does_not_hold_up_the_others():
    async def run():
        batcher = Batcher(Echo(), batch_tokens=10)
        gone = asyncio.create_task(batcher.embed([[1]] * 1000))
        await asyncio.sleep(0)
        gone.cancel()
        vectors = await batcher.embed([[7]])
        batcher.close()
        return vectors

    assert asyncio.run(run()).tolist() == [[7.0]]


def test_an_error_reaches_only_its_batch():
    class Once(Echo):
        def embed_tokens(self, rows):
            if any(row[0] == 13 for row in rows):
                raise ValueError("unlucky")
            return super().embed_tokens(rows)

    async def run():
        batcher = Batcher(Once(), batch_tokens=1)
        answers = await asyncio.gather(*(batcher.embed([[n]]) for n in (1, 13, 2)), return_exceptions=True)
        batcher.close()
        return answers

    first, second, third = asyncio.run(run())
    assert first.tolist() == [[1.0]] and third.tolist() == [[2.0]]
    assert isinstance(second, ValueError)


def test_admission_is_bounded_but_never_refuses_a_lone_request():
    batcher = Batcher(Echo(), max_waiting=10)
    with batcher.admitted(50):
        with pytest.raises(ApiError) as caught, batcher.admitted(1):
            pass
        assert caught.value.status == 429
    with batcher.admitted(4), batcher.admitted(6):
        assert batcher.waiting == 10
    assert batcher.waiting == 0
