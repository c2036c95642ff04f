"""Unrolled rows, and evidence cut out of inverse-cloze positives."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.finetune.batches import SeparatingBatchSampler, row_keys
from embed_pipeline.prep.mining.negatives import mine_negatives
from embed_pipeline.prep.splits.split import split_items
from embed_pipeline.prep.training_set import cut_evidence, unroll, weighted
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import PrepSettings
from embed_pipeline_tests.prep.build import WordEncoder, corpus, pairs_of, passages_of

ENCODER = WordEncoder()
ALL_TRAIN = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0)
SENTENCE = "The pump runs at 40 bar."
LONG = "Valves close first. The  pump\nruns at 40 bar. Then the operator reads the gauge and writes it down."


def unrolled(pairs: pl.DataFrame, passages: pl.DataFrame) -> dict[str, dict]:
    splits = split_items(pairs, passages, ENCODER, ALL_TRAIN)
    mined = mine_negatives(pairs, passages, splits, ENCODER, ALL_TRAIN).table
    return {row["row_id"]: row for row in unroll(pairs, mined, passages, splits).to_dicts()}


def test_one_row_per_positive_with_texts_as_encoded():
    passages = passages_of({"a": ["first half", "second half"], "b": ["something else"]}, title="Guide")
    rows = unrolled(pairs_of({"q": ("which halves", ["a#1", "a#0"]), "r": ("what else", ["b#0"])}), passages)
    assert list(rows) == ["q_0", "q_1", "r"]
    assert rows["q_0"]["positive"] == "Guide second half"
    assert rows["q_1"]["positive_id"] == "a#0"
    assert rows["q_0"]["negatives"] == ["Guide something else"]
    assert rows["q_0"]["negative_ids"] == rows["q_1"]["negative_ids"] == ["b#0"]
    assert rows["q_0"]["component"] == "a"


def test_near_duplicate_groups_travel():
    passages = passages_of({"a": ["first half"], "b": ["something else"]}, groups={"a#0": "ga", "b#0": "gb"})
    rows = unrolled(pairs_of({"q": ("which half", ["a#0"]), "r": ("what else", ["b#0"])}), passages)
    assert rows["q"]["positive_group"] == "ga"
    assert rows["q"]["negative_groups"] == ["gb"]


def test_other_passages_that_hold_the_evidence_are_named():
    quote = "Then the operator reads the gauge"
    texts = {"a": [LONG], "b": ["something else"], "c": [f"{quote}, again."], "d": [f"Unused: {quote}"]}
    passages = passages_of(texts)
    asked = {"q": ("how hard", ["a#0"]), "r": ("what else", ["b#0"]), "s": ("what again", ["c#0"])}
    pairs = pairs_of(asked, masked={"q": quote})
    splits = split_items(pairs, passages, ENCODER, ALL_TRAIN)
    mined = mine_negatives(pairs, passages, splits, ENCODER, ALL_TRAIN).table.with_columns(negative_ids=[])
    rows = {row["row_id"]: row["evidence_ids"] for row in unroll(pairs, mined, passages, splits).to_dicts()}
    assert rows == {"q": ["c#0"], "r": [], "s": []}


def test_only_training_questions():
    pairs, passages = corpus(12)
    splits = split_items(pairs, passages, ENCODER, PrepSettings())
    mined = mine_negatives(pairs, passages, splits, ENCODER, PrepSettings()).table
    training = splits.filter((pl.col("item_type") == "question") & (pl.col("split") == "train"))["item_id"]
    assert unroll(pairs, mined, passages, splits)["question_id"].to_list() == sorted(training)


def test_masked_evidence_is_cut_and_the_title_stays():
    passages = passages_of({"a": [LONG], "b": [LONG.replace("pump", "fan")]}, title="Pumps")
    pairs = pairs_of({"q": (SENTENCE, ["a#0"]), "r": ("which fan", ["b#0"])}, masked={"q": SENTENCE})
    rows = unrolled(pairs, passages)
    assert rows["q"]["positive"] == "Pumps Valves close first. Then the operator reads the gauge and writes it down."
    assert rows["r"]["positive"].startswith("Pumps Valves close first. The  fan")


def test_what_would_leave_too_little_stays_whole():
    assert cut_evidence(f"Short. {SENTENCE}", [SENTENCE]) == f"Short. {SENTENCE}"


@pytest.mark.parametrize("evidences", [[], [""], ["not in it"]])
def test_without_a_match_nothing_changes(evidences):
    assert cut_evidence(LONG, evidences) == LONG


@given(st.text(max_size=60), st.text(min_size=1, max_size=20), st.text(max_size=60))
def test_a_cut_shortens_the_text_or_leaves_it_whole(before, evidence, after):
    text = f"{before} {evidence} {after}"
    cut = cut_evidence(text, [evidence])
    assert cut == text or 30 <= len(cut) < len(text)


def test_no_training_question_gives_an_empty_table():
    pairs, passages = corpus(2)
    splits = split_items(pairs, passages, ENCODER, ALL_TRAIN).with_columns(split=pl.lit("test"))
    mined = mine_negatives(pairs, passages, splits, ENCODER, ALL_TRAIN).table
    assert unroll(pairs, mined, passages, splits).is_empty()


def test_rows_of_imported_questions_stand_there_as_often_as_they_weigh():
    passages = passages_of({"a": ["first half", "second half"], "b": ["something else"]})
    pairs = pairs_of({"q": ("which halves", ["a#1", "a#0"]), "r": ("what else", ["b#0"])})
    pairs = pairs.with_columns(generator=pl.Series(["imported", "offline/x"]))
    splits = split_items(pairs, passages, ENCODER, ALL_TRAIN)
    once = unroll(pairs, mine_negatives(pairs, passages, splits, ENCODER, ALL_TRAIN).table, passages, splits)
    assert weighted(once, pairs, 1).equals(once)
    rows = weighted(once, pairs, 3)
    assert rows["row_id"].to_list() == ["q_0", "q_1", "q_0~2", "q_1~2", "q_0~3", "q_1~3", "r"]
    assert rows.drop("row_id").unique().height == once.height
    keys = row_keys([TrainingRow(**row) for row in rows.to_dicts()])
    batches = list(SeparatingBatchSampler(keys, 4, 0, 1))
    assert all(sum(row < 6 for row in batch) == 1 for batch in batches if batch != [6])
    assert sorted(row for batch in batches for row in batch) == list(range(7))


def placed(row: dict) -> str:
    return row["positive"][row["evidence_start"] : row["evidence_end"]]


@given(st.sampled_from(["", "Guide"]), st.text(" \n", max_size=3), st.sampled_from(["", "Valves close first. "]))
def test_where_the_evidence_stands_in_a_positive(title, space, before):
    text = f"{space}{before}{SENTENCE} Then the operator reads the gauge.{space}"
    pairs = pairs_of({"q": ("how hard", ["a#0"])}, masked={"q": SENTENCE}).with_columns(mask_evidence=pl.lit(False))
    row = unrolled(pairs, passages_of({"a": [text]}, title=title))["q"]
    assert placed(row) == SENTENCE
    assert row["positive"][: row["title_length"]].strip() == title
    assert row["document"] == "a"


def test_where_the_evidence_stood_before_it_was_cut_out():
    pairs = pairs_of({"q": (SENTENCE, ["a#0"])}, masked={"q": SENTENCE})
    row = unrolled(pairs, passages_of({"a": [LONG]}, title="Guide"))["q"]
    assert row["evidence_start"] == row["evidence_end"] == row["positive"].index(" Then the operator")


def test_where_no_evidence_is_known():
    row = unrolled(pairs_of({"q": ("how hard", ["a#0"])}), passages_of({"a": [LONG]}))["q"]
    assert row["evidence_start"] is row["evidence_end"] is None
