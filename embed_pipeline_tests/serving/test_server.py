import json
import os
import signal
import subprocess
import sys
import threading

import httpx
import pytest

from embed_pipeline.errors import ArtifactError, DeployError, PortInUseError
from embed_pipeline.serving.server import listen, serve
from embed_pipeline_tests.ports import free_port
from embed_pipeline_tests.serving.conftest import is_ready, point, until


def answers(url: str) -> bool:
    try:
        return is_ready(url)
    except httpx.TransportError:
        return False


def test_process_serves_a_deployment_and_drains_on_sigterm(exported, tmp_path):
    point(tmp_path, "one", exported)
    port = free_port()
    command = [sys.executable, "-m", "embed_pipeline.serving", "--deployments", str(tmp_path), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ})
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: process.poll() is not None or answers(url), 60)
        found: list[httpx.Response] = []
        body = {"input": ["word " * 250] * 40, "model": "tuned"}
        busy = threading.Thread(target=lambda: found.append(httpx.post(f"{url}/v1/embeddings", json=body, timeout=60)))
        busy.start()
        until(lambda: "inputs_waiting 40" in httpx.get(f"{url}/v1/metrics").text)
        process.send_signal(signal.SIGTERM)
        busy.join(60)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert found[0].status_code == 200 and len(found[0].json()["data"]) == 40
    assert out == b"" and b"serving release one" in err
    assert process.returncode in (0, -signal.SIGTERM)


def test_the_command_line_serves_a_folder_as_the_settings_say_and_tells_where(exported, tmp_path):
    with listen("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    (tmp_path / "pipeline.yaml").write_text("deploy: {model_name: mine, port: 1}\n")
    command = [sys.executable, "-m", "embed_pipeline.cli", "serve", "--model", str(exported), "--json"]
    process = subprocess.Popen(
        [*command, "--set", f"deploy.port={port}"], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: process.poll() is not None or answers(url), 60)
        assert httpx.get(f"{url}/v1/models").json()["data"][0]["id"] == "mine"
    finally:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert json.loads(out) == {"url": url, "model": "mine"}


def test_port_in_use_is_found_before_the_model_is_loaded(tmp_path):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port}"):
            serve(model=tmp_path / "missing", port=port)
        command = [sys.executable, "-m", "embed_pipeline.serving", "--model", str(tmp_path), "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "taken by another program" in done.stderr


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"encoder\.json"):
        serve(model=tmp_path, port=0)


def test_a_foreign_host_is_named():
    with pytest.raises(DeployError, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)
