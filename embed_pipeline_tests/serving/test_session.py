import shutil
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

from embed_pipeline.encoders.onnx_encoder import OnnxEncoder
from embed_pipeline.errors import SettingsError
from embed_pipeline.serving.session import ModelSource
from embed_pipeline_tests.serving.conftest import is_ready, metadata, point, running, until, variant

BODY = {"input": "fatigue credit", "model": "tuned"}


@pytest.fixture
def deployed(exported, tmp_path):
    """A deployments folder with one release, and the source that follows it."""
    deployments = tmp_path / "deployments"
    shutil.copytree(exported, tmp_path / "releases" / "one")
    point(deployments, "one", Path("releases/one"))
    return deployments, ModelSource(deployments=deployments, threads=1, poll_seconds=0.05)


def test_release_switch_under_load_drops_no_request(deployed, exported, tmp_path):
    deployments, source = deployed
    other = variant(exported, tmp_path / "two", passage_prompt="something else entirely: ")
    expected = {
        name: OnnxEncoder.load(folder, threads=1).encode([BODY["input"]], "passage")[0]
        for name, folder in (("one", exported), ("two", other))
    }
    answers: list[httpx.Response] = []
    stop = threading.Event()

    with running(source) as url:
        until(lambda: is_ready(url))

        def load():
            with httpx.Client(timeout=60) as client:
                while not stop.is_set():
                    answers.append(client.post(f"{url}/v1/embeddings", json=BODY))

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) > 10)
        first = source.current
        point(deployments, "two", other)
        until(lambda: metadata(url)["release_id"] == "two")
        count = len(answers)
        until(lambda: len(answers) > count + 10)
        stop.set()
        for thread in threads:
            thread.join()
        until(lambda: not source._retiring)
        assert first.users == 0
        with pytest.raises(RuntimeError, match="shutdown"):
            first.batcher._thread.submit(print)

    assert {answer.status_code for answer in answers} == {200}
    seen = set()
    for answer in answers:
        vector = np.array(answer.json()["data"][0]["embedding"], np.float32)
        near = [name for name, other in expected.items() if np.allclose(vector, other, atol=1e-5)]
        assert len(near) == 1
        seen.update(near)
    assert seen == {"one", "two"}


def test_a_broken_release_keeps_the_old_one(deployed, exported, tmp_path):
    deployments, source = deployed
    broken = variant(exported, tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"damaged")
    with running(source) as url:
        until(lambda: is_ready(url))
        point(deployments, "bad", broken)
        until(lambda: metadata(url)["last_error"])
        found = metadata(url)
        assert found["release_id"] == "one" and "release bad was refused" in found["last_error"]
        assert httpx.post(f"{url}/v1/embeddings", json=BODY).status_code == 200
        (deployments / "current.json").write_text("{")
        until(lambda: "not a readable release" in metadata(url)["last_error"])
        point(deployments, "three", tmp_path / "releases" / "one", model_name="renamed")
        until(lambda: metadata(url)["release_id"] == "three")
        assert metadata(url)["last_error"] is None
        assert httpx.post(f"{url}/v1/embeddings", json=BODY).status_code == 404
        assert httpx.post(f"{url}/v1/embeddings", json={**BODY, "model": "renamed"}).status_code == 200


def test_the_pointer_may_appear_later(exported, tmp_path):
    deployments = tmp_path / "deployments"
    with running(ModelSource(deployments=deployments, threads=1, poll_seconds=0.05)) as url:
        assert not is_ready(url)
        point(deployments, "late", exported)
        until(lambda: is_ready(url))
        assert metadata(url)["model_version"] == "v-late"


def test_a_source_has_exactly_one_origin(tmp_path):
    for arguments in ({}, {"model": tmp_path, "deployments": tmp_path}):
        with pytest.raises(SettingsError, match="either"):
            ModelSource(**arguments)
