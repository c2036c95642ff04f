"""Coroutines that wait until something has changed."""

import asyncio


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
