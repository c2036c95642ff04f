"""Batches: every passage once, and nothing that answers a question counts against it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.finetune.batches import SeparatingBatchSampler, row_keys
from embed_pipeline.finetune.collate import Collator, Passage, answers, negatives_of, positive_of
from embed_pipeline.finetune.teacher import PairTeacher
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline.text.forms import same_text_key
from embed_pipeline_tests.finetune.build import rows
from embed_pipeline_tests.finetune.test_batches import training_rows

SPEC = EncoderSpec(
    model="none",
    content_sha256="0",
    query_prompt="query: ",
    passage_prompt="passage: ",
    max_query_length=16,
    max_passage_length=32,
    dimensions=(4,),
)


def collator(made, negatives=2, teacher=None):
    return Collator(made, lambda *_, **__: {}, SPEC, FinetuneSettings(hard_negatives=negatives), teacher)


def batches(made, size, collate):
    """(rows, columns) of every batch of an epoch."""
    for batch in SeparatingBatchSampler(row_keys(made), size, 0, epochs=1):
        yield batch, collate.columns(batch)


def same(one: Passage, other: Passage) -> bool:
    return one.name == other.name or same_text_key(one.text) == same_text_key(other.text) or one.group == other.group


@given(training_rows(), st.integers(1, 20))
def test_columns_hold_positives_in_order_and_every_negative_once(made, size):
    collate = collator(made)
    for batch, columns in batches(made, size, collate):
        assert columns[: len(batch)] == [positive_of(made[row]) for row in batch]
        texts = [column.text for column in columns]
        assert len(set(texts[len(batch) :])) == len(texts[len(batch) :])
        offered = {one.text for row in batch for one in negatives_of(made[row], 2)}
        assert set(texts) == offered | {made[row].positive for row in batch}


@given(training_rows(), st.integers(1, 20))
def test_no_passage_that_answers_a_question_counts_against_it(made, size):
    collate = collator(made)
    for batch, columns in batches(made, size, collate):
        left_out = collate.labels(batch, columns)["left_out"]
        assert not left_out[np.arange(len(batch)), np.arange(len(batch))].any()
        for place, row in enumerate(batch):
            known = [
                positive_of(other)
                for other in made
                if other.question_id == made[row].question_id or other.question == made[row].question
            ]
            for other, column in enumerate(columns):
                if other != place and any(same(column, positive) for positive in known):
                    assert left_out[place, other]


@given(training_rows(), st.integers(1, 20))
def test_own_are_the_positive_and_the_negatives_of_the_row(made, size):
    collate = collator(made)
    for batch, columns in batches(made, size, collate):
        own = collate.labels(batch, columns)["own"]
        for place, row in enumerate(batch):
            texts = {columns[column].text for column in np.flatnonzero(own[place])}
            assert texts == {made[row].positive, *(one.text for one in negatives_of(made[row], 2))}


def test_unrelated_passages_are_never_left_out():
    made = rows(6)
    labels = collator(made, 1).labels(range(6), collator(made, 1).columns(range(6)))
    assert not labels["left_out"].any()
    assert "teacher" not in labels


def test_a_shared_positive_relates_questions():
    first, second, third = rows(3)
    linked = [first, _about(second, first), third]
    known = answers([*linked, _about(second, third)])
    # second asks about first's passage and about third's: both answer first as well
    assert f"id {third.positive_id}" in known[0]
    assert f"id {first.positive_id}" in known[2]


def test_what_holds_the_evidence_is_left_out_unless_it_is_an_own_negative():
    made = rows(4)
    made[0] = replace(made[0], evidence_ids=[made[0].negative_ids[0], made[2].positive_id, "elsewhere"])
    collate = collator(made, 1)
    columns = collate.columns(range(4))
    left_out = collate.labels(range(4), columns)["left_out"]
    assert [columns[place].name for place in np.flatnonzero(left_out[0])] == [made[2].positive_id]
    assert not left_out[1:].any()


def _about(row, other):
    return replace(row, positive_id=other.positive_id, positive=other.positive, positive_group=other.positive_group)


def test_teacher_scores_stand_where_the_passages_are():
    made = rows(3)
    collate = collator(made, 1, teacher=PairTeacher([[3.0, 1.0], [2.0, 0.5], [4.0, -1.0]]))
    columns = collate.columns([2, 0])
    labels = collate.labels([2, 0], columns)
    assert [column.name for column in columns] == ["p2", "p0", "p1"]
    assert labels["teacher"].tolist() == [[4.0, -1.0, 0.0], [0.0, 3.0, 1.0]]
    assert labels["taught"].tolist() == labels["own"].tolist() == [[True, True, False], [False, True, True]]


def test_prompts_and_lengths_of_each_role():
    calls = []

    def preprocess(texts, max_length):
        calls.append((texts, max_length))
        return {"input_ids": len(texts)}

    made = rows(3)
    settings = FinetuneSettings(max_query_length=8, max_passage_length=256, hard_negatives=1)
    batch = Collator(made, preprocess, SPEC, settings)([{"row": 0}, {"row": 1}])
    assert calls[0] == (["query: " + made[0].question, "query: " + made[1].question], 8)
    assert calls[1] == (["passage: " + made[index].positive for index in (0, 1, 2)], 32)
    assert (batch["query_input_ids"], batch["passage_input_ids"]) == (2, 3)
    assert batch["label"]["own"].tolist() == [[True, True, False], [False, True, True]]


@pytest.mark.parametrize("count", [0, 1])
def test_only_the_negatives_asked_for(count):
    assert len(collator(rows(2), count).columns([0])) == 1 + count
