"""What a user sees of the splits."""

import polars as pl

from embed_pipeline.prep.splits.overview import split_overview
from embed_pipeline.prep.splits.split import split_items
from embed_pipeline.settings import PrepSettings
from embed_pipeline_tests.prep.build import WordEncoder, corpus, pairs_of, passages_of

ENCODER = WordEncoder()


def test_numbers_and_tables():
    pairs, passages = corpus(40)
    pairs = pairs.with_columns(query_type=pl.Series(["keyword", "multi_hop"] * 40), hop_count=pl.Series([1, 2] * 40))
    splits = split_items(pairs, passages, ENCODER, PrepSettings())
    seen = split_overview(splits, pairs, PrepSettings(), None)
    assert seen.summary == {
        "train_questions": 64,
        "validation_questions": 8,
        "test_questions": 8,
        "train_documents": 32,
        "validation_documents": 4,
        "test_documents": 4,
        "components": 40,
        "test_components": 4,
        "documents_moved": 0,
    }
    assert seen.charts["questions by query type"].splitlines() == [
        "| query type | train | validation | test | questions |",
        "| --- | --- | --- | --- | ---: |",
        "| all | 64 (80.0 %) | 8 (10.0 %) | 8 (10.0 %) | 80 |",
        "| keyword | 32 (80.0 %) | 4 (10.0 %) | 4 (10.0 %) | 40 |",
        "| multi&#95;hop | 32 (80.0 %) | 4 (10.0 %) | 4 (10.0 %) | 40 |",
    ]
    assert "| 2 | 32 (80.0 %) | 4 (10.0 %) | 4 (10.0 %) | 40 |" in seen.charts["questions by hops"]
    assert [line[:70] for line in seen.lines] == [
        "splits: the test questions are about 4 independent groups of documents"
    ]


def uneven_corpus(groups: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Documents with 10, 11, 12 … questions."""
    pairs, passages = corpus(groups, questions=1)
    more = {
        f"m{doc}-{number}": (f"m{doc}x{number} n{doc}y{number} o{doc}z{number}", [f"doc{doc:03d}#0"])
        for doc in range(groups)
        for number in range(9 + doc)
    }
    return pl.concat([pairs, pairs_of(more)]), passages


def test_too_few_groups_are_told_with_a_ratio_that_gives_enough():
    pairs, passages = uneven_corpus(40)
    splits = split_items(pairs, passages, ENCODER, PrepSettings())
    seen = split_overview(splits, pairs, PrepSettings(), None)
    assert seen.summary["test_components"] == 9
    assert seen.lines == [
        "splits: the test questions are about 9 independent groups of documents, and without a gold set a verdict "
        "takes 10; groups with few questions were preferred as far as the share allows. To have more, add documents, "
        "or hold out more (prep.test_ratio 0.13, prep.train_ratio 0.77)"
    ]
    chosen = PrepSettings(test_ratio=0.13, train_ratio=0.77)
    seen = split_overview(split_items(pairs, passages, ENCODER, chosen), pairs, chosen, None)
    assert (seen.summary["test_components"], seen.lines) == (10, [])


def test_of_a_home_with_a_history_it_is_told_that_documents_stay():
    pairs, passages = corpus(20)
    splits = split_items(pairs, passages, ENCODER, PrepSettings())
    lines = split_overview(splits, pairs, PrepSettings(), splits).lines
    assert len(lines) == 1
    assert lines[0].endswith(
        "To have more, add documents, or split all documents anew (another prep.seed), since those of before stay "
        "where they were"
    )


def test_without_a_test_split_nothing_is_told():
    pairs, passages = corpus(20)
    chosen = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0)
    seen = split_overview(split_items(pairs, passages, ENCODER, chosen), pairs, chosen, None)
    assert (seen.summary["test_components"], seen.lines) == (0, [])


def test_documents_that_were_moved_are_told():
    pairs, passages = corpus(40)
    previous = split_items(pairs, passages, ENCODER, PrepSettings())
    placed = dict(previous.filter(item_type="document").select("split", "item_id").iter_rows())
    added = passages_of({"new": ["copied", "too"]}, {"new#0": f"{placed['train']}#0", "new#1": f"{placed['test']}#0"})
    splits = split_items(pairs, pl.concat([passages, added]), ENCODER, PrepSettings(), previous=previous)
    seen = split_overview(splits, pairs, PrepSettings(), previous)
    assert seen.summary["documents_moved"] == 1
    assert seen.lines[-1].startswith("splits: 1 documents of before changed their split, 0 of them from test to train")


def test_a_share_that_cannot_be_kept_is_told():
    pairs, passages = corpus(10, questions=1)
    more = {f"big{index}": (f"unique{index} thing{index} asked{index}", ["doc000#0"]) for index in range(90)}
    pairs = pl.concat([pairs, pairs_of(more)])
    splits = split_items(pairs, passages, ENCODER, PrepSettings())
    seen = split_overview(splits, pairs, PrepSettings(), None)
    have = seen.summary["test_questions"]
    assert have < 9
    assert (
        f"splits: test holds {have} of 100 questions, {have:.1f} % where prep.test_ratio asks for 10 %" in seen.lines[1]
    )
