"""Cross-encoders: one logit a pair, anything else refused."""

import numpy as np
import pytest
import torch

from embed_pipeline.encoders.cross_encoder import CrossEncoderModel
from embed_pipeline.errors import ModelAccessError
from embed_pipeline_tests.finetune.build import tiny_cross_encoder, tiny_model

PAIRS = [("where is the lion", "lion river engine"), ("where is the clock", "paper violin harbour lamp stone")]


def test_scores_are_the_logits_of_the_model(tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    name = tiny_cross_encoder(tmp_path)
    tokens = AutoTokenizer.from_pretrained(name)(*zip(*PAIRS, strict=True), padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = AutoModelForSequenceClassification.from_pretrained(name).eval()(**tokens).logits[:, 0]
    found = CrossEncoderModel.load(name, "cpu").scores(PAIRS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_no_pairs(tmp_path):
    assert CrossEncoderModel.load(tiny_cross_encoder(tmp_path), "cpu").scores([]).shape == (0,)


def test_what_is_no_cross_encoder_is_refused(tmp_path):
    spec = tiny_model(tmp_path / "model")
    with pytest.raises(ModelAccessError, match="is not a cross-encoder"):
        CrossEncoderModel.load(spec.model, "cpu")
    with pytest.raises(ModelAccessError, match="has 3 outputs"):
        CrossEncoderModel.load(tiny_cross_encoder(tmp_path / "three", labels=3), "cpu")
