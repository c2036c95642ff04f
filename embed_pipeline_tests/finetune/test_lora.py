"""Adapters: merged on save, exact, and small."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder, load_sentence_transformer
from embed_pipeline.errors import SettingsError
from embed_pipeline.finetune.lora import ADAPTERS, add_adapters, load_adapters, merged_weights, save_adapters
from embed_pipeline.finetune.train import finetune
from embed_pipeline.settings import FinetuneSettings, LoraSettings
from embed_pipeline_tests.finetune.build import retrieval_set, rows, tiny_model

LORA = LoraSettings(rank=4, alpha=8)
TEXTS = ["where is the lion", "lion river engine paper", "a clock"]


@pytest.fixture
def spec(tmp_path) -> EncoderSpec:
    return tiny_model(tmp_path / "base")


def adapted(spec, settings=LORA):
    model = load_sentence_transformer(spec, "cpu")
    add_adapters(model, settings)
    return model


def changed(model):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value.copy_(0.2 * torch.randn(value.shape, generator=generator))
    return model


def test_only_adapters_train(spec):
    names = [name for name, value in adapted(spec).named_parameters() if value.requires_grad]
    assert names
    assert all("lora_" in name for name in names)


def test_merged_weights_give_the_same_vectors(spec, tmp_path):
    model = changed(adapted(spec))
    save_adapters(model, tmp_path)
    before = TorchEncoder(spec, model.eval()).encode(TEXTS, "passage")
    merged = load_sentence_transformer(spec, "cpu")
    merged.load_state_dict(merged_weights(spec, FinetuneSettings(lora=LORA), tmp_path))
    after = TorchEncoder(spec, merged.eval()).encode(TEXTS, "passage")
    base = TorchEncoder.load(spec, "cpu").encode(TEXTS, "passage")
    assert (before * after).sum(1).min() > 0.99999
    assert (before * base).sum(1).min() < 0.999


def test_saved_and_loaded(spec, tmp_path):
    model = changed(adapted(spec))
    save_adapters(model, tmp_path)
    other = adapted(spec)
    load_adapters(other, tmp_path)
    for (name, one), (_, two) in zip(model.named_parameters(), other.named_parameters(), strict=True):
        if one.requires_grad:
            assert torch.equal(one, two), name


def test_layers_can_be_named(spec):
    model = adapted(spec, LoraSettings(rank=2, target_modules=("query",)))
    names = [name for name, value in model.named_parameters() if value.requires_grad]
    assert names
    assert all(".query." in name for name in names)


def test_unknown_layers_are_refused_with_the_names_there_are(spec):
    with pytest.raises(SettingsError, match=r"finetune\.lora\.target_modules q_proj.*called dense, key, query, value"):
        adapted(spec, LoraSettings(rank=2, target_modules=("q_proj",)))


def test_the_tuned_model_is_plain_and_its_checkpoints_are_small(spec, tmp_path):
    settings = FinetuneSettings(
        epochs=3, batch_size=16, learning_rate=2e-2, warmup_steps=1, hard_negatives=1, lora=LORA, base_weight=0.25
    )
    report = finetune(rows(32), retrieval_set(32), spec, settings, tmp_path / "out", tmp_path / "work", "cpu")
    losses = [loss for _, loss in report.losses]
    assert np.mean(losses[-2:]) < 0.9 * np.mean(losses[:2])
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert "model.safetensors" in files
    assert not any("adapter" in name for name in files)
    names = load_file(tmp_path / "out" / "model.safetensors")
    assert not any("lora" in name for name in names)
    kept = tmp_path / "work" / "checkpoints" / f"checkpoint-{report.best_step}"
    assert (kept / ADAPTERS).is_file()
    assert not (kept / "model.safetensors").exists()
    base, tuned = TorchEncoder.load(spec, "cpu"), TorchEncoder.load(EncoderSpec.load(tmp_path / "out"), "cpu")
    assert np.abs(base.encode(TEXTS, "query") - tuned.encode(TEXTS, "query")).max() > 1e-3
