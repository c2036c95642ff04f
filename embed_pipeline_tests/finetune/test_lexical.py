"""Residual training: BM25 beside the cosine, on the scale of the fusion, and what the model then learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.errors import SettingsError
from embed_pipeline.files import hash_tree
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.lexical import LexicalScores
from embed_pipeline.finetune.losses import build_loss
from embed_pipeline.finetune.objectives import InBatch, check_objective
from embed_pipeline.finetune.train import finetune
from embed_pipeline.progress import reporting
from embed_pipeline.retrieval.bm25 import K1, B, Bm25Index
from embed_pipeline.retrieval.fusion import convex
from embed_pipeline.retrieval.word_index import word_index
from embed_pipeline.settings import Bm25Settings, FinetuneSettings
from embed_pipeline_tests.finetune.build import retrieval_set, rows, tiny_model
from embed_pipeline_tests.finetune.share import columns_of
from embed_pipeline_tests.finetune.test_batches import training_rows
from embed_pipeline_tests.finetune.test_train import Interrupted, Interrupter, Listener

SHARE = 0.3
SETTINGS = FinetuneSettings(hard_negatives=1, temperature=0.05, lexical_share=SHARE)


def batch_of(model, spec, settings=SETTINGS, count=6, chosen=range(4)):
    batch = Collator(rows(count), model.preprocess, spec, settings)([{"row": row} for row in chosen])
    return columns_of(batch), batch["label"]


@given(training_rows())
def test_scores_are_those_of_the_fusion_over_all_training_passages(made):
    texts = list(dict.fromkeys(text for row in made for text in (row.positive, *row.negatives[:2])))
    questions = [row.question for row in made]
    plain = Bm25Settings(stemming="off", k1=K1, b=B)
    found = LexicalScores(made, 2, plain).of(questions, texts)
    best = Bm25Index(texts).top_k(questions, len(texts))
    sparse = {str(row): {str(place): score for place, score in found} for row, found in enumerate(best)}
    fused = convex(sparse, {}, len(texts), weight=0)
    expected = [
        [fused.get(str(row), {}).get(str(place), 0.0) for place in range(len(texts))] for row in range(len(made))
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_words_are_compared_as_people_search():
    made = [
        replace(row, question="refunding a boat", positive=text, negatives=[])
        for row, text in zip(
            rows(3), ("refunds for boats are paid", "the lion sleeps here", "a lamp is a light"), strict=True
        )
    ]
    texts = [row.positive for row in made]
    stems = LexicalScores(made, 0).of(["refunding boat"], texts)[0]
    assert stems.tolist() == [1.0, 0.0, 0.0]
    assert LexicalScores(made, 0, Bm25Settings(stemming="off")).of(["refunding boat"], texts).max() == 0
    searched = word_index(texts, None, Bm25Settings()).scores(["refunding a boat"])[0]
    np.testing.assert_allclose(LexicalScores(made, 0).of(["refunding a boat"], texts)[0], searched / searched.max())


@given(training_rows(), st.data())
def test_a_score_depends_on_no_other_passage_of_the_batch(made, data):
    texts = list(dict.fromkeys(row.positive for row in made))
    part = data.draw(st.lists(st.sampled_from(texts), min_size=1))
    lexical, question = LexicalScores(made, 2), [made[0].question]
    whole = dict(zip(texts, lexical.of(question, texts)[0], strict=True))
    assert lexical.of(question, part)[0].tolist() == [whole[text] for text in part]


@pytest.mark.parametrize("dimensions", [(), (8,)])
@pytest.mark.parametrize("kind", ["in_batch", "group"])
def test_loss_and_gradients_are_those_of_the_mixture(tmp_path, kind, dimensions):
    spec = tiny_model(tmp_path)
    model = load_sentence_transformer(spec, "cpu").eval()
    settings = SETTINGS.model_copy(update={"objective": kind, "matryoshka_dimensions": dimensions})
    columns, labels = batch_of(model, spec, settings)
    assert 0 <= labels["lexical"].min() < labels["lexical"].max() <= 1
    vectors = [model(dict(column))["sentence_embedding"] for column in columns]
    expected = torch.zeros(())
    for size in (32, *dimensions):
        queries, passages = (torch.nn.functional.normalize(part[:, :size], dim=1) for part in vectors)
        logits = ((1 - SHARE) * (queries @ passages.T) + SHARE * labels["lexical"]) / 0.05
        if kind == "group":
            logits = logits.masked_fill(~labels["own"], -torch.inf)
        expected = expected + torch.nn.functional.cross_entropy(logits, torch.arange(4))
    wanted = gradients(model, expected)
    for way in ({"grad_cache": "off"}, {"grad_cache": "on", "mini_batch_size": 3}):
        loss = build_loss(model, spec, settings.model_copy(update=way), 4)([dict(one) for one in columns], labels)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
        torch.testing.assert_close(gradients(model, loss), wanted, atol=2e-4, rtol=1e-3)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])


def test_what_words_explain_brings_less_loss():
    queries = passages = torch.nn.functional.normalize(torch.tensor([[1.0, 0.1], [1.0, -0.1]]), dim=1)
    labels = {"own": torch.eye(2).bool(), "left_out": torch.zeros(2, 2).bool()}

    def pull(lexical):
        vectors = queries.clone().requires_grad_()
        labels["lexical"] = lexical
        InBatch(10.0, None, 0.5)(vectors, passages, labels, slice(0, 2)).backward()
        return vectors.grad.norm().item()

    explained, not_explained, misled = torch.eye(2), torch.zeros(2, 2), 1 - torch.eye(2)
    assert pull(explained) < pull(not_explained) < pull(misled)


def test_without_a_share_nothing_is_scored_and_nothing_changes(tmp_path):
    spec = tiny_model(tmp_path)
    model = load_sentence_transformer(spec, "cpu").eval()
    columns, labels = batch_of(model, spec, SETTINGS.model_copy(update={"lexical_share": 0.0}))
    assert "lexical" not in labels
    plain = build_loss(model, spec, SETTINGS.model_copy(update={"lexical_share": 0.0}), 4)
    queries, passages = (model(dict(column))["sentence_embedding"] for column in columns)
    expected = torch.nn.functional.cross_entropy(queries @ passages.T * 20, torch.arange(4))
    assert plain([dict(one) for one in columns], labels).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("objective", ["kl", "margin_mse"])
def test_objectives_without_a_use_for_it_refuse_it(objective):
    with pytest.raises(SettingsError, match=rf"lexical_share is set, but finetune.objective is {objective}"):
        check_objective(FinetuneSettings(objective=objective, teacher="m", lexical_share=0.3))


def test_a_model_whose_inner_products_have_no_scale_is_refused(tmp_path):
    spec = tiny_model(tmp_path)
    with pytest.raises(SettingsError, match=r"lexical_share needs a model whose vectors are normalised"):
        build_loss(load_sentence_transformer(spec, "cpu"), spec.model_copy(update={"normalize": False}), SETTINGS, 4)


def test_it_trains_and_goes_on_after_a_kill_to_the_same_bytes(tmp_path):
    spec = tiny_model(tmp_path / "base")
    settings = FinetuneSettings(
        epochs=2, batch_size=8, learning_rate=3e-3, warmup_steps=1, temperature=0.1, hard_negatives=1, lexical_share=0.3
    )
    made = [replace(row, question=f"tell me of {row.question.split()[3]}") for row in rows(40)]

    def train(name, reporter, chosen=settings):
        folder = tmp_path / name
        with reporting(reporter):
            report = finetune(made, retrieval_set(40), spec, chosen, folder / "out", folder / "work", "cpu")
        return report, hash_tree(folder / "out")

    report, whole = train("whole", Listener())
    losses = [loss for _, loss in report.losses]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    with pytest.raises(Interrupted):
        train("again", Interrupter([7]))
    assert train("again", Listener())[1] == whole
    plain, weights = train("again", Listener(), settings.model_copy(update={"lexical_share": 0.0}))  # begins anew
    assert plain.losses[0] != report.losses[0]
    assert weights["model.safetensors"] != whole["model.safetensors"]
