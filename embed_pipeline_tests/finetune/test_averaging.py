"""What ships is the average with the base model, and while it is measured nothing of the training changes."""

import pytest
import torch

from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.finetune.averaging import as_shipped, averaged, copied_weights
from embed_pipeline.finetune.lora import add_adapters
from embed_pipeline.settings.finetune import LoraSettings
from embed_pipeline_tests.finetune.build import tiny_model


@pytest.fixture
def model(tmp_path):
    return load_sentence_transformer(tiny_model(tmp_path / "model"), "cpu")


def changed(model, by: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by)


def same(first, second) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_inside_it_is_the_average_and_afterwards_the_trained_model_bit_for_bit(model):
    base = copied_weights(model)
    changed(model, 0.1)
    trained = copied_weights(model)
    with as_shipped(model, base, 0.25):
        inside = copied_weights(model)
    assert same(inside, averaged(base, trained, 0.25))
    name = next(iter(dict(model.named_parameters())))
    assert torch.allclose(inside[name], base[name] + 0.075, atol=1e-6)
    assert same(copied_weights(model), trained)


def test_without_a_share_of_the_base_model_nothing_is_touched(model):
    before = copied_weights(model)
    with as_shipped(model, {}, 0.0):
        assert same(copied_weights(model), before)


def test_the_trained_weights_come_back_after_a_failure(model):
    base = copied_weights(model)
    changed(model, 0.1)
    trained = copied_weights(model)
    with pytest.raises(ValueError, match="broken"), as_shipped(model, base, 0.5):
        raise ValueError("broken")
    assert same(copied_weights(model), trained)


def test_adapters_are_scaled_down(model):
    encoded = model.encode(["a lion near the river"])
    add_adapters(model, LoraSettings(rank=4))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.05)
    trained = model.encode(["a lion near the river"])
    with as_shipped(model, None, 0.999999):
        assert abs(model.encode(["a lion near the river"]) - encoded).max() < 1e-3
    assert abs(model.encode(["a lion near the river"]) - trained).max() == 0
    assert abs(trained - encoded).max() > 1e-3
