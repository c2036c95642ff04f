"""Training on nothing is stopped with the reason, and what shrinks batches is told with its numbers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import TrainingError
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.job import plan_training
from embed_pipeline.finetune.negatives_met import check_negatives
from embed_pipeline.progress import SilentReporter, reporting
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import rows

SPEC = EncoderSpec(
    model="/somewhere", content_sha256="0" * 64, max_query_length=16, max_passage_length=32, dimensions=(32,)
)
SETTINGS = {"batch_size": 8, "hard_negatives": 0}


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def told(given_rows, processes=1, **settings):
    job = plan_training(given_rows, None, SPEC, FinetuneSettings(**{**SETTINGS, **settings}), processes)
    listener = Listener()
    with reporting(listener):
        check_negatives(job)
    return listener.lines


def about(given_rows, passages, group=False):
    """The rows' positives replaced by those of the first few; or only their near-duplicate groups."""
    others = given_rows[:passages]
    if group:
        return [replace(row, positive_group=f"g{place % passages}") for place, row in enumerate(given_rows)]
    return [
        replace(
            row,
            positive_id=others[place % passages].positive_id,
            positive=others[place % passages].positive,
            positive_group=others[place % passages].positive_group,
        )
        for place, row in enumerate(given_rows)
    ]


def bare(given_rows):
    return [replace(row, negative_ids=[], negatives=[], negative_groups=[]) for row in given_rows]


def test_rows_about_many_passages_say_nothing():
    assert told(rows(24)) == told(bare(rows(24))) == told(rows(24), hard_negatives=2, objective="group") == []


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    "given_rows",
    [
        about(bare(rows(24)), 1),  # one passage
        about(bare(rows(24)), 1, group=True),  # near-duplicates of one
        [replace(row, question_id="q", question="what is it") for row in bare(rows(24))],  # one question, 24 answers
        [replace(row, question="What is it?") for row in bare(rows(24))],
        bare(rows(24))[:1],
        [replace(row, evidence_ids=[f"p{number}" for number in range(24)]) for row in bare(rows(24))],
    ],
    ids=["passage", "near-duplicates", "question", "wording", "one row", "evidence everywhere"],
)
def test_nothing_to_tell_apart_is_refused(given_rows, processes):
    with pytest.raises(TrainingError, match="no question is told apart from a passage that does not answer it"):
        told(given_rows, processes)


def test_the_reason_and_what_helps():
    with pytest.raises(
        TrainingError, match=r"All 24 training rows are about one passage .* finetune.hard_negatives to 4"
    ):
        told(about(rows(24), 1))
    with pytest.raises(TrainingError, match=r"There is one training row, .*prep\.hard_negatives"):
        told(bare(rows(24))[:1])
    with pytest.raises(
        TrainingError, match=r"None of the 24 training rows has a negative that finetune.objective=group"
    ):
        told(bare(rows(24)), objective="group", hard_negatives=2)


def test_hard_negatives_of_one_passage_are_something_to_tell_apart():
    (line, *_) = told(about(rows(24), 1), hard_negatives=2)
    assert "Batches hold 1.0 rows on average instead of 8" in line
    assert "24 different questions, 1 different passages" in line


def test_what_shrinks_batches_is_told_with_its_numbers():
    assert told(about(bare(rows(24)), 2))[0].startswith("Batches hold 2.0 rows on average instead of 8")
    (line,) = told(about(bare(rows(24)), 2, group=True))
    assert line.startswith("A question is told apart from ") and " of the 7.0 other passages of its batch" in line


def test_questions_that_meet_nothing_are_counted():
    half = [*about(bare(rows(40))[:20], 1, group=True), *bare(rows(40))[20:]]
    answers_all = [replace(row, evidence_ids=[f"p{number}" for number in range(40)]) for row in half[:20]]
    lines = told([*answers_all, *half[20:]])
    assert any("50% of the training questions meet no passage that does not answer them" in line for line in lines)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12), st.integers(0, 2))
def test_it_agrees_with_the_labels_that_training_uses(places, negatives):
    made = rows(12)
    given_rows = [
        replace(made[place], positive_id=f"p{passage}", positive=made[passage].positive, positive_group=f"g{group}")
        for place, (passage, group) in enumerate(places)
    ]
    settings = FinetuneSettings(batch_size=4, hard_negatives=negatives)
    job = plan_training(given_rows, None, SPEC, settings)
    collator = Collator(given_rows, lambda *_, **__: {}, SPEC, settings)
    met = 0
    for batch in job.sampler:
        left_out = collator.labels(batch, collator.columns(batch))["left_out"]
        met += int((~left_out).sum()) - len(batch)
    if met:
        check_negatives(job)
    else:
        with pytest.raises(TrainingError):
            check_negatives(job)
