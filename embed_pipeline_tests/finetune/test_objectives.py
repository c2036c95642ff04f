"""What objectives say of themselves against what the settings ask for, and how one more of them is trained for."""

from collections.abc import Sequence
from typing import get_args

import pytest
import torch

from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.errors import SettingsError
from embed_pipeline.finetune.collate import Collator, Passage
from embed_pipeline.finetune.losses import build_loss
from embed_pipeline.finetune.objectives import OBJECTIVES, Objective, check_objective, objective
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import rows, tiny_model


def accepted(name: str, **values: object) -> bool:
    teacher = {"teacher": "some/model"} if OBJECTIVES[name].needs_teacher else {}
    try:
        check_objective(FinetuneSettings.model_validate({"objective": name, **teacher, **values}))
    except SettingsError:
        return False
    return True


def test_the_settings_offer_every_objective_and_no_other():
    assert set(get_args(FinetuneSettings.model_fields["objective"].annotation)) == set(OBJECTIVES)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_settings_ask_for_what_an_objective_needs_and_refuse_what_it_has_no_use_for(name):
    kind = OBJECTIVES[name]
    assert accepted(name)
    assert accepted(name, teacher=None) != kind.needs_teacher
    assert accepted(name, teacher="some/model") == kind.needs_teacher
    assert accepted(name, hard_negatives=0) != kind.needs_negatives
    assert accepted(name, false_negative_margin=0.1) == kind.takes_margin


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"teacher": "m"}, "finetune.teacher is set, but finetune.objective is in_batch; kl and margin_mse learn"),
        ({"objective": "kl", "teacher": "m", "false_negative_margin": 0.1}, "false_negative_margin is set"),
        ({"objective": "kl"}, "finetune.teacher names no model"),
        ({"objective": "group", "hard_negatives": 0}, "needs finetune.hard_negatives"),
    ],
)
def test_what_is_refused_is_named(values, message):
    with pytest.raises(SettingsError, match=message):
        check_objective(FinetuneSettings.model_validate(values))


@pytest.fixture
def hinge():
    """One more objective, as a user would add it."""

    @objective("hinge")
    class Hinge(Objective):
        """Mean over questions of ``max(0, 1 - s+ + highest other s)``."""

        needs_negatives = True
        meets_other_processes = True

        def of_questions(self, questions):
            others = questions.similarity.masked_fill(questions.positive | questions.left_out, -torch.inf)
            return (1 - questions.similarity[questions.positive] + others.max(1).values).clamp(min=0).mean()

    yield Hinge
    del OBJECTIVES["hinge"]


@pytest.mark.parametrize("changes", [{}, {"grad_cache": "on", "mini_batch_size": 3}, {"matryoshka_dimensions": (8,)}])
def test_one_more_objective_is_trained_for_whole_in_pieces_and_in_smaller_dimensions(tmp_path, hinge, changes):
    spec = tiny_model(tmp_path)
    model = load_sentence_transformer(spec, "cpu").eval()
    settings = FinetuneSettings(hard_negatives=1).model_copy(update={"objective": "hinge", **changes})
    gathered: list[Passage] = []

    def from_others(columns: Sequence[Passage]) -> list[Passage]:
        gathered.extend(columns)
        return []

    collator = Collator(rows(4), model.preprocess, spec, settings, None, from_others)
    batch = collator([{"row": row} for row in range(4)])
    assert gathered  # it meets the passages of other processes
    columns = [
        {name.removeprefix(f"{role}_"): value for name, value in batch.items() if name.startswith(role)}
        for role in ("query", "passage")
    ]
    vectors = [model(dict(column))["sentence_embedding"] for column in columns]
    expected = 0.0
    for size in (32, *changes.get("matryoshka_dimensions", ())):
        queries, passages = (torch.nn.functional.normalize(part[:, :size], dim=1) for part in vectors)
        similarity = queries @ passages.T
        own = similarity.diagonal()
        others = similarity.masked_fill(torch.eye(*similarity.shape, dtype=torch.bool), -torch.inf)
        expected += (1 - own + others.max(1).values).clamp(min=0).mean().item()
    loss = build_loss(model, spec, settings, 4)(columns, batch["label"])
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    loss.backward()
    assert any(value.grad is not None and value.grad.abs().sum() > 0 for value in model.parameters())
