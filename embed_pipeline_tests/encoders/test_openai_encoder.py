"""Endpoints of others: what is sent, what is accepted, and what an error says."""

import json

import httpx
import numpy as np
import pytest

from embed_pipeline.encoders.openai_encoder import ATTEMPTS, EmbeddingsApi, OpenAIEncoder
from embed_pipeline.errors import InputError

URL = "https://models.example/v1"
KEY = "sk-of-a-test"  # pragma: allowlist secret


def answer(*vectors, order=None) -> httpx.Response:
    places = order or range(len(vectors))
    rows = [{"index": place, "embedding": vector} for place, vector in zip(places, vectors, strict=True)]
    return httpx.Response(200, json={"object": "list", "model": "another-name", "data": rows})


def api(*responses, key: str = "", pause: float = 0.0):
    """An endpoint that gives these responses in turn, and the requests it got."""
    left, requests = list(responses), []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    return EmbeddingsApi(URL, key, pause=pause, transport=httpx.MockTransport(handle)), requests


def test_sends_what_every_server_understands_and_reads_answers_in_any_order():
    endpoint, requests = api(answer([0.0, 2.0], [3.0, 4.0], order=[1, 0]), key=KEY)
    assert np.allclose(endpoint.embed("m", ["a", "b"]), [[0.6, 0.8], [0.0, 1.0]])
    assert str(requests[0].url) == f"{URL}/embeddings"
    assert json.loads(requests[0].content) == {"model": "m", "input": ["a", "b"], "encoding_format": "float"}
    assert requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_no_key_is_sent_where_there_is_none():
    endpoint, requests = api(answer([1.0]))
    endpoint.embed("m", ["a"])
    assert "authorization" not in requests[0].headers


def test_texts_go_in_batches():
    endpoint, requests = api(answer([1.0, 0.0]), answer([1.0, 0.0], [0.0, 1.0]), answer([2.0, 0.0]))
    encoder = OpenAIEncoder(endpoint, "m", batch_size=2)
    assert encoder.spec.dimensions == (2,)
    assert encoder.encode(["a", "b", "c"], "query").tolist() == [[1, 0], [0, 1], [1, 0]]
    assert [json.loads(one.content)["input"] for one in requests[1:]] == [["a", "b"], ["c"]]


def test_a_busy_server_is_asked_again(monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    busy = [httpx.Response(429, headers={"retry-after": "7"}), httpx.Response(503), httpx.ReadTimeout("slow")]
    endpoint, requests = api(*busy, answer([1.0]), pause=0.5)
    endpoint.embed("m", ["a"])
    assert (len(requests), waited) == (4, [7.0, 1.0, 0.0])


def test_a_connection_that_breaks_off_is_made_again_and_one_that_cannot_be_made_is_told_at_once(monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    endpoint, requests = api(httpx.ReadError("reset"), httpx.RemoteProtocolError("gone"), answer([1.0]), pause=0.5)
    endpoint.embed("m", ["a"])
    assert (len(requests), waited) == (3, [0.5, 1.0])
    endpoint, requests = api(httpx.ConnectError("refused"))
    with pytest.raises(InputError, match="no answer"):
        endpoint.embed("m", ["a"])
    assert len(requests) == 1
    endpoint, _ = api(*[httpx.ReadError("reset")] * ATTEMPTS)
    with pytest.raises(InputError, match=r"no answer \(ReadError: reset\)"):
        endpoint.embed("m", ["a"])


@pytest.mark.parametrize("key", ["ключ", "two\nlines", "\x00"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key):
    with pytest.raises(InputError, match="teacher_key_env names holds characters that no key has") as raised:
        EmbeddingsApi(URL, key, key_setting="finetune.teacher_key_env")
    assert key not in str(raised.value)
    assert repr(key) not in repr(raised.value)


@pytest.mark.parametrize("tokens", ["1e999", "-1", "true", "null", '"7"', f"1{'0' * 30}"])
def test_tokens_that_cannot_be_are_not_counted(tokens):
    body = f'{{"data": [{{"index": 0, "embedding": [1.0]}}], "usage": {{"prompt_tokens": {tokens}}}}}'
    endpoint, _ = api(httpx.Response(200, text=body))
    endpoint.embed("m", ["a"])
    assert endpoint.counted is None


def test_a_server_that_stays_busy_is_given_up():
    endpoint, requests = api(*[httpx.Response(500, text="boom")] * ATTEMPTS)
    with pytest.raises(InputError, match=r"models\.example/v1/embeddings: answered 500: boom"):
        endpoint.embed("m", ["a"])
    assert len(requests) == ATTEMPTS


@pytest.mark.parametrize(
    "response",
    [
        answer([1.0]),  # one is missing
        answer([1.0], [2.0], [3.0]),
        answer([1.0], [2.0], order=[0, 0]),
        answer([1.0], [1.0, 2.0]),
        answer([], []),
        answer([1.0], ["x"]),
        answer([1.0], [0.0]),
        httpx.Response(200, text='{"data": [{"index": 0, "embedding": [NaN]}, {"index": 1, "embedding": [1.0]}]}'),
        httpx.Response(200, text='{"data": [{"index": 1e999, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]}'),
        httpx.Response(200, text=f'{{"data": [{{"index": 0, "embedding": [1{"0" * 400}]}}]}}'),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(200, json={"error": "none"}),
        httpx.Response(200, json=[]),
        httpx.Response(200, text="<html>"),
        httpx.Response(404, text="no such model"),
        httpx.ConnectError("refused"),
    ],
)
def test_wrong_answers_name_the_address(response):
    endpoint, _ = api(response)
    with pytest.raises(InputError, match=r"https://models\.example/v1"):
        endpoint.embed("m", ["a", "b"])


def test_an_error_never_shows_the_key():
    endpoint, _ = api(httpx.Response(400, text=f"bad key {KEY}"), key=KEY)
    with pytest.raises(InputError) as raised:
        endpoint.embed("m", ["a"])
    assert KEY not in str(raised.value) and "***" in str(raised.value)


@pytest.mark.parametrize(("key", "said"), [("", "candidates_key_env"), (KEY, "the key was refused")])
def test_a_refused_key_is_told(key, said):
    endpoint, _ = api(httpx.Response(401), key=key)
    with pytest.raises(InputError, match=said):
        endpoint.embed("m", ["a"])


def test_a_server_is_asked_for_its_model_where_it_has_one_only():
    endpoint, requests = api(httpx.Response(200, json={"data": [{"id": "tuned"}]}))
    assert endpoint.only_model() == "tuned"
    assert (requests[0].method, str(requests[0].url)) == ("GET", f"{URL}/models")
    endpoint, _ = api(httpx.Response(200, json={"data": [{"id": "a"}, {"id": "b"}]}))
    with pytest.raises(InputError, match=r"serves 2 models \(a, b\); name one behind a #"):
        endpoint.only_model()


def test_vectors_that_change_their_length_are_refused():
    endpoint, _ = api(answer([1.0, 0.0]), answer([1.0, 0.0, 0.0]))
    encoder = OpenAIEncoder(endpoint, "m")
    with pytest.raises(InputError, match="vectors have 3 numbers, before they had 2"):
        encoder.encode(["a"], "passage")
