"""The loss against its formula, whole and in pieces."""

import pytest
import torch

from embed_pipeline.encoder import load_sentence_transformer
from embed_pipeline.finetune import losses
from embed_pipeline.finetune.dataset import Collator
from embed_pipeline.finetune.losses import build_loss, inner_product
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import rows, tiny_model

SETTINGS = FinetuneSettings(hard_negatives=1, temperature=0.05)


@pytest.fixture
def problem(tmp_path):
    spec = tiny_model(tmp_path)
    model = load_sentence_transformer(spec, "cpu").eval()  # no dropout
    batch = Collator(rows(6), model.preprocess, spec, SETTINGS)([{"row": index} for index in range(4)])
    columns = [
        {name.removeprefix(f"{role}_"): value for name, value in batch.items() if name.startswith(role)}
        for role in ("query", "passage")
    ]
    return spec, model, columns


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])


def test_formula(problem):
    spec, model, columns = problem
    queries, passages = (model(dict(column))["sentence_embedding"] for column in columns)
    assert len(queries) == 4
    assert len(passages) == 5  # four positives; three of four negatives are another row's positive
    expected = torch.nn.functional.cross_entropy(queries @ passages.T / 0.05, torch.arange(4))
    assert build_loss(model, spec, SETTINGS, 4)(columns, None).item() == pytest.approx(expected.item(), abs=1e-5)


def test_in_pieces_gives_the_same_loss_and_gradients(problem, monkeypatch):
    spec, model, columns = problem
    whole = build_loss(model, spec, SETTINGS, 4)
    monkeypatch.setattr(losses, "TOKENS_AT_ONCE", 64)
    pieces = build_loss(model, spec, SETTINGS, 4)
    assert type(pieces) is not type(whole)
    loss, other = whole([dict(column) for column in columns], None), pieces([dict(column) for column in columns], None)
    assert loss.item() == pytest.approx(other.item(), abs=1e-6)
    torch.testing.assert_close(gradients(model, loss), gradients(model, other), atol=1e-5, rtol=1e-4)


def test_similarity_stays_in_float32_under_autocast():
    vectors = torch.nn.functional.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert inner_product(vectors, vectors).dtype == torch.float32


def test_without_normalisation_there_is_no_temperature(problem):
    spec, model, _ = problem
    assert build_loss(model, spec.model_copy(update={"normalize": False}), SETTINGS, 4).scale == 1
