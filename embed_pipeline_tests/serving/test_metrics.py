"""The server's figures, read back by Prometheus' own parsers."""

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from embed_pipeline.serving.metrics import SECONDS, Metrics

OPEN_METRICS = "application/openmetrics-text; version=1.0.0, text/plain;q=0.5"


def samples(metrics: Metrics, accept: str = "") -> dict[tuple[str, str], float]:
    """(name, label value) -> figure, without the times at which counters were made."""
    text, content_type = metrics.exposition(accept)
    read = read_openmetrics if content_type.startswith("application/openmetrics") else read_text
    found = [sample for family in read(text.decode("utf-8")) for sample in family.samples]
    return {
        (one.name.removeprefix("embed_pipeline_"), "".join(one.labels.values())): one.value
        for one in found
        if not one.name.endswith("_created")
    }


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain; version=0.0.4", OPEN_METRICS])
def test_what_is_counted(accept):
    metrics = Metrics(lambda: 7)
    metrics.succeeded(0.02, inputs=3, tokens=40)
    metrics.succeeded(99.0, inputs=1, tokens=2)
    metrics.failed(429)
    seconds = {("request_seconds_bucket", str(bound)): float(bound >= 0.025) for bound in SECONDS}
    assert samples(metrics, accept) == {
        ("requests_total", "200"): 2,
        ("requests_total", "429"): 1,
        ("tokens_total", ""): 42,
        ("inputs_total", ""): 4,
        ("inputs_waiting", ""): 7,
        **seconds,
        ("request_seconds_bucket", "+Inf"): 2,
        ("request_seconds_count", ""): 2,
        ("request_seconds_sum", ""): 99.02,
    }


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html", "text/plain; version=0.0.4; charset=utf-8"),
        (OPEN_METRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"),
    ],
)
def test_the_content_type_says_the_version(accept, content_type):
    assert Metrics(lambda: 0).exposition(accept)[1] == content_type


def test_two_applications_count_apart_and_not_in_the_registry_of_the_process():
    first, second = Metrics(lambda: 0), Metrics(lambda: 0)
    first.succeeded(0.1, 1, 1)
    assert samples(first)["requests_total", "200"] == 1
    assert samples(second)["requests_total", "200"] == 0
    assert not [one.name for one in REGISTRY.collect() if one.name.startswith("embed_pipeline")]


@pytest.mark.parametrize("version", ["bogus", "1", "", "9.9.9"])
def test_an_odd_version_of_openmetrics_is_answered(version):
    metrics = Metrics(lambda: 0)
    content, kind = metrics.exposition(f"application/openmetrics-text; version={version}")
    assert b"embed_pipeline_requests" in content
    assert "text" in kind
