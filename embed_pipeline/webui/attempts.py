"""Wrong passwords, counted by name and by address, so that guessing is slow."""

import time
from collections.abc import Callable

FREE = 5
"""Wrong ones in a row before there is a pause."""
LONGEST = 300.0  # seconds
FORGOTTEN = 900.0  # seconds after which a count begins anew
MOST_KEYS = 10_000


class Attempts:
    """Each wrong one beyond the fifth doubles the pause, up to five minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, tuple[int, float]] = {}

    def pause(self, *keys: str) -> float:
        """Seconds until the next try is looked at; 0: now."""
        return max((self._pause(key) for key in keys), default=0.0)

    def failed(self, *keys: str) -> None:
        """One more was wrong."""
        now = self._clock()
        for key in keys:
            count, last = self._wrong.pop(key, (0, now))
            self._wrong[key] = (1 if now - last > FORGOTTEN else count + 1, now)
        while len(self._wrong) > MOST_KEYS:
            del self._wrong[next(iter(self._wrong))]

    def succeeded(self, *keys: str) -> None:
        """It was right: the count is forgotten."""
        for key in keys:
            self._wrong.pop(key, None)

    def _pause(self, key: str) -> float:
        count, last = self._wrong.get(key, (0, 0.0))
        if count < FREE:
            return 0.0
        return float(max(0.0, last + min(2.0 ** (count - FREE), LONGEST) - self._clock()))
