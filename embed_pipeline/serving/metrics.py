"""Counters of the server in the Prometheus text format (version 0.0.4)."""

from bisect import bisect_left
from collections import Counter

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Requests by status, tokens, inputs, and the seconds of successful requests."""

    def __init__(self) -> None:
        self._requests: Counter[int] = Counter()
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._tokens = 0
        self._inputs = 0

    def failed(self, status: int) -> None:
        """Count a request that was answered with an error."""
        self._requests[status] += 1

    def succeeded(self, seconds: float, inputs: int, tokens: int) -> None:
        """Count an answered request."""
        self._requests[200] += 1
        self._buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds
        self._inputs += inputs
        self._tokens += tokens

    def text(self, waiting: int) -> str:
        """The exposition; ``waiting`` is the number of inputs in the queue."""
        name = "embed_pipeline"
        lines = [f"# TYPE {name}_requests_total counter"]
        lines += [f'{name}_requests_total{{status="{status}"}} {self._requests[status]}' for status in self._statuses()]
        for kind, noun, value in (
            ("counter", "tokens_total", self._tokens),
            ("counter", "inputs_total", self._inputs),
            ("gauge", "inputs_waiting", waiting),
        ):
            lines += [f"# TYPE {name}_{noun} {kind}", f"{name}_{noun} {value}"]
        lines.append(f"# TYPE {name}_request_seconds histogram")
        count = 0
        for bound, found in zip([*map(str, BUCKETS), "+Inf"], self._buckets, strict=True):
            count += found
            lines.append(f'{name}_request_seconds_bucket{{le="{bound}"}} {count}')
        lines += [f"{name}_request_seconds_sum {self._seconds:.6f}", f"{name}_request_seconds_count {count}"]
        return "\n".join(lines) + "\n"

    def _statuses(self) -> list[int]:
        return sorted({200, *self._requests})
