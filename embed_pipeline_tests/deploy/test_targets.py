"""The targets against the setting, and one more of them through the stages and the command line."""

from dataclasses import replace
from typing import get_args

import pytest
from typer.testing import CliRunner

from embed_pipeline.cli.app import app
from embed_pipeline.deploy import targets
from embed_pipeline.deploy.local import LocalTarget
from embed_pipeline.deploy.protocol import Endpoint
from embed_pipeline.deploy.targets import TARGETS, open_target
from embed_pipeline.errors import DeployError
from embed_pipeline.files import write_json
from embed_pipeline.settings import DeploySettings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.stages.deploy import endpoint
from embed_pipeline.stages.run import run_stage
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.releases import current_release


def test_the_setting_offers_every_target_and_no_other():
    assert set(get_args(DeploySettings.model_fields["target"].annotation)) == set(TARGETS)


def test_a_target_is_opened_by_its_name_and_an_unknown_one_refused(tmp_path):
    assert isinstance(open_target("local", tmp_path, DeploySettings()), LocalTarget)
    with pytest.raises(DeployError, match=r"deploy\.target moon is unknown here; there are local"):
        open_target("moon", tmp_path, DeploySettings())


class Shelf:
    """A target that remembers what it was asked to do."""

    def __init__(self, home, settings) -> None:
        self.home, self.settings, self.record = home, settings, home / "shelf.json"

    def deploy(self, release) -> Endpoint:
        write_json(self.record, release.release_id)
        return Endpoint(
            url="http://shelf",
            model=release.model_name,
            release_id=release.release_id,
            model_version=release.model_version,
            target="shelf",
        )

    def is_serving(self, endpoint) -> bool:
        return self.record.is_file() and endpoint["release_id"] in self.record.read_text()

    def roll_back(self, release_id) -> str | None:
        return None

    def stop(self) -> bool:
        found = self.record.is_file()
        self.record.unlink(missing_ok=True)
        return found


def test_one_more_target_is_deployed_to_looked_at_and_stopped(tmp_path, monkeypatch):
    monkeypatch.setitem(targets.TARGETS, "shelf", Shelf)
    loaded = load_settings(None, None, (), {})
    settings = loaded.model_copy(update={"deploy": loaded.deploy.model_copy(update={"target": "shelf"})})
    store = Store(tmp_path / "home")

    @stage(group="export", version="1", storage="model")
    def onnx_model(run: StageRun) -> None:
        """A model."""
        write_json(run.folder / "model.json", 1)

    model = run_stage(onnx_model, settings, store, {}).artifact
    inputs = {"onnx_model": model, "onnx_int8_model": replace(model, asset="onnx_int8_model")}
    first = run_stage(endpoint, settings, store, inputs)
    assert (first.outcome, first.artifact.json("endpoint")["target"]) == ("computed", "shelf")
    assert run_stage(endpoint, settings, store, inputs).outcome == "reused"
    assert current_release(store.home) is None  # the local target's pointer

    monkeypatch.setattr("embed_pipeline.settings.sources.load_settings", lambda *_: settings)
    stopped = CliRunner().invoke(app, ["stop", "--home", str(store.home)])
    assert (stopped.exit_code, stopped.output) == (0, "stopped\n")
    assert run_stage(endpoint, settings, store, inputs).outcome == "computed"  # brought back
