"""Benchmarks of a split."""

import polars as pl
import pytest

from embed_pipeline.formats.beir import read_retrieval_set, write_retrieval_set
from embed_pipeline.prep.benchmark import build_retrieval_set
from embed_pipeline.prep.splits.split import split_items
from embed_pipeline.settings import PrepSettings
from embed_pipeline_tests.prep.build import WordEncoder, corpus, pairs_of, passages_of


def all_test(pairs: pl.DataFrame) -> pl.DataFrame:
    names = pairs["question_id"].to_list()
    return pl.DataFrame({"item_type": "question", "item_id": names, "component": "c", "split": "test"})


def test_questions_of_the_split_against_every_passage(tmp_path):
    pairs, passages = corpus(12)
    splits = split_items(pairs, passages, WordEncoder(), PrepSettings())
    built = build_retrieval_set(pairs, passages, splits, "test", "synthetic")
    chosen = splits.filter((pl.col("item_type") == "question") & (pl.col("split") == "test"))["item_id"]
    assert list(built.queries) == sorted(chosen)
    assert len(built.passages) == passages.height
    assert built.query_slices[chosen[0]] == {
        "query_type": "contextual",
        "reasoning_type": "factual",
        "hop_count": "1",
    }
    write_retrieval_set(built, tmp_path)
    assert read_retrieval_set(tmp_path, "test", "synthetic", kind="synthetic") == built


def test_near_duplicates_of_a_positive_are_relevant():
    passages = passages_of({"a": ["one", "two"], "b": ["one!"]}, {"b#0": "a#0"}, title="T")
    pairs = pairs_of({"q": ("which", ["a#0"])})
    built = build_retrieval_set(pairs, passages, all_test(pairs), "test", "synthetic")
    assert built.qrels == {"q": {"a#0": 1, "b#0": 1}}
    assert built.passages["a#1"] == "T two"


def test_masked_questions_leave_when_enough_others_remain():
    passages = passages_of({"a": ["one two three"]})
    many = {f"q{index}": (f"which {index}", ["a#0"]) for index in range(20)}
    for names, expected in ((list(many)[:19], 20), (list(many), 20)):
        pairs = pairs_of({name: many[name] for name in names} | {"m": ("one two", ["a#0"])}, masked={"m": "one two"})
        built = build_retrieval_set(pairs, passages, all_test(pairs), "test", "synthetic")
        assert len(built.queries) == expected
        assert ("m" in built.queries) == (len(names) == 19)


@pytest.mark.parametrize(("imported", "groups", "alone"), [(30, 10, True), (29, 10, False), (40, 9, False)])
def test_imported_questions_stand_alone_where_they_are_enough_for_a_verdict(imported, groups, alone):
    asked = {f"q{index:02}": (f"which {index}", ["a#0"]) for index in range(imported + 7)}
    pairs = pairs_of(asked).with_columns(
        generator=pl.when(pl.int_range(pl.len()) < imported).then(pl.lit("imported")).otherwise(pl.lit("llm/m"))
    )
    splits = all_test(pairs).with_columns(component=pl.format("c{}", pl.int_range(pl.len()) % groups))
    built = build_retrieval_set(pairs, passages_of({"a": ["one two three"]}), splits, "test", "synthetic")
    assert list(built.queries) == sorted(asked)[: imported if alone else None]


def test_a_split_without_questions_is_empty():
    pairs, passages = corpus(3)
    built = build_retrieval_set(pairs, passages, all_test(pairs), "validation", "validation")
    assert built.queries == {}
    assert built.qrels == {}
