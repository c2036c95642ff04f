"""Batches: no row lost, no false negative, no question met twice."""

from collections import Counter
from dataclasses import replace
from itertools import chain

import pytest
from accelerate.data_loader import BatchSamplerShard
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.finetune.batches import SeparatingBatchSampler, fit_batch_size, row_keys
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import rows


@st.composite
def training_rows(draw):
    """Questions with several positives, positives with several questions, repeated texts under other ids."""
    made = []
    for index in range(draw(st.integers(1, 40))):
        for place in range(draw(st.integers(1, 3))):
            positive = draw(st.integers(0, 25))
            negatives = draw(st.lists(st.integers(0, 25), max_size=3, unique=True))
            made.append(
                TrainingRow(
                    row_id=f"q{index}_{place}",
                    question_id=f"q{index}",
                    question=f"question {index % 30}",
                    positive_id=f"p{positive}",
                    positive=f"text {positive % 20}",
                    positive_group=f"g{positive % 15}",
                    negative_ids=[f"p{number}" for number in negatives],
                    negatives=[f"text {number % 20}" for number in negatives],
                    negative_groups=[f"g{number % 15}" for number in negatives],
                    component="c",
                )
            )
    return made


@given(training_rows(), st.integers(1, 9), st.integers(0, 3))
def test_every_row_once_per_epoch_and_no_shared_question_or_positive(made, size, seed):
    keys = row_keys(made)
    sampler = SeparatingBatchSampler(keys, size, seed, epochs=3)
    known = {name: {row.positive for row in made if row.question_id == name} for name in {r.question_id for r in made}}
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert Counter(row for batch in batches for row in batch) == Counter(range(len(made)))
        assert all(1 <= len(batch) <= size for batch in batches)
        for batch in batches:
            chosen = [made[row] for row in batch]
            assert len({row.question for row in chosen}) == len(chosen)
            assert len({row.positive_id for row in chosen}) == len(chosen)
            for row in chosen:
                others = {other.positive for other in chosen if other is not row}
                assert not others & known[row.question_id]


@given(training_rows(), st.integers(1, 9), st.integers(1, 4))
def test_processes_get_equal_shares_and_no_row_is_lost(made, size, processes):
    sampler = SeparatingBatchSampler(row_keys(made), size, 0, epochs=2, processes=processes)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for _ in range(2):  # sharing out changes no batch
            shares = [list(BatchSamplerShard(sampler, processes, rank)) for rank in range(processes)]
            assert {len(share) for share in shares} == {len(sampler) // processes}
            assert Counter(map(tuple, chain.from_iterable(shares))) == Counter(map(tuple, sampler))
        seen = Counter(row for batch in sampler for row in batch)
        assert set(seen) == set(range(len(made)))
        assert max(seen.values()) == 1 or len(made) < len(sampler)


def test_seeded_and_different_in_every_epoch():
    keys = row_keys(rows(40))
    one, same, other = (SeparatingBatchSampler(keys, 8, seed, epochs=2) for seed in (1, 1, 2))
    first = list(one)
    assert first == list(same) != list(other)
    one.set_epoch(1)
    assert list(one) != first
    assert len(first) == 5


def test_rows_of_one_question_end_in_small_batches():
    made = [replace(row, question_id="q", question="same") for row in rows(5)]
    batches = list(SeparatingBatchSampler(row_keys(made), 4, 0, epochs=1))
    assert [len(batch) for batch in batches] == [1] * 5


@pytest.mark.parametrize(
    ("count", "wanted", "expected"),
    [(1, 128, 1), (5, 128, 5), (100, 128, 16), (400, 128, 50), (400, 32, 32), (5000, 128, 128)],
)
def test_batch_size_fits_the_rows(count, wanted, expected):
    assert fit_batch_size(count, FinetuneSettings(batch_size=wanted)) == expected


@given(training_rows(), st.integers(1, 9), st.integers(0, 3), st.floats(0.01, 1))
def test_batches_by_document_hold_every_row_once_as_well(made, size, seed, share):
    keys, documents = row_keys(made), [f"d{int(row.positive_id[1:]) % 4}" for row in made]
    sampler = SeparatingBatchSampler(keys, size, seed, 2, documents=documents, together=share)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert Counter(row for batch in batches for row in batch) == Counter(range(len(made)))
        for batch in batches:
            chosen = [made[row] for row in batch]
            assert len({row.question for row in chosen}) == len({row.positive_id for row in chosen}) == len(chosen)


def documents_met(share: float) -> float:
    """Documents of a batch, mean: 20 documents with 16 rows each, batches of 16."""
    made, documents = rows(320), [f"d{index // 16}" for index in range(320)]
    sampler = SeparatingBatchSampler(row_keys(made), 16, 0, 1, documents=documents, together=share)
    met = [len({documents[row] for row in batch}) for batch in sampler]
    return sum(met) / len(met)


def test_a_share_of_the_batches_is_filled_document_by_document():
    assert documents_met(0.0) > 9
    assert documents_met(1.0) == 1
    half = [documents_met(share) for share in (0.25, 0.5, 0.75)]
    assert half == sorted(half, reverse=True)
    assert 4 < half[1] < 7


def test_other_documents_stand_together_in_another_epoch():
    made, documents = rows(64), [f"d{index // 8}" for index in range(64)]
    sampler = SeparatingBatchSampler(row_keys(made), 8, 0, 2, documents=documents, together=0.5)
    alone = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        batches = [{documents[row] for row in batch} for batch in sampler]
        alone.append({next(iter(batch)) for batch in batches if len(batch) == 1})
    assert len(alone[0]) >= 4
    assert alone[0] != alone[1]
