"""Hard negatives against a brute force, and their invariants."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.errors import InputError
from embed_pipeline.prep import mine as module
from embed_pipeline.prep.mine import check_negatives, mine, mine_negatives
from embed_pipeline.prep.split import split_items
from embed_pipeline.settings import PrepSettings
from embed_pipeline.tables import MinedNegatives, validate
from embed_pipeline_tests.prep.build import WordEncoder, corpus, pairs_of, passages_of

ENCODER = WordEncoder()


def brute_force(queries, passages, positives, allowed, excluded, count, margin):
    """The definition, one passage at a time."""
    found = []
    for row, query in enumerate(queries):
        scores = passages @ query
        lowest = float(min(scores[index] for index in positives[row]))
        threshold = lowest - (1 - margin) * abs(lowest)
        taken, by_margin, by_exclusion = [], 0, 0
        for index in sorted(range(len(passages)), key=lambda index: (-scores[index], index)):
            if len(taken) == count:
                break
            if index in positives[row]:
                continue
            if not allowed[index] or index in excluded[row]:
                by_exclusion += 1
            elif scores[index] > threshold:
                by_margin += 1
            else:
                taken.append(index)
        found.append((taken, threshold, by_margin, by_exclusion))
    return found


@st.composite
def problems(draw):
    """Vectors of small whole numbers: exact sums, many ties, scores of either sign."""
    size, queries, width = draw(st.integers(1, 90)), draw(st.integers(1, 30)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    numbers = lambda rows: rng.integers(-3, 4, (rows, width)).astype(np.float32)  # noqa: E731
    choose = lambda low: np.unique(rng.integers(0, size, rng.integers(low, 4)))  # noqa: E731
    return (
        numbers(queries),
        numbers(size),
        [choose(1) for _ in range(queries)],
        rng.random(size) < draw(st.sampled_from([0.1, 0.7, 1.0])),
        [choose(0) for _ in range(queries)],
        draw(st.integers(0, 7)),
        draw(st.sampled_from([0.5, 0.95, 1.0])),
    )


@settings(max_examples=150, deadline=None)
@given(problems(), st.sampled_from([1, 4]), st.sampled_from([1, 7, 4096]))
def test_equals_brute_force(problem, first_look, block):
    queries, passages = problem[:2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FIRST_LOOK", first_look)
        result = mine(*problem, block=block)
    for row, (taken, threshold, by_margin, by_exclusion) in enumerate(brute_force(*problem)):
        assert result.indices[row].tolist() == taken
        assert result.scores[row].tolist() == (passages[taken] @ queries[row]).tolist()
        assert result.threshold[row] == pytest.approx(threshold)
        assert result.dropped_by_margin[row] == by_margin
        assert result.dropped_excluded[row] == by_exclusion


def test_negative_cosines_tighten_rather_than_loosen():
    queries = np.array([[1.0, 0.0]], np.float32)
    passages = np.array([[-0.5, 0], [-0.51, 0], [-0.6, 0]], np.float32)
    result = mine(queries, passages, [np.array([0])], np.ones(3, bool), [np.array([], np.int64)], 2, 0.95)
    assert result.threshold[0] == pytest.approx(-0.525)
    assert result.indices[0].tolist() == [2]
    assert result.dropped_by_margin[0] == 1


def test_dropped_candidates_never_come_back():
    passages = np.ones((50, 1), np.float32)
    result = mine(passages[:1], passages, [np.array([0])], np.ones(50, bool), [np.array([], np.int64)], 5, 0.95)
    assert result.indices[0].tolist() == []
    assert result.dropped_by_margin[0] == 49


def test_broken_input_is_refused():
    vectors, none = np.ones((2, 1), np.float32), np.array([], np.int64)
    with pytest.raises(InputError, match="at least one positive"):
        mine(vectors, vectors, [none, none], np.ones(2, bool), [none, none], 1, 0.95)
    with pytest.raises(InputError, match="not finite"):
        mine(vectors * np.nan, vectors, [np.array([0])] * 2, np.ones(2, bool), [none, none], 1, 0.95)


def test_core_needs_no_polars():
    code = (
        "import sys; sys.modules['polars'] = None; import numpy as np; from embed_pipeline.prep.mine import mine\n"
        "v = np.eye(3, dtype=np.float32); none = np.array([], np.int64)\n"
        "print(mine(v[:1], v, [np.array([0])], np.ones(3, bool), [none], 2, 0.95).indices[0].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1, 2]"


@pytest.fixture
def tables():
    pairs, passages = corpus(24)
    splits = split_items(pairs, passages, ENCODER, PrepSettings())
    return pairs, passages, splits


def test_mined_negatives_keep_every_rule(tables):
    pairs, passages, splits = tables
    mined = mine_negatives(pairs, passages, splits, ENCODER, PrepSettings())
    training = splits.filter((pl.col("item_type") == "question") & (pl.col("split") == "train"))
    assert mined["question_id"].to_list() == sorted(training["item_id"])
    assert check_negatives(mined, pairs, passages, splits) == []
    assert mined["negative_ids"].list.len().sum() > 0
    assert mined.equals(mine_negatives(pairs.reverse(), passages, splits.reverse(), ENCODER, PrepSettings()))
    component = dict(splits.select("item_id", "component").iter_rows())
    for question, negatives in mined.select("question_id", "negative_ids").iter_rows():
        assert component[question] not in {component[name.partition("#")[0]] for name in negatives}


def test_one_document_has_no_negatives():
    pairs, passages = corpus(1)
    chosen = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0)
    splits = split_items(pairs, passages, ENCODER, chosen)
    mined = mine_negatives(pairs, passages, splits, ENCODER, chosen)
    assert mined["negative_ids"].to_list() == [[], []]
    assert mined["asked"].to_list() == [5, 5]


def test_near_duplicates_of_a_positive_are_never_negatives():
    texts = {"a": ["lion hunts zebra at dawn"], "b": ["lion hunts zebra at noon maybe"], "c": ["trains run late"]}
    passages = passages_of(texts, {"b#0": "a#0"})
    pairs = pairs_of({"q": ("lion zebra", ["a#0"]), "r": ("trains late", ["c#0"])})
    chosen = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0, hard_negative_margin=1)
    splits = split_items(pairs, passages, ENCODER, chosen)
    mined = mine_negatives(pairs, passages, splits, ENCODER, chosen)
    assert dict(mined.select("question_id", "negative_ids").iter_rows())["q"] == ["c#0"]


def test_without_training_questions_the_table_is_empty(tables):
    pairs, passages, splits = tables
    mined = mine_negatives(pairs, passages, splits.with_columns(split=pl.lit("test")), ENCODER, PrepSettings())
    assert validate(MinedNegatives, mined).is_empty()


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ({"negative_ids": "positive"}, "is a positive"),
        ({"negative_ids": "held_out"}, "held-out document"),
        ({"negative_ids": "unknown#9"}, "not in the corpus"),
        ({"negative_scores": [9.0]}, "above the threshold"),
        ({"negative_scores": [float("nan")]}, "not finite"),
        ({"negative_scores": []}, "differ in number"),
        ({"group": True}, "near-duplicate"),
        ({"question_id": "held_out"}, "not a training question"),
    ],
)
def test_check_finds_planted_faults(tables, planted, message):
    pairs, passages, splits = tables
    mined = mine_negatives(pairs, passages, splits, ENCODER, PrepSettings(hard_negatives=1))
    row = mined.filter(pl.col("negative_ids").list.len() == 1).to_dicts()[0]
    held_out = splits.filter(pl.col("split") == "test")
    stand_ins = {
        ("negative_ids", "positive"): [row["positive_ids"][0]],
        ("negative_ids", "held_out"): [f"{held_out.filter(pl.col('item_type') == 'document')['item_id'][0]}#0"],
        ("negative_ids", "unknown#9"): ["unknown#9"],
        ("question_id", "held_out"): held_out.filter(pl.col("item_type") == "question")["item_id"][0],
    }
    changes = {
        name: value if isinstance(value, list) else stand_ins[name, value]
        for name, value in planted.items()
        if name != "group"
    }
    joined = {row["negative_ids"][0]: row["positive_ids"][0]} if "group" in planted else {}
    passages = passages.with_columns(pl.col("passage_id").replace(joined).alias("group_id"))
    frame = pl.DataFrame([{**row, **changes}], schema=mined.schema)
    assert any(message in line for line in check_negatives(frame, pairs, passages, splits))
