"""What ``purge`` says of the endpoint: served right now is only what is."""

import subprocess
import sys
import time

import pytest

from embed_pipeline.cli.keep import _models
from embed_pipeline.cli.options import Context
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.releases import create_release, deployments_folder, point_to
from embed_pipeline_tests.store.test_gc import commit


@pytest.fixture
def home(tmp_path):
    """A home with two models, the second of them released and deployed."""
    home = tmp_path / "home"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.onnx").write_text("graph")
    store = Store(home)
    for content in ("old", "new"):
        commit(store, "onnx_model", content)
    deployed = store.current("onnx_model")
    point_to(home, create_release(home, tmp_path / "model", deployed.version, "m"))
    return home


def served(home) -> dict[bool, bool]:
    """Whether a model is the deployed one -> whether it is said to be served."""
    store = Store(home)
    deployed = store.current("onnx_model")
    context = Context(home, True, None, None, None, False, (), False)
    models = {store.handle("onnx_model", path.name): True for path in (home / "artifacts" / "onnx_model").iterdir()
              if path.is_dir()}  # fmt: skip
    return {one["version"] == deployed.version: one["served"] for one in _models(context, models)}


def test_a_release_is_served_while_the_server_runs_and_not_when_it_is_stopped(home):
    assert served(home) == {True: False, False: False}
    place = ["--deployments", str(deployments_folder(home)), "--host", "127.0.0.1", "--port", "1"]
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen([*sleep, "embed_pipeline.serving", *place]) as server:
        try:
            deadline = time.monotonic() + 20  # the command line can be read a moment after the start
            while served(home) != {True: True, False: False}:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            server.kill()
    assert served(home) == {True: False, False: False}
