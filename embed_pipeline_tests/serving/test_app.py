import base64
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from embed_pipeline.serving.session import ModelSource
from embed_pipeline_tests.serving.conftest import TEXTS, running


@pytest.fixture
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        yield client


def vectors_of(answer) -> np.ndarray:
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return np.array([item.embedding for item in answer.data], np.float32)


def test_official_client_gets_the_encoder_s_vectors(client, encoder):
    answer = client.embeddings.create(input=TEXTS, model="tuned")
    assert np.allclose(vectors_of(answer), encoder.encode(TEXTS, "passage"), atol=1e-5)
    assert answer.object == "list" and answer.model == "tuned"
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == encoder.encode_with_usage(TEXTS, "passage")[1]


def test_base64_equals_float(client, url):
    numbers = client.embeddings.create(input=TEXTS, model="tuned", encoding_format="float")
    raw = httpx.post(f"{url}/v1/embeddings", json={"input": TEXTS, "model": "tuned", "encoding_format": "base64"})
    packed = [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in raw.json()["data"]]
    assert np.array_equal(vectors_of(numbers), np.stack(packed))


def test_role_by_input_type_or_by_suffix(client, encoder):
    expected = encoder.encode(TEXTS[:1], "query")
    by_field = client.embeddings.create(input=TEXTS[0], model="tuned", extra_body={"input_type": "query"})
    by_suffix = client.embeddings.create(input=TEXTS[0], model="tuned-query", user="somebody")
    passage = client.embeddings.create(input=TEXTS[0], model="tuned-passage")
    assert np.allclose(vectors_of(by_field), expected, atol=1e-5)
    assert np.allclose(vectors_of(by_suffix), expected, atol=1e-5)
    assert not np.allclose(vectors_of(passage), expected, atol=1e-2)


def test_token_arrays_equal_their_text(client, encoder):
    ids = [list(row) for row in encoder._plain_ids(TEXTS)]
    expected = vectors_of(client.embeddings.create(input=TEXTS, model="tuned"))
    assert np.allclose(vectors_of(client.embeddings.create(input=ids, model="tuned")), expected, atol=1e-5)
    single = client.embeddings.create(input=ids[0], model="tuned")
    assert np.allclose(vectors_of(single), expected[:1], atol=1e-5)


def test_offered_dimensions_are_normalised_prefixes(client):
    full = vectors_of(client.embeddings.create(input=TEXTS, model="tuned"))
    small = vectors_of(client.embeddings.create(input=TEXTS, model="tuned", dimensions=128))
    expected = full[:, :128] / np.linalg.norm(full[:, :128], axis=1, keepdims=True)
    assert np.allclose(small, expected, atol=1e-6)
    assert vectors_of(client.embeddings.create(input=TEXTS, model="tuned", dimensions=384)).shape[1] == 384


def test_truncate(client):
    long = "word " * 300
    cut = client.embeddings.create(input=long, model="tuned")
    assert cut.usage.prompt_tokens == 256
    start = client.embeddings.create(input="first " + long + "last", model="tuned", extra_body={"truncate": "START"})
    assert start.usage.prompt_tokens == 256
    with pytest.raises(openai.BadRequestError, match="304 tokens") as caught:
        client.embeddings.create(input=["fine", long], model="tuned", extra_body={"truncate": "NONE"})
    assert caught.value.param == "input" and caught.value.code == "context_length_exceeded"


GOOD: dict[str, Any] = {"input": "a", "model": "tuned"}
BAD = [
    (b"{", 400, None, "invalid_json"),
    (b"\xff", 400, None, "invalid_json"),
    (b"[" * 100_000, 400, None, "invalid_json"),
    (b"[1]", 400, None, "invalid_json"),
    (b'{"input": "\\ud800", "model": "tuned"}', 400, "input", None),
    ({"model": "tuned"}, 400, "input", "missing_required_parameter"),
    ({"input": "a"}, 400, "model", "missing_required_parameter"),
    ({**GOOD, "input": ""}, 400, "input", None),
    ({**GOOD, "input": []}, 400, "input", None),
    ({**GOOD, "input": ["a", ""]}, 400, "input", None),
    ({**GOOD, "input": ["a", 1]}, 400, "input", None),
    ({**GOOD, "input": [["a"]]}, 400, "input", None),
    ({**GOOD, "input": [[]]}, 400, "input", None),
    ({**GOOD, "input": [True]}, 400, "input", None),
    ({**GOOD, "input": {"a": 1}}, 400, "input", None),
    ({**GOOD, "input": None}, 400, "input", None),
    ({**GOOD, "input": ["a"] * 2049}, 400, "input", None),
    ({**GOOD, "input": [[30522]]}, 400, "input", None),
    ({**GOOD, "input": [-1]}, 400, "input", None),
    ({**GOOD, "input": [10**30]}, 400, "input", None),
    ({**GOOD, "model": "other"}, 404, "model", "model_not_found"),
    ({**GOOD, "model": "tuned-document"}, 404, "model", "model_not_found"),
    ({**GOOD, "model": 1}, 400, "model", "invalid_value"),
    ({**GOOD, "encoding_format": "int8"}, 400, "encoding_format", "invalid_value"),
    ({**GOOD, "dimensions": 100}, 400, "dimensions", "unsupported_dimensions"),
    ({**GOOD, "dimensions": 0}, 400, "dimensions", "invalid_value"),
    ({**GOOD, "dimensions": "128"}, 400, "dimensions", "invalid_value"),
    ({**GOOD, "input_type": "document"}, 400, "input_type", "invalid_value"),
    ({**GOOD, "model": "tuned-query", "input_type": "passage"}, 400, "input_type", None),
    ({**GOOD, "truncate": "end"}, 400, "truncate", "invalid_value"),
    ({**GOOD, "inputtype": "query"}, 400, "inputtype", "unknown_parameter"),
    (b" " * 200_001, 413, None, "request_too_large"),
]


@pytest.mark.parametrize(("body", "status", "param", "code"), BAD)
def test_every_error_has_the_openai_shape(url, body, status, param, code):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = httpx.post(f"{url}/v1/embeddings", content=content)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error" and error["message"]
    assert (error["param"], error["code"]) == (param, code)


def test_body_too_large_without_content_length(url):
    answer = httpx.post(f"{url}/v1/embeddings", content=(b" " * 50_000 for _ in range(6)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/embeddings", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/models/", 404),
    ],
)
def test_unknown_paths_and_methods(url, method, path, status):
    answer = httpx.request(method, url + path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_models_health_and_metadata(client, url, encoder):
    assert [model.id for model in client.models.list()] == ["tuned"]
    assert client.models.retrieve("tuned").owned_by == "embed-pipeline"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")
    assert httpx.get(f"{url}/v1/health/live").json()["live"] is True
    assert httpx.get(f"{url}/v1/health/ready").json() == {
        "object": "health.response",
        "message": "ready",
        "ready": True,
    }
    found = httpx.get(f"{url}/v1/metadata").json()
    assert found["model_version"] == encoder.spec.version() and found["dimensions"] == [384, 128]
    assert found["encoder"]["query_prompt"] == "query: " and "model" not in found["encoder"]
    assert found["last_error"] is None


def test_metrics_count_requests_and_tokens(url):
    def read() -> dict[str, float]:
        answer = httpx.get(f"{url}/v1/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = [line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    before = read()
    httpx.post(f"{url}/v1/embeddings", json=GOOD)
    httpx.post(f"{url}/v1/embeddings", json={})
    after = read()
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    assert grown['embed_pipeline_requests_total{status="200"}'] == 1
    assert grown['embed_pipeline_requests_total{status="400"}'] == 1
    assert grown["embed_pipeline_tokens_total"] == len(["[CLS]", "passage", ":", "a", "[SEP]"])
    assert grown['embed_pipeline_request_seconds_bucket{le="+Inf"}'] == 1
    assert grown["embed_pipeline_request_seconds_count"] == 1
    assert after["embed_pipeline_inputs_waiting"] == 0


def test_concurrent_requests_are_never_mixed(url, encoder):
    requests = [
        [f"text {person} {place} " * (1 + place % 5) for place in range(1 + person % 4)] for person in range(24)
    ]

    def post(texts):
        answer = httpx.post(f"{url}/v1/embeddings", json={"input": texts, "model": "tuned"}, timeout=60)
        return np.array([item["embedding"] for item in answer.json()["data"]], np.float32)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(post, requests))
    for texts, found in zip(requests, answers, strict=True):
        assert np.allclose(found, encoder.encode(texts, "passage"), atol=1e-5)


def test_not_ready_while_nothing_is_deployed(tmp_path):
    with running(ModelSource(deployments=tmp_path)) as url:
        assert httpx.get(f"{url}/v1/health/live").status_code == 200
        ready = httpx.get(f"{url}/v1/health/ready")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        answer = httpx.post(f"{url}/v1/embeddings", json=GOOD)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_not_ready")
        assert answer.headers["retry-after"] == "1"
        assert httpx.get(f"{url}/v1/models").json()["data"] == []
        assert httpx.get(f"{url}/v1/metadata").json()["release_id"] is None


def test_a_full_queue_answers_429(exported):
    source = ModelSource(model=exported, model_name="tuned")
    source.load_fixed()
    with running(source) as url, source.current.batcher.admitted(4095):
        answer = httpx.post(f"{url}/v1/embeddings", json={**GOOD, "input": ["a", "b"]})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert answer.json()["error"]["type"] == "rate_limit_error"
        assert httpx.post(f"{url}/v1/embeddings", json=GOOD).status_code == 200


def test_a_failing_model_answers_500(exported, monkeypatch):
    source = ModelSource(model=exported, model_name="tuned")
    source.load_fixed()

    def fail(rows):
        raise RuntimeError("broken")

    monkeypatch.setattr(source.current.batcher._encoder, "embed_tokens", fail)
    with running(source) as url:
        for _ in range(2):
            answer = httpx.post(f"{url}/v1/embeddings", json=GOOD)
            assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")
            assert "broken" not in answer.text


def test_the_server_needs_neither_torch_nor_dagster():
    code = (
        "import sys, embed_pipeline.serving.app, embed_pipeline.serving.server, embed_pipeline.encoders.http_encoder\n"
        "heavy = {'torch', 'dagster', 'polars', 'transformers', 'sentence_transformers', 'onnx', 'pandas'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
