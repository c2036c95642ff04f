import base64
import json

import httpx
import numpy as np
import pytest

from embed_pipeline.encoders.http_encoder import HttpEncoder
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import DeployError
from embed_pipeline_tests.serving.conftest import TEXTS

SPEC = EncoderSpec(model="", content_sha256="", max_query_length=8, max_passage_length=8, dimensions=(2,))


def test_equals_the_local_encoder(url, encoder):
    for address in (url, f"{url}/v1", f"{url}/v1/"):
        remote = HttpEncoder(address, "tuned", encoder.spec, batch_size=3)
        for role in ("query", "passage"):
            assert np.allclose(remote.encode(TEXTS, role), encoder.encode(TEXTS, role), atol=1e-5)
        assert remote.encode([], "query").shape == (0, 384)
        remote.close()


def test_errors_of_the_server_are_quoted(url, encoder):
    remote = HttpEncoder(url, "other", encoder.spec)
    with pytest.raises(DeployError, match=r"404.*does not exist"):
        remote.encode(TEXTS, "query")
    remote.close()


def packed(*numbers: float) -> str:
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


def answer(items, model="m"):
    data = [{"index": place, "embedding": value} for place, value in items]
    return httpx.Response(200, json={"model": model, "data": data})


def encode(*responses: httpx.Response, count: int = 1):
    left = list(responses)
    requests: list[dict] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(json.loads(request.content))
        return left.pop(0)

    encoder = HttpEncoder("http://test", "m", SPEC, transport=httpx.MockTransport(handle))
    return encoder.encode(["a"] * count, "query"), requests


def test_waits_as_long_as_a_busy_server_asks():
    busy = [httpx.Response(429, headers={"retry-after": "0.01"}), httpx.Response(503, headers={"retry-after": "0"})]
    vectors, requests = encode(*busy, answer([(0, packed(3, 4))]))
    assert vectors.tolist() == [[3.0, 4.0]]
    assert requests == [{"input": ["a"], "model": "m", "input_type": "query", "encoding_format": "base64"}] * 3


def test_gives_up_on_a_server_that_stays_busy():
    busy = [httpx.Response(429, headers={"retry-after": "0"}) for _ in range(8)]
    with pytest.raises(DeployError, match="429"):
        encode(*busy)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (answer([(0, packed(1))]), "1 numbers instead of 2"),
        (answer([(0, packed(1, float("nan")))]), "NaN"),
        (answer([(1, packed(1, 2))]), "indices"),
        (answer([]), "indices"),
        (answer([(0, packed(1, 2)), (1, packed(1, 2))]), "indices"),
        (answer([(0, packed(1, 2))], model="other"), "answered by other"),
        (answer([(0, "?")]), "not a list of embeddings"),
        (httpx.Response(200, json=[1]), "not a list of embeddings"),
        (httpx.Response(200, text="<html>"), "not JSON"),
        (httpx.Response(500, text="oops"), "500: oops"),
    ],
)
def test_wrong_answers_are_refused(response, message):
    with pytest.raises(DeployError, match=message):
        encode(response)


def test_an_unreachable_endpoint_is_named():
    with pytest.raises(DeployError, match=r"127\.0\.0\.1:9/v1/embeddings: no answer"):
        HttpEncoder("http://127.0.0.1:9", "m", SPEC).encode(["a"], "query")
