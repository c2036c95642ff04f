"""Two processes on one CPU train one model, as several GPUs do."""

import numpy as np
import pytest

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.errors import TrainingError
from embed_pipeline.files import hash_tree
from embed_pipeline.finetune.job import plan_training
from embed_pipeline.finetune.torchrun import processes_for
from embed_pipeline.finetune.train import finetune
from embed_pipeline.progress import SilentReporter, reporting
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import retrieval_set, rows, tiny_model
from embed_pipeline_tests.finetune.test_train import Interrupted, Interrupter

SETTINGS = FinetuneSettings(
    epochs=2, batch_size=8, learning_rate=3e-3, warmup_steps=1, temperature=0.1, hard_negatives=1, processes=2
)


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.lines: list[str] = []

    def start(self, name, total):
        return name

    def update(self, handle, done, note=""):
        if handle == "train":
            self.steps.append(done)

    def message(self, text):
        self.lines.append(text)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    from pathlib import Path

    import embed_pipeline

    monkeypatch.setenv("PYTHONPATH", str(Path(embed_pipeline.__file__).parents[1]))


def test_two_processes(tmp_path):
    spec = tiny_model(tmp_path / "base")
    listener = Listener()
    with reporting(listener):
        report = finetune(rows(40), retrieval_set(40), spec, SETTINGS, tmp_path / "out", tmp_path / "work", "cpu")
    assert (report.batch_size, report.steps) == (8, 10)  # 4 rows in each process, 5 steps an epoch
    assert [step for step, _ in report.validations] == [0, 5, 10]
    assert report.best_validation > report.base_validation
    assert listener.steps[-1] == 10
    losses = [loss for _, loss in report.losses]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert np.isfinite(TorchEncoder.load(EncoderSpec.load(tmp_path / "out"), "cpu").encode(["a lion"], "query")).all()


def test_interrupted_within_an_epoch_and_started_again_gives_the_same_bytes(tmp_path):
    spec = tiny_model(tmp_path / "base")
    settings = SETTINGS.model_copy(update={"evaluations_per_epoch": 2})

    def train(name, reporter):
        folder = tmp_path / name
        with reporting(reporter):
            finetune(rows(40), retrieval_set(40), spec, settings, folder / "out", folder / "work", "cpu")
        return hash_tree(folder / "out")

    uninterrupted = train("whole", Listener())
    with pytest.raises(Interrupted):
        train("again", Interrupter([9]))
    assert train("again", later := Listener()) == uninterrupted
    assert later.steps[0] == 8  # of the second epoch the first three steps are not repeated


def test_what_a_process_refuses_reaches_the_user(tmp_path):
    spec = tiny_model(tmp_path / "base")
    settings = SETTINGS.model_copy(update={"learning_rate": 1e30, "max_grad_norm": 1e30, "warmup_steps": 0})
    with pytest.raises(TrainingError, match=r"Lower finetune\.learning_rate"):
        finetune(rows(40), None, spec, settings, tmp_path / "out", tmp_path / "work", "cpu")
    assert not (tmp_path / "out").exists()


def test_batches_are_shared_out_without_a_rest():
    listener = Listener()
    with reporting(listener):
        job = plan_training(rows(64), None, _spec(), SETTINGS.model_copy(update={"batch_size": 16}), 3)
    assert job.sampler.size == 5
    assert listener.lines == ["finetune.batch_size 16 becomes 15: 5 for each of 3 processes."]
    assert job.steps_per_epoch == 5  # 13 batches become 15 for 3 processes


def test_more_processes_than_rows():
    job = plan_training(rows(2), None, _spec(), SETTINGS, 8)
    assert (job.sampler.size, job.steps_per_epoch) == (1, 1)


def test_a_cpu_trains_in_one_process_unless_told():
    assert processes_for(FinetuneSettings(), "cpu") == 1
    assert processes_for(SETTINGS, "cpu") == 2


def _spec() -> EncoderSpec:
    return EncoderSpec(model="none", content_sha256="0", max_query_length=16, max_passage_length=32, dimensions=(4,))
