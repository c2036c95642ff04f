"""Denoising by a cross-encoder's probabilities."""

import numpy as np

from embed_pipeline.encoders.cross_encoder import CrossEncoderModel
from embed_pipeline.encoders.pair_scores import PairScores
from embed_pipeline.prep.mining.denoisers import CrossEncoderDenoiser
from embed_pipeline_tests.finetune.build import tiny_cross_encoder

QUESTIONS = ["where is the lion", "where is the clock"]
PASSAGES = ["lion river engine", "paper violin harbour lamp stone", "forest clock bridge"]
PAIRS = [(question, passage) for question in range(2) for passage in range(3)]


def test_what_is_above_the_threshold_is_dropped(tmp_path):
    model = CrossEncoderModel.load(tiny_cross_encoder(tmp_path / "model"), "cpu")
    logits = model.scores([(QUESTIONS[question], PASSAGES[passage]) for question, passage in PAIRS])
    probabilities = np.sort(1 / (1 + np.exp(-logits.astype(np.float64))))
    threshold = float((probabilities[2] + probabilities[3]) / 2)
    scores = PairScores(tmp_path / "c.sqlite", "1", lambda: model.scores)
    denoiser = CrossEncoderDenoiser(scores, threshold, 0.9, QUESTIONS, PASSAGES)
    assert denoiser.answers(PAIRS).tolist() == (1 / (1 + np.exp(-logits)) > threshold).tolist()
    assert denoiser.answers(PAIRS).sum() == 3
    assert denoiser.answers([]).tolist() == []


def test_above_the_second_threshold_a_pair_is_sure(tmp_path):
    model = CrossEncoderModel.load(tiny_cross_encoder(tmp_path / "model"), "cpu")
    logits = model.scores([(QUESTIONS[question], PASSAGES[passage]) for question, passage in PAIRS])
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    low, high = (float(np.sort(probabilities)[places].mean()) for places in ([0, 1], [4, 5]))
    scores = PairScores(tmp_path / "c.sqlite", "1", lambda: model.scores)
    denoiser = CrossEncoderDenoiser(scores, low, high, QUESTIONS, PASSAGES)
    assert denoiser.answers(PAIRS[:3]).sum() + denoiser.answers(PAIRS[3:]).sum() == 5
    assert denoiser.sure == {PAIRS[int(probabilities.argmax())]}
