"""Training on a tiny model: it learns, resumes exactly, stops when it must, and writes the same bytes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from embed_pipeline.encoders.base_model import base_encoder_spec, find_base_model
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.errors import DiskFullError, SettingsError, TrainingError
from embed_pipeline.files import hash_tree
from embed_pipeline.finetune import trainer as trainer_module
from embed_pipeline.finetune import validation
from embed_pipeline.finetune.environment import explained_failures, training_device, trains_in_bf16
from embed_pipeline.finetune.in_process import attention_for, trainable_model
from embed_pipeline.finetune.job import plan_training
from embed_pipeline.finetune.train import finetune
from embed_pipeline.finetune.trainer import measuring_steps, training_arguments
from embed_pipeline.progress import SilentReporter, reporting
from embed_pipeline.settings import EncoderSettings, FinetuneSettings
from embed_pipeline_tests.finetune.build import retrieval_set, rows, tiny_model

SETTINGS = FinetuneSettings(
    epochs=2, batch_size=8, learning_rate=3e-3, warmup_steps=1, temperature=0.1, evaluations_per_epoch=2
)
COUNT = 40  # ten steps; validation after 2, 5, 8 and 10


class Interrupted(Exception):
    """Stands for whatever ends a training in the middle."""


class Interrupter(SilentReporter):
    """Raises after one of the training steps named."""

    def __init__(self, steps) -> None:
        self.steps = steps

    def start(self, name, total):
        return name

    def update(self, handle, done, note=""):
        if handle == "train" and note and done in self.steps:
            raise Interrupted


class Listener(SilentReporter):
    """Keeps what the user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text):
        self.lines.append(text)


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> EncoderSpec:
    return tiny_model(tmp_path_factory.mktemp("base"), query_prompt="query: ", passage_prompt="passage: ")


@pytest.fixture(scope="module")
def trained(spec, tmp_path_factory):
    """An uninterrupted training: report, output, work."""
    folder = tmp_path_factory.mktemp("trained")
    report = finetune(rows(COUNT), retrieval_set(COUNT), spec, SETTINGS, folder / "out", folder / "work", "cpu")
    return report, folder / "out", folder / "work"


def given_measurements(ndcgs: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    values, original = iter(ndcgs), validation.Validator.measure
    monkeypatch.setattr(
        validation.Validator,
        "measure",
        lambda self, model, vectors=None: replace(original(self, model, vectors), ndcg=next(values)),
    )


def interrupted_at(step: int, spec: EncoderSpec, folder: Path) -> None:
    with reporting(Interrupter([step])), pytest.raises(Interrupted):
        finetune(rows(COUNT), retrieval_set(COUNT), spec, SETTINGS, folder / "out", folder / "work", "cpu")


def resumed(spec: EncoderSpec, folder: Path) -> tuple[list[str], dict]:
    listener = Listener()
    with reporting(listener):
        finetune(rows(COUNT), retrieval_set(COUNT), spec, SETTINGS, folder / "out", folder / "work", "cpu")
    return listener.lines, hash_tree(folder / "out")


def test_it_learns_and_the_best_checkpoint_wins(trained):
    report, out, _ = trained
    losses = [loss for _, loss in report.losses]
    assert (report.rows, report.batch_size, report.steps) == (COUNT, 8, 10)
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])
    assert report.final_loss == losses[-1]
    assert [step for step, _ in report.validations] == [0, 2, 5, 8, 10]
    measured = dict(report.validations)
    assert report.base_validation == measured.pop(0)
    assert report.best_validation == max(measured.values()) > report.base_validation + 0.1
    assert measured[report.best_step] == report.best_validation
    log = json.loads((out / "training_log.json").read_text("utf-8"))
    assert [entry["step"] for entry in log["log"]] == list(range(1, 11))
    assert set(log["log"][0]) == {"step", "epoch", "loss", "learning_rate", "grad_norm"}
    assert log["validations"][0] == {"step": 0, "ndcg@10": report.base_validation}
    assert log["log"][-1]["learning_rate"] < log["log"][2]["learning_rate"] <= SETTINGS.learning_rate


def test_the_best_checkpoint_is_kept_not_the_last(spec, tmp_path, monkeypatch):
    given_measurements([0.1, 0.5, 0.9, 0.9, 0.2], monkeypatch)
    report = finetune(rows(COUNT), retrieval_set(COUNT), spec, SETTINGS, tmp_path / "out", tmp_path / "work", "cpu")
    assert (report.best_step, report.best_validation, report.base_validation) == (5, 0.9, 0.1)
    left = {path.name for path in (tmp_path / "work" / "checkpoints").iterdir()}
    assert left == {"checkpoint-5", "checkpoint-8", "checkpoint-10"}
    kept, last = (tmp_path / "work" / "checkpoints" / f"checkpoint-{step}" for step in (5, 10))
    weights = hash_tree(tmp_path / "out")["model.safetensors"]
    assert weights == hash_tree(kept)["model.safetensors"] != hash_tree(last)["model.safetensors"]


def test_output_loads_everywhere_alike(trained, spec):
    _, out, _ = trained
    written = EncoderSpec.load(out)
    assert written.content_sha256 != spec.content_sha256
    assert written.version() != spec.version()
    ignored = {"model", "content_sha256"}
    assert written.model_dump(exclude=ignored) == spec.model_dump(exclude=ignored)
    theirs, ours = SentenceTransformer(str(out), device="cpu"), TorchEncoder.load(written, "cpu")
    texts = ["where is the lion", "the lion stands near the gate"]
    np.testing.assert_allclose(np.asarray(theirs.encode_query(texts)), ours.encode(texts, "query"), atol=1e-6)
    np.testing.assert_allclose(np.asarray(theirs.encode_document(texts)), ours.encode(texts, "passage"), atol=1e-6)
    read_back = base_encoder_spec(str(out), EncoderSettings(max_query_length=16, max_passage_length=32))
    assert (read_back.query_prompt, read_back.passage_prompt) == ("query: ", "passage: ")
    files = {path.name for path in out.iterdir()}
    assert {"model.safetensors", "tokenizer.json", "modules.json", "1_Pooling", "encoder.json", "README.md"} <= files
    assert not any(path.suffix in {".bin", ".pt", ".pkl", ".pth"} for path in out.rglob("*"))


def test_same_inputs_same_bytes_and_nothing_else_written(trained, spec, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finetune(rows(COUNT), retrieval_set(COUNT), spec, SETTINGS, tmp_path / "out", tmp_path / "work", "cpu")
    assert hash_tree(tmp_path / "out") == hash_tree(trained[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "work"]
    assert capfd.readouterr().out == ""


def test_killed_and_started_again_gives_the_same_bytes(trained, spec, tmp_path):
    code = f"""
import os, signal, torch
from pathlib import Path
from embed_pipeline.finetune.train import finetune
from embed_pipeline.progress import SilentReporter, reporting
from embed_pipeline_tests.finetune.build import retrieval_set, rows
from embed_pipeline_tests.finetune.test_train import COUNT, SETTINGS
from embed_pipeline.encoders.torch_encoder import EncoderSpec

class Killer(SilentReporter):
    def start(self, name, total):
        return name
    def update(self, handle, done, note=""):
        if handle == "train" and note and done == 4:
            os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
spec = EncoderSpec.model_validate({spec.model_dump()!r})
folder = Path({str(tmp_path)!r})
with reporting(Killer()):
    finetune(rows(COUNT), retrieval_set(COUNT), spec, SETTINGS, folder / "out", folder / "work", "cpu")
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    assert [path.name for path in (tmp_path / "work" / "checkpoints").iterdir()] == ["checkpoint-2"]
    assert resumed(spec, tmp_path) == ([], hash_tree(trained[1]))


@pytest.mark.parametrize("step", [5, 9])
def test_damaged_checkpoint_falls_back(trained, spec, tmp_path, step):
    interrupted_at(step, spec, tmp_path)
    newest = max((tmp_path / "work" / "checkpoints").iterdir(), key=lambda path: int(path.name.rpartition("-")[2]))
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    told, files = resumed(spec, tmp_path)
    assert f"{newest.name} of the interrupted training is damaged" in told[0]
    assert files == hash_tree(trained[1])


def test_a_finished_training_is_not_repeated(trained, spec, tmp_path):
    report, out, work = trained
    with reporting(Interrupter(range(11))):
        again = finetune(rows(COUNT), retrieval_set(COUNT), spec, SETTINGS, tmp_path, work, "cpu")
    assert again == report
    assert hash_tree(tmp_path) == hash_tree(out)


def test_the_pool_of_the_base_model_is_that_of_a_resumed_training(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "POOL_DEPTH", 2)
    monkeypatch.setattr(validation, "SAMPLE", 2)
    pools: list[tuple[bool, list[int]]] = []
    original = validation.Validator.measure

    def watched(self, model, vectors=None):
        before = self.pool
        measured = original(self, model, vectors)
        pools.append((before is not None, self.pool))
        return measured

    monkeypatch.setattr(validation.Validator, "measure", watched)
    interrupted_at(6, spec, tmp_path)
    made = pools[0][1]
    assert pools[0] == (False, made)
    pools.clear()
    resumed(spec, tmp_path)
    assert pools
    assert all(one == (True, made) for one in pools)


def test_other_inputs_do_not_resume(spec, tmp_path):
    interrupted_at(5, spec, tmp_path)
    few = rows(COUNT)[:12]
    report = finetune(few, None, spec, replace_settings(epochs=1), tmp_path / "out", tmp_path / "work", "cpu")
    fresh = finetune(few, None, spec, replace_settings(epochs=1), tmp_path / "out2", tmp_path / "fresh", "cpu")
    assert report == fresh


def replace_settings(**changes) -> FinetuneSettings:
    return FinetuneSettings.model_validate({**SETTINGS.model_dump(), **changes})


def test_without_validation_the_last_checkpoint_is_kept(spec, tmp_path):
    listener = Listener()
    settings = replace_settings(max_steps=3, batch_size=128)
    with reporting(listener):
        report = finetune(rows(5), None, spec, settings, tmp_path / "out", tmp_path / "work", "cpu")
    assert (report.best_step, report.steps, report.batch_size) == (2, 2, 5)
    assert report.base_validation is None
    assert report.best_validation is None
    assert listener.lines == ["finetune.batch_size 128 is too large for 5 training rows; using 5."]


def test_one_row(spec, tmp_path):
    report = finetune(rows(3)[:1], None, spec, replace_settings(epochs=1), tmp_path / "out", tmp_path / "work", "cpu")
    assert (report.rows, report.batch_size, report.steps) == (1, 1, 1)
    assert report.final_loss > 0


def test_nothing_to_tell_apart_stops_before_anything_is_written(spec, tmp_path):
    with pytest.raises(TrainingError, match="There is one training row, so that no question is told apart"):
        finetune(rows(1), None, spec, replace_settings(epochs=1), tmp_path / "out", tmp_path / "work", "cpu")
    assert not (tmp_path / "out").exists()


def test_bf16_trains(spec, tmp_path):
    settings = replace_settings(epochs=1, precision="bf16")
    report = finetune(rows(16), None, spec, settings, tmp_path / "out", tmp_path / "work", "cpu")
    weights = TorchEncoder.load(EncoderSpec.load(tmp_path / "out"), "cpu").model.state_dict()
    assert all(value.dtype == torch.float32 for value in weights.values() if value.is_floating_point())
    assert np.isfinite(report.final_loss)


ADAPTED = {"lora": {"rank": 4, "alpha": 8, "dropout": 0.1}}
EVERYTHING = {
    "early_stopping_patience": 50,
    "length_grouped": True,
    "gradient_checkpointing": True,
    "grad_cache": "on",
    "mini_batch_size": 4,
    "matryoshka_dimensions": (8,),
    "false_negative_margin": 0.1,
}


@pytest.mark.parametrize("changes", [ADAPTED, EVERYTHING], ids=["lora", "everything"])
def test_interrupted_in_an_epoch_gives_the_same_bytes(spec, tmp_path, changes):
    settings = replace_settings(**changes)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    finetune(rows(COUNT), retrieval_set(COUNT), spec, settings, whole / "out", whole / "work", "cpu")
    with reporting(Interrupter([4, 7])), pytest.raises(Interrupted):
        finetune(rows(COUNT), retrieval_set(COUNT), spec, settings, parts / "out", parts / "work", "cpu")
    listener = Listener()
    with reporting(listener):
        finetune(rows(COUNT), retrieval_set(COUNT), spec, settings, parts / "out", parts / "work", "cpu")
    assert hash_tree(parts / "out") == hash_tree(whole / "out")


def test_early_stopping(spec, tmp_path, monkeypatch):
    given_measurements([0.1, 0.9, 0.5, 0.6, 0.7], monkeypatch)
    settings = replace_settings(early_stopping_patience=2)
    report = finetune(rows(COUNT), retrieval_set(COUNT), spec, settings, tmp_path / "out", tmp_path / "work", "cpu")
    assert (report.best_step, report.steps) == (2, 8)
    assert [step for step, _ in report.validations] == [0, 2, 5, 8]
    with reporting(Interrupter(range(11))):  # a training that stopped early is finished
        again = finetune(rows(COUNT), retrieval_set(COUNT), spec, settings, tmp_path, tmp_path / "work", "cpu")
    assert again == report


def test_validation_under_the_base_after_an_epoch_is_said_and_reported(spec, tmp_path, monkeypatch):
    given_measurements([0.9, 0.95, 0.3, 0.2, 0.95], monkeypatch)
    listener = Listener()
    with reporting(listener):
        report = finetune(rows(COUNT), retrieval_set(COUNT), spec, SETTINGS, tmp_path / "out", tmp_path / "work", "cpu")
    assert report.below_base_after_first_epoch
    said = [line for line in listener.lines if line.startswith("After the first epoch")]
    assert len(said) == 1
    assert "nDCG@10 0.3000 against 0.9000" in said[0]


def test_gradient_checkpointing_changes_no_result(spec, tmp_path):
    plain = finetune(rows(16), None, spec, replace_settings(epochs=1), tmp_path / "a", tmp_path / "wa", "cpu")
    settings = replace_settings(epochs=1, gradient_checkpointing=True)
    checkpointed = finetune(rows(16), None, spec, settings, tmp_path / "b", tmp_path / "wb", "cpu")
    assert dict(checkpointed.losses) == pytest.approx(dict(plain.losses), rel=1e-4)


def test_attention_implementations_are_the_same_model(spec):
    vectors = [
        TorchEncoder(spec, trainable_model(plan_of(spec, chosen), "cpu").eval()).encode(["a lion", "a clock"], "query")
        for chosen in ("eager", "sdpa")
    ]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    module: Any = trainable_model(plan_of(spec, "eager"), "cpu")[0]
    assert module.model.config._attn_implementation == "eager"


def plan_of(spec, chosen):
    return plan_training(rows(16), None, spec, replace_settings(epochs=1, attention_implementation=chosen))


def test_flash_attention_without_a_gpu_is_refused(spec, tmp_path):
    settings = replace_settings(attention_implementation="flash_attention_2")
    with pytest.raises(SettingsError, match=r"finetune\.attention_implementation is flash_attention_2"):
        finetune(rows(8), None, spec, settings, tmp_path / "out", tmp_path / "work", "cpu")


def test_curves_for_the_ui(trained):
    report, *_ = trained
    for name in ("loss", "learning_rate", "grad_norm"):
        curve = report.curve(name)
        assert [step for step, _ in curve] == list(range(1, 11))
        assert all(np.isfinite(value) for _, value in curve)


def test_nothing_to_train_on(spec, tmp_path):
    with pytest.raises(TrainingError, match="no training rows"):
        finetune([], None, spec, SETTINGS, tmp_path / "out", tmp_path / "work", "cpu")


def test_a_loss_that_is_not_a_number_stops(spec, tmp_path):
    broken = tmp_path / "base"
    model = SentenceTransformer(spec.model, device="cpu")
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    model.save(str(broken), create_model_card=False)
    bad = spec.model_copy(update={"model": str(broken)})
    with pytest.raises(TrainingError, match=r"loss became nan at step 1\. Lower finetune\.learning_rate"):
        finetune(rows(8), None, bad, SETTINGS, tmp_path / "out", tmp_path / "work", "cpu")
    assert not (tmp_path / "out").exists()


def test_a_gradient_without_a_length_stops(spec, tmp_path):
    settings = SETTINGS.model_copy(update={"dropout": 0.999})  # what is left is multiplied by 1000 in each layer
    with pytest.raises(TrainingError, match=r"gradient's norm became (inf|nan) at step \d+\. Lower"):
        finetune(rows(8), None, spec, settings, tmp_path / "out", tmp_path / "work", "cpu")
    assert not (tmp_path / "out").exists()


def test_a_collapsed_model_stops(spec, tmp_path, monkeypatch):
    def alike(model, state):
        with torch.no_grad():
            for value in model[0].parameters():
                value.fill_(0.01)

    original = trainer_module.Hooks.measure
    monkeypatch.setattr(
        trainer_module.Hooks, "measure", lambda self, model, state: (alike(model, state), original(self, model, state))
    )
    with pytest.raises(TrainingError, match="model collapsed: at step 1"):
        finetune(
            rows(8), retrieval_set(8), spec, replace_settings(epochs=1), tmp_path / "out", tmp_path / "work", "cpu"
        )


def test_worse_than_base_is_said(spec, tmp_path, monkeypatch):
    given_measurements([0.9, 0.2, 0.3], monkeypatch)
    listener, judged = Listener(), retrieval_set(8)
    with reporting(listener):
        finetune(rows(8), judged, spec, replace_settings(epochs=2), tmp_path / "out", tmp_path / "work", "cpu")
    assert "base model on validation (nDCG@10 0.3000 against 0.9000)" in listener.lines[-1]


def test_measuring_steps():
    assert measuring_steps(5, 10, SETTINGS) == {2, 5, 8, 10}
    assert measuring_steps(5, 3, SETTINGS) == {2, 3}
    assert measuring_steps(1, 2, SETTINGS) == {1, 2}
    automatic = replace_settings(evaluations_per_epoch="auto")
    assert measuring_steps(5, 10, automatic) == {5, 10}
    assert measuring_steps(100, 10, automatic) == {5, 10}


def test_arguments_report_nowhere(tmp_path):
    arguments = training_arguments(SETTINGS, tmp_path, 8, 3, "cpu")
    assert arguments.report_to == []
    assert (arguments.warmup_steps, arguments.seed) == (1, 42)
    assert arguments.lr_scheduler_type == "cosine"


@pytest.mark.parametrize("multiplies", [True, False])
def test_a_cpu_that_multiplies_bf16_in_hardware_trains_in_it_with_eager_attention(monkeypatch, multiplies):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: multiplies)
    assert trains_in_bf16(SETTINGS, "cpu") is multiplies
    assert attention_for(SETTINGS, "cpu") == ("eager" if multiplies else None)
    assert not trains_in_bf16(replace_settings(precision="fp32"), "cpu")
    assert attention_for(replace_settings(precision="bf16"), "cpu") == "eager"
    assert attention_for(replace_settings(attention_implementation="sdpa"), "cpu") == "sdpa"


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_dropout_is_that_of_the_settings_and_does_not_ship(spec, tmp_path, implementation):
    chosen = replace_settings(dropout=0.0, attention_implementation=implementation)
    model = trainable_model(plan_training(rows(8), None, spec, chosen), "cpu")
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.0}
    ids = {"input_ids": torch.arange(1000, 1016).reshape(2, 8), "attention_mask": torch.ones(2, 8, dtype=torch.long)}
    body: Any = model[0].model
    body.train()
    first, second = (body(**ids).last_hidden_state for _ in range(2))
    assert torch.equal(first, second)
    finetune(rows(16), None, spec, chosen, tmp_path / "model", tmp_path / "work")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["hidden_dropout_prob"] == 0.1


def test_cropped_positives_are_what_is_trained_on(spec, tmp_path):
    long = [
        replace(
            row, positive=f"{'stone ' * 60}{row.positive}", evidence_start=360, evidence_end=360 + len(row.positive)
        )
        for row in rows(COUNT)
    ]
    losses = {}
    for crop in ("front", "evidence"):
        chosen = replace_settings(crop=crop, epochs=6)
        losses[crop] = finetune(long, None, spec, chosen, tmp_path / crop, tmp_path / f"{crop}_work").final_loss
    assert losses["front"] > 2.0  # all positives look the same: ln 8
    assert losses["evidence"] < 1.7


def test_what_is_validated_is_what_ships(spec, tmp_path):
    chosen = replace_settings(base_weight=0.5)
    report = finetune(rows(COUNT), retrieval_set(COUNT), spec, chosen, tmp_path / "model", tmp_path / "work")
    shipped = EncoderSpec.load(tmp_path / "model")
    validator = validation.Validator(retrieval_set(COUNT), spec, 32, chosen.seed)
    validator.measure(TorchEncoder.load(spec, "cpu").model)
    assert validator.measure(TorchEncoder.load(shipped, "cpu").model).ndcg == report.best_validation


def test_other_gpus_are_refused_with_the_way_to_choose_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert training_device("cpu") == "cpu"
    assert training_device("cuda:0") == "cuda"
    assert training_device("mps") == "cpu"
    with pytest.raises(SettingsError, match="CUDA_VISIBLE_DEVICES=2"):
        training_device("cuda:2")


def test_failures_are_explained(tmp_path):
    with pytest.raises(DiskFullError), explained_failures(tmp_path):
        raise RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed")
    with pytest.raises(TrainingError, match=r"finetune\.batch_size"), explained_failures(tmp_path):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(ZeroDivisionError), explained_failures(tmp_path):
        raise ZeroDivisionError


def test_tiny_model_is_always_the_same(spec, tmp_path):
    tiny_model(tmp_path)
    assert find_base_model(str(tmp_path)).content_sha256 == spec.content_sha256
