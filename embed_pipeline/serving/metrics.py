"""What the server counts, for Prometheus: one registry per application, so that two of them do not add up."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram's buckets."""


class Metrics:
    """Requests by status, tokens, inputs, and the seconds of successful requests.

    Args:
        inputs_waiting: tells the number of inputs in the queue.
    """

    def __init__(self, inputs_waiting: Callable[[], int]) -> None:
        registry = CollectorRegistry()
        name = "embed_pipeline"
        self._requests = Counter(f"{name}_requests", "Requests by HTTP status.", ["status"], registry=registry)
        self._tokens = Counter(f"{name}_tokens", "Tokens of the texts embedded.", registry=registry)
        self._inputs = Counter(f"{name}_inputs", "Texts embedded.", registry=registry)
        waiting = Gauge(f"{name}_inputs_waiting", "Texts taken in and not embedded yet.", registry=registry)
        waiting.set_function(inputs_waiting)
        self._seconds = Histogram(
            f"{name}_request_seconds", "Seconds of successful requests.", registry=registry, buckets=SECONDS
        )
        self._requests.labels("200")  # there from the beginning
        self._registry = registry

    def failed(self, status: int) -> None:
        """Count a request that was answered with an error."""
        self._requests.labels(str(status)).inc()

    def succeeded(self, seconds: float, inputs: int, tokens: int) -> None:
        """Count an answered request."""
        self._requests.labels("200").inc()
        self._seconds.observe(seconds)
        self._inputs.inc(inputs)
        self._tokens.inc(tokens)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The figures and their content type: Prometheus' text format, or OpenMetrics where ``accept`` names it."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is none
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type
