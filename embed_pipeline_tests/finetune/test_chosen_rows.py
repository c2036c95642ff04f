"""A share of the training questions: whole components, nested, whatever the order of the rows."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.finetune.share import chosen_rows
from embed_pipeline.finetune.train import finetune
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import rows, tiny_model


def made(sizes: list[int]) -> list[TrainingRow]:
    """Components of so many questions each; every third question has two rows."""
    found = []
    for component, size in enumerate(sizes):
        for number in range(size):
            question = f"c{component}q{number}"
            found += [
                TrainingRow(f"{question}_{i}", question, "q", "p", "text", "p", [], [], [], f"c{component}")
                for i in range(2 if number % 3 == 0 else 1)
            ]
    return found


def questions(given_rows: list[TrainingRow]) -> set[str]:
    return {row.question_id for row in given_rows}


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=8),
    st.floats(0.01, 1.0),
    st.floats(0.01, 1.0),
    st.integers(0, 3),
)
def test_shares_are_exact_nested_and_by_component(sizes, one, other, seed):
    every = made(sizes)
    low, high = sorted((one, other))
    few, more = (chosen_rows(every, FinetuneSettings(seed=seed, training_share=share)) for share in (low, high))
    assert questions(few) <= questions(more)
    assert len(questions(few)) == math.ceil(low * len(questions(every)))
    assert few == [row for row in every if row.question_id in questions(few)]  # in order, and all rows of a question
    whole: dict[str, set[str]] = {row.component: set() for row in every}
    for row in every:
        whole[row.component].add(row.question_id)
    torn = [name for name, own in whole.items() if own & questions(few) and not own <= questions(few)]
    assert len(torn) <= 1


def test_the_order_of_the_rows_does_not_matter_but_the_seed_does():
    every = made([3] * 10)
    mixed = random.Random(1).sample(every, len(every))
    half = FinetuneSettings(training_share=0.5)
    assert questions(chosen_rows(mixed, half)) == questions(chosen_rows(every, half))
    assert questions(chosen_rows(every, half.model_copy(update={"seed": 1}))) != questions(chosen_rows(every, half))
    assert chosen_rows(every, FinetuneSettings()) == every


def test_training_takes_the_share(tmp_path):
    settings = FinetuneSettings(epochs=1, batch_size=4, hard_negatives=0, training_share=0.5, learning_rate=1e-3)
    report = finetune(rows(16), None, tiny_model(tmp_path / "m"), settings, tmp_path / "out", tmp_path / "work", "cpu")
    assert (report.rows, report.steps) == (8, 2)
    assert json.loads((tmp_path / "out" / "training_log.json").read_text())["rows"] == 8


@pytest.mark.parametrize("share", [0, 1.5])
def test_other_shares_are_refused(share):
    with pytest.raises(ValueError, match="training_share"):
        FinetuneSettings(training_share=share)
