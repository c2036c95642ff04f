"""Distillation: scores of a cross-encoder or an embedding model, computed once."""

import numpy as np
import pytest

from embed_pipeline.encoders.cross_encoder import CrossEncoderModel
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.finetune.teacher import load_teacher, teacher_version
from embed_pipeline.finetune.train import finetune
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import retrieval_set, rows, tiny_cross_encoder, tiny_model


def settings(name, objective="kl", **changes):
    return FinetuneSettings(
        objective=objective,
        teacher=name,
        hard_negatives=1,
        temperature=0.1,
        epochs=1,
        batch_size=16,
        learning_rate=3e-3,
        warmup_steps=1,
        max_query_length=16,
        max_passage_length=32,
        **changes,
    )


def own_scores(made, settings, spec, work):
    """Per row those of its positive and of its negative."""
    teacher = load_teacher(made, spec, settings, work, "cpu")
    return [teacher.scores([row], [one.positive, one.negatives[0]], [[0, 1]])[0][0] for row, one in enumerate(made)]


def test_scores_of_a_cross_encoder_are_its_logits(tmp_path):
    name = tiny_cross_encoder(tmp_path / "teacher")
    made = rows(3)
    found = own_scores(made, settings(name), tiny_model(tmp_path / "base"), tmp_path)
    model = CrossEncoderModel.load(name, "cpu", 48)
    expected = model.scores([(row.question, text) for row in made for text in (row.positive, row.negatives[0])])
    np.testing.assert_allclose(np.ravel(found), expected, atol=1e-5)


def test_scores_of_an_embedding_model_are_cosines_over_the_temperature(tmp_path):
    spec = tiny_model(tmp_path / "teacher")
    made = rows(3)
    found = own_scores(made, settings(spec.model), spec, tmp_path)
    encoder = TorchEncoder.load(spec, "cpu")
    query = encoder.encode([made[0].question], "query")[0]
    passages = encoder.encode([made[0].positive, made[0].negatives[0]], "passage")
    np.testing.assert_allclose(found[0], passages @ query / 0.1, atol=1e-4)


def test_nothing_is_scored_for_other_objectives(tmp_path):
    plain = FinetuneSettings()
    assert teacher_version(plain) is None
    assert load_teacher(rows(3), tiny_model(tmp_path), plain, tmp_path, "cpu") is None


def test_another_teacher_is_another_version(tmp_path):
    name = tiny_cross_encoder(tmp_path / "teacher")
    before = teacher_version(settings(name))
    (tmp_path / "teacher" / "config.json").write_text(
        (tmp_path / "teacher" / "config.json")
        .read_text()
        .replace('"hidden_dropout_prob": 0.1', '"hidden_dropout_prob": 0.2')
    )
    assert teacher_version(settings(name)) != before


@pytest.mark.parametrize("objective", ["margin_mse", "kl"])
def test_a_student_learns_from_its_teacher(tmp_path, objective):
    name = tiny_cross_encoder(tmp_path / "teacher")
    spec = tiny_model(tmp_path / "base")
    chosen = settings(name, objective).model_copy(update={"epochs": 6})
    report = finetune(rows(32), None, spec, chosen, tmp_path / "out", tmp_path / "work", "cpu")
    losses = [loss for _, loss in report.losses]
    assert np.mean(losses[-2:]) < 0.8 * np.mean(losses[:2])


def test_smaller_dimensions_are_offered_by_the_tuned_model(tmp_path):
    spec = tiny_model(tmp_path / "base")
    chosen = FinetuneSettings(
        epochs=1, batch_size=16, warmup_steps=1, hard_negatives=1, learning_rate=3e-3, matryoshka_dimensions=(8, 16)
    )
    finetune(rows(32), retrieval_set(32), spec, chosen, tmp_path / "out", tmp_path / "work", "cpu")
    assert EncoderSpec.load(tmp_path / "out").dimensions == (32, 16, 8)


def test_the_group_objective_trains(tmp_path):
    spec = tiny_model(tmp_path / "base")
    chosen = FinetuneSettings(
        objective="group", epochs=4, batch_size=16, warmup_steps=1, hard_negatives=1, learning_rate=3e-3
    )
    report = finetune(rows(32), None, spec, chosen, tmp_path / "out", tmp_path / "work", "cpu")
    losses = [loss for _, loss in report.losses]
    assert np.mean(losses[-2:]) < 0.8 * np.mean(losses[:2])
