"""Every objective against its formula, whole and in pieces, in full and in smaller dimensions."""

from typing import Any

import pytest
import torch

from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.errors import SettingsError
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.losses import build_loss, offered_dimensions
from embed_pipeline.finetune.objectives import Group, InBatch, inner_product
from embed_pipeline.finetune.teacher import PairTeacher
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import rows, tiny_model

SETTINGS = FinetuneSettings(hard_negatives=1, temperature=0.05)
TEACHER = [[2.0, -1.0], [1.0, 0.5], [3.0, 0.0], [0.5, 1.5], [1.0, 1.0], [2.0, 2.0]]
KINDS = ("in_batch", "group", "margin_mse", "kl")


@pytest.fixture
def problem(tmp_path):
    spec = tiny_model(tmp_path)
    model = load_sentence_transformer(spec, "cpu").eval()  # no dropout
    return spec, model, *batch_of(model, spec)


def batch_of(model, spec, chosen=range(4), teacher=TEACHER):
    batch = Collator(rows(6), model.preprocess, spec, SETTINGS, PairTeacher(teacher))(
        [{"row": index} for index in chosen]
    )
    columns = [
        {name.removeprefix(f"{role}_"): value for name, value in batch.items() if name.startswith(role)}
        for role in ("query", "passage")
    ]
    return columns, batch["label"]


def settings_for(kind, **changes):
    return SETTINGS.model_copy(update={"objective": kind, **changes})


def fresh(columns):
    return [dict(column) for column in columns]


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])


def similarities(model, columns):
    queries, passages = (model(dict(column))["sentence_embedding"] for column in columns)
    return queries @ passages.T


def reference_loss(similarity, labels, scale):
    """The reference recipe: each question against its own positive and negatives, cross-entropy with label 0."""
    losses = []
    for row in range(len(similarity)):
        own = [column for column in labels["own"][row].nonzero().flatten().tolist() if column != row]
        logits = torch.stack([similarity[row, row], *(similarity[row, column] for column in own)]) * scale
        losses.append(torch.nn.functional.cross_entropy(logits.unsqueeze(0), torch.tensor([0])))
    return torch.stack(losses).mean()


def margins(similarity, labels, scale):
    found = []
    for row in range(len(similarity)):
        for column in labels["own"][row].nonzero().flatten().tolist():
            if column != row:
                student = (similarity[row, row] - similarity[row, column]) * scale
                found.append((student - (labels["teacher"][row, row] - labels["teacher"][row, column])) ** 2)
    return torch.stack(found).mean()


def divergence(similarity, labels, scale):
    found = []
    for row in range(len(similarity)):
        own = labels["own"][row]
        student = (similarity[row, own] * scale).log_softmax(0)
        found.append(torch.nn.functional.kl_div(student, labels["teacher"][row, own].softmax(0), reduction="sum"))
    return torch.stack(found).mean()


def in_batch(similarity, labels, scale):
    return torch.nn.functional.cross_entropy(similarity * scale, torch.arange(len(similarity)))


FORMULAS = {"in_batch": in_batch, "group": reference_loss, "margin_mse": margins, "kl": divergence}


@pytest.mark.parametrize("kind", KINDS)
def test_formula(problem, kind):
    spec, model, columns, labels = problem
    expected = FORMULAS[kind](similarities(model, columns), labels, 20.0)
    loss = build_loss(model, spec, settings_for(kind), 4)(fresh(columns), labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_whole_batch_is_the_peer_s_loss(problem):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    spec, model, columns, labels = problem
    peer = MultipleNegativesRankingLoss(model, scale=20.0, similarity_fct=inner_product)(fresh(columns), None)
    assert build_loss(model, spec, SETTINGS, 4)(fresh(columns), labels).item() == peer.item()


@pytest.mark.parametrize("dimensions", [(), (16, 8)])
@pytest.mark.parametrize("margin", [None, 0.0])
@pytest.mark.parametrize("kind", KINDS)
def test_in_pieces_gives_the_same_loss_and_gradients(problem, kind, margin, dimensions):
    spec, model, columns, labels = problem
    labels["left_out"][0, 2] = labels["left_out"][3, 1] = True
    chosen = settings_for(kind, matryoshka_dimensions=dimensions, false_negative_margin=margin)
    whole = build_loss(model, spec, chosen.model_copy(update={"grad_cache": "off"}), 4)
    pieces = build_loss(model, spec, chosen.model_copy(update={"grad_cache": "on", "mini_batch_size": 2}), 4)
    loss, other = whole(fresh(columns), labels), pieces(fresh(columns), labels)
    assert other.item() == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(gradients(model, loss), gradients(model, other), atol=2e-4, rtol=1e-3)


def test_in_pieces_with_dropout_replays_the_same_masks(problem):
    spec, model, columns, labels = problem
    model.train()
    pieces = build_loss(model, spec, settings_for("in_batch", grad_cache="on", mini_batch_size=64), 4)
    torch.manual_seed(1)
    found = gradients(model, pieces(fresh(columns), labels))
    torch.manual_seed(1)
    queries, passages = (model(dict(column))["sentence_embedding"] for column in columns)
    direct = InBatch(20.0)(queries, passages, labels, slice(0, len(queries)))
    torch.testing.assert_close(found, gradients(model, direct), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["in_batch", "group"])
def test_what_is_left_out_has_no_influence(problem, kind):
    spec, model, columns, labels = problem
    loss = build_loss(model, spec, settings_for(kind), 4)
    before = loss(fresh(columns), labels)
    labels["left_out"][1, 2] = True  # row 1's own negative
    after = loss(fresh(columns), labels)
    assert after.item() < before.item()
    similarity = similarities(model, columns)
    masked = (similarity * 20).masked_fill(labels["left_out"], -torch.inf)
    if kind == "in_batch":
        assert after.item() == pytest.approx(in_batch(masked / 20, labels, 20.0).item(), rel=1e-5)


def test_scores_too_close_to_the_positive_are_left_out():
    queries = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), dim=1)
    passages = torch.nn.functional.normalize(torch.tensor([[0.6, 0.8], [0.0, 1.0], [1.0, 0.1]]), dim=1)
    labels = {"own": torch.eye(2, 3).bool(), "left_out": torch.zeros(2, 3).bool()}
    rows_ = slice(0, 2)
    strict = InBatch(10.0, 0.1)(queries, passages, labels, rows_)
    labels["left_out"][0, 2] = True  # 0.995 against 0.6 of the positive
    assert strict.item() == pytest.approx(InBatch(10.0)(queries, passages, labels, rows_).item())
    lax = InBatch(10.0, 0.5)(queries, passages, labels, rows_)
    assert lax.item() == pytest.approx(strict.item())


def test_a_row_without_negatives_of_its_own_adds_nothing_to_group():
    queries = torch.eye(2)
    labels = {"own": torch.eye(2).bool(), "left_out": torch.zeros(2, 2).bool()}
    assert Group(20.0)(queries, queries, labels, slice(0, 2)).item() == 0


def test_small_batches_are_held_whole_large_ones_in_pieces(problem):
    spec, model, *_ = problem
    kinds = {size: type(build_loss(model, spec, SETTINGS, size)).__name__ for size in (4, 4096)}
    assert kinds == {4: "LossAtOnce", 4096: "LossInPieces"}


def test_matryoshka_adds_the_loss_of_each_prefix(problem):
    spec, model, columns, labels = problem
    queries, passages = (model(dict(column))["sentence_embedding"] for column in columns)
    expected = 0.0
    for size in (32, 8):
        short = [torch.nn.functional.normalize(vectors[:, :size], dim=1) for vectors in (queries, passages)]
        expected += InBatch(20.0)(short[0], short[1], labels, slice(0, 4)).item()
    loss = build_loss(model, spec, settings_for("in_batch", matryoshka_dimensions=(8,)), 4)
    assert loss(fresh(columns), labels).item() == pytest.approx(expected, rel=1e-5)


def test_dimensions_offered(problem):
    spec, *_ = problem
    assert offered_dimensions(spec, SETTINGS) == (32,)
    assert offered_dimensions(spec, settings_for("in_batch", matryoshka_dimensions=(8, 32, 16, 8))) == (32, 16, 8)
    with pytest.raises(SettingsError, match=r"matryoshka_dimensions names 64.*32 dimensions"):
        offered_dimensions(spec, settings_for("in_batch", matryoshka_dimensions=(64,)))


def test_similarity_stays_in_float32_under_autocast():
    vectors = torch.nn.functional.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert inner_product(vectors, vectors).dtype == torch.float32


def test_without_normalisation_there_is_no_temperature(problem):
    spec, model, *_ = problem
    loss: Any = build_loss(model, spec.model_copy(update={"normalize": False}), SETTINGS, 4)
    assert loss.objective.scale == 1
