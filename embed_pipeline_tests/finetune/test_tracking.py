"""Experiment trackers: TensorBoard for real; of the others what they are told, and what is refused."""

import importlib.util
import os
from pathlib import Path

import pytest

from embed_pipeline.errors import SettingsError, TrainingError
from embed_pipeline.finetune.tracking import check_trackers, defaults, tracking
from embed_pipeline.finetune.train import TrainingReport, finetune
from embed_pipeline.finetune.trainer import training_arguments
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import retrieval_set, rows, tiny_model

TINY = {"epochs": 2, "batch_size": 4, "hard_negatives": 0, "learning_rate": 1e-3}
VARIABLES = (
    "TENSORBOARD_LOGGING_DIR",
    "MLFLOW_TRACKING_URI",
    "WANDB_MODE",
    "WANDB_API_KEY",
    "WANDB_DIR",
    "TRACKIO_DIR",
)


@pytest.fixture(autouse=True)
def nobody_set_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def trained(folder: Path, *trackers: str, tracked: Path | None = None) -> TrainingReport:
    settings = FinetuneSettings.model_validate(TINY | {"report_to": trackers})
    spec = tiny_model(folder / "model")
    return finetune(rows(8), retrieval_set(8), spec, settings, folder / "out", folder / "work", "cpu", tracked)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_shows_the_course_of_the_training(tmp_path: Path) -> None:
    report = trained(tmp_path, "tensorboard", tracked=tmp_path / "home" / "tracking")
    found = scalars(tmp_path / "home" / "tracking" / "tensorboard" / "work")
    for tag, curve in {
        "train/loss": "loss",
        "train/learning_rate": "learning_rate",
        "train/grad_norm": "grad_norm",
    }.items():
        assert [step for step, _ in found[tag]] == [step for step, _ in report.curve(curve)]
        assert [value for _, value in found[tag]] == pytest.approx(
            [value for _, value in report.curve(curve)], rel=1e-4
        )
    assert [step for step, _ in found["eval/ndcg_at_10"]] == [0, 2, 4]
    measured = [value for _, value in report.validations]
    assert [value for _, value in found["eval/ndcg_at_10"]] == pytest.approx(measured, abs=1e-6)
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ


def test_a_tracker_changes_nothing(tmp_path: Path) -> None:
    plain, followed = trained(tmp_path / "plain"), trained(tmp_path / "followed", "tensorboard")
    assert plain == followed
    one, other = (tmp_path / name / "out" for name in ("plain", "followed"))
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert (one / "training_log.json").read_bytes() == (other / "training_log.json").read_bytes()
    assert not (tmp_path / "plain" / "work" / "tracking").exists()
    assert (tmp_path / "followed" / "work" / "tracking" / "tensorboard" / "work").is_dir()


def test_its_own_variable_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "mine"))
    trained(tmp_path, "tensorboard")
    assert scalars(tmp_path / "mine")["train/loss"]
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == str(tmp_path / "mine")


def test_one_that_is_not_installed_is_refused_before_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("wandb", "trackio") else there(name))
    settings = FinetuneSettings(report_to=("tensorboard", "wandb", "trackio"))
    with pytest.raises(SettingsError, match=r"names wandb.*pip install 'embed-pipeline\[wandb,trackio\]'"):
        check_trackers(settings)
    with pytest.raises(SettingsError, match="names wandb"):
        trained(tmp_path, "wandb")
    assert not (tmp_path / "out").exists()


def test_nothing_leaves_the_machine_unless_somebody_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FinetuneSettings(report_to=("mlflow", "trackio", "wandb"))
    found = defaults(settings, tmp_path, "checkpoint-1")
    assert found["MLFLOW_TRACKING_URI"] == (tmp_path / "mlflow").as_uri()
    assert found["TRACKIO_DIR"] == str(tmp_path / "trackio")
    assert (found["WANDB_MODE"], found["WANDB_DIR"]) == ("offline", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    online = defaults(settings, tmp_path, "checkpoint-1")
    assert online["WANDB_MODE"] == "online"
    assert "secret" not in online.values()
    assert defaults(FinetuneSettings(), tmp_path, "checkpoint-1") == {}


@pytest.mark.parametrize("trackers", [(), ("mlflow",), ("trackio", "wandb")])
def test_the_trainer_is_told_of_each(trackers: tuple[str, ...], tmp_path: Path) -> None:
    settings = FinetuneSettings.model_validate({"report_to": trackers})
    arguments = training_arguments(settings, tmp_path / "checkpoint-1" / "checkpoints", 4, 10, "cpu")
    assert arguments.report_to == list(trackers)
    assert (arguments.run_name, arguments.project) == ("checkpoint-1", "embed-pipeline")
    assert arguments.trackio_space_id is None
    assert arguments.push_to_hub is False


def test_what_a_tracker_raises_is_told_as_its_failure(tmp_path: Path) -> None:
    failure = type("ConnectionFailure", (Exception,), {"__module__": "tensorboard.backend"})
    settings = FinetuneSettings(report_to=("tensorboard",))
    told = pytest.raises(TrainingError, match=r"tensorboard, which finetune\.report_to names, failed: no server")
    with told, tracking(settings, tmp_path, "run"):
        raise failure("no\nserver")
    with pytest.raises(ZeroDivisionError), tracking(settings, tmp_path, "run"):
        raise ZeroDivisionError
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ


def test_unknown_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="report_to"):
        FinetuneSettings.model_validate({"report_to": ["all"]})
