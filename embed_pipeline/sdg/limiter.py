"""How many requests may be in flight: as many as the endpoint bears (AIMD, as in TCP)."""

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
