"""Planted leaks are found."""

import polars as pl
import pytest

from embed_pipeline.prep.leakage import find_leaks
from embed_pipeline.prep.split import split_items
from embed_pipeline.settings import PrepSettings
from embed_pipeline_tests.prep.build import WordEncoder, corpus, grouped

ENCODER = WordEncoder()


@pytest.fixture
def clean():
    pairs, passages = corpus(24)
    splits = split_items(pairs, passages, ENCODER, PrepSettings())
    assert find_leaks(pairs, passages, splits, ENCODER).is_empty()
    return pairs, passages, splits


def one(splits: pl.DataFrame, item_type: str, split: str) -> str:
    return splits.filter((pl.col("item_type") == item_type) & (pl.col("split") == split))["item_id"][0]


def replaced(frame: pl.DataFrame, key: str, name: str, column: str, value: object) -> pl.DataFrame:
    literal = pl.lit(pl.Series([value])).first() if isinstance(value, list) else pl.lit(value)
    return frame.with_columns(pl.when(pl.col(key) == name).then(literal).otherwise(pl.col(column)).alias(column))


def kinds(*tables, encoder=None) -> set[tuple[str, str, str]]:
    return set(find_leaks(*tables, encoder=encoder).iter_rows())


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_near_duplicate_passage(clean, held_out):
    pairs, passages, splits = clean
    train, test = f"{one(splits, 'document', 'train')}#0", f"{one(splits, 'document', held_out)}#0"
    leaked = replaced(passages, "passage_id", test, "group_id", train)
    assert kinds(pairs, leaked, splits) == {("same_group", train, test)}


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_near_duplicate_document(clean, held_out):
    pairs, passages, splits = clean
    train, other = one(splits, "document", "train"), one(splits, "document", held_out)
    documents = grouped(passages, {train: "a group", other: "a group"})
    assert kinds(pairs, passages, splits) == set()
    found = find_leaks(pairs, passages, splits, documents=documents)
    assert found.rows() == [("same_document_group", train, other)]


def test_identical_text(clean):
    pairs, passages, splits = clean
    train, test = f"{one(splits, 'document', 'train')}#1", f"{one(splits, 'document', 'test')}#1"
    text = passages.filter(pl.col("passage_id") == train)["text"][0]
    leaked = replaced(passages, "passage_id", test, "text", f"  {text.upper()}!")
    assert kinds(pairs, leaked, splits) == {("same_text", train, test)}


def test_question_moved_to_the_other_side(clean):
    pairs, passages, splits = clean
    moved = one(splits, "question", "test")
    leaked = replaced(splits, "item_id", moved, "split", "train")
    found = kinds(pairs, passages, leaked)
    passage = pairs.filter(pl.col("question_id") == moved)["passage_ids"][0][0]
    assert ("same_passage", passage, passage) in found
    assert ("split_document", passage.partition("#")[0], moved) in found


def test_same_question(clean):
    pairs, passages, splits = clean
    train, test = one(splits, "question", "train"), one(splits, "question", "test")
    text = pairs.filter(pl.col("question_id") == train)["question"][0]
    leaked = replaced(pairs, "question_id", test, "question", text.title() + "?")
    assert kinds(leaked, passages, splits) == {("same_question", train, test)}


def test_similar_question_needs_the_encoder(clean):
    pairs, passages, splits = clean
    train, test = one(splits, "question", "train"), one(splits, "question", "test")
    words = " ".join(f"word{index}" for index in range(40))
    leaked = replaced(pairs, "question_id", train, "question", words)
    leaked = replaced(leaked, "question_id", test, "question", f"{words} more")
    assert kinds(leaked, passages, splits) == set()
    assert kinds(leaked, passages, splits, encoder=ENCODER) == {("similar_question", train, test)}


def test_evidence_in_two_splits(clean):
    pairs, passages, splits = clean
    train_doc, test = one(splits, "document", "train"), one(splits, "question", "test")
    own = pairs.filter(pl.col("question_id") == test)["passage_ids"][0].to_list()
    leaked = replaced(pairs, "question_id", test, "passage_ids", [*own, f"{train_doc}#2"])
    found = kinds(leaked, passages, splits)
    assert ("split_document", train_doc, test) in found
    assert ("same_passage", f"{train_doc}#2", f"{train_doc}#2") in found


def test_question_without_a_split(clean):
    pairs, passages, splits = clean
    lost = one(splits, "question", "train")
    found = kinds(pairs, passages, splits.filter(pl.col("item_id") != lost))
    assert ("unassigned", "", lost) in found
