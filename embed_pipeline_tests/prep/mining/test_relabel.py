"""Negatives that answer their question become positives of it: in the audit, for other questions, in training."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.prep.mining.check import check_negatives
from embed_pipeline.prep.mining.negatives import mine_negatives
from embed_pipeline.prep.mining.relabel import with_relabelled, with_relabelled_scores
from embed_pipeline.prep.splits.split import split_items
from embed_pipeline.prep.training_set import unroll
from embed_pipeline.settings import PrepSettings
from embed_pipeline_tests.prep.build import WordEncoder, pairs_of, passages_of

ENCODER = WordEncoder()
TEXTS = {
    "a": ["lion hunts zebra at dawn"],
    "b": ["lion hunts zebra in the reeds"],
    "c": ["lion hunts zebra in the reeds too"],
    "d": ["trains run late at dawn"],
    "e": ["lion hunts maybe"],
    "f": ["hippo bathes"],
}
ASKED = {
    "q": ("lion hunts zebra", ["a#0"]),
    "r": ("who hunts zebra at dawn", ["a#0"]),  # shares the passage of q, and so all that answers q
    "s": ("trains late", ["d#0"]),
}
ANSWER, COPY = "b#0", "c#0"


class Judge:
    """Drops what is about reeds for the question q, and all about hippos; it is sure of those that it was told."""

    reason = "denoised"
    told = (ANSWER,)

    def __init__(self, asked, shown):
        self.asked, self.shown = asked, shown
        self.sure = set()

    def answers(self, pairs):
        reeds, hippo = (TEXTS[name][0] for name in "bf")
        found = [
            (self.asked[q], self.shown[p]) in ((ASKED["q"][0], reeds), *((one, hippo) for one in self.asked))
            for q, p in pairs
        ]
        self.sure |= {
            pair
            for pair, answers in zip(pairs, found, strict=True)
            if answers and self.shown[pair[1]] in [TEXTS[name.partition("#")[0]][0] for name in self.told]
        }
        return np.array(found, bool)


def tables(groups=None, negatives=None, **changes):
    chosen = {"train_ratio": 1, "validation_ratio": 0, "test_ratio": 0, "hard_negative_margin": None}
    settings = PrepSettings(**{**chosen, "denoise": "llm", "relabel": True, **changes})
    pairs, passages = pairs_of(ASKED, negatives=negatives), passages_of(TEXTS, groups)
    return pairs, passages, split_items(pairs, passages, ENCODER, settings), settings


def mined_of(problem):
    pairs, passages, splits, settings = problem
    mined = mine_negatives(pairs, passages, splits, ENCODER, settings, Judge)
    assert check_negatives(mined.table, pairs, passages, splits, mined.rejected, settings) == []
    return mined


def audit_of(mined, question):
    rows = mined.rejected.filter(pl.col("question_id") == question)
    return dict(rows.select("passage_id", "reason").iter_rows())


def negatives_of(mined, question):
    return mined.table.filter(pl.col("question_id") == question)["negative_ids"][0].to_list()


def test_what_is_sure_is_relabelled_and_the_rest_dropped():
    mined = mined_of(tables())
    assert audit_of(mined, "q")[ANSWER] == "relabelled"
    assert audit_of(mined, "q")["f#0"] == "denoised"
    assert negatives_of(mined, "q") == ["e#0", COPY, "d#0"]
    assert (mined.summary["relabelled"], mined.summary["dropped_denoised"]) == (1, 3)


def test_it_is_no_negative_of_a_related_question():
    before, after = mined_of(tables(relabel=False)), mined_of(tables())
    assert ANSWER in negatives_of(before, "r")
    assert audit_of(before, "q")[ANSWER] == "denoised"
    assert ANSWER not in negatives_of(after, "r")
    assert audit_of(after, "r")[ANSWER] == "sibling"
    place = negatives_of(before, "r").index(ANSWER) + 1
    assert after.rejected.filter(question_id="r", passage_id=ANSWER)["rank"].to_list() == [place]


def test_neither_is_its_near_duplicate():
    mined = mined_of(tables(groups={COPY: ANSWER}))
    assert audit_of(mined, "q")[COPY] == "near_duplicate"
    assert COPY not in negatives_of(mined, "q")
    assert COPY not in negatives_of(mined, "r")


def test_given_negatives_of_related_questions_follow_too():
    mined = mined_of(tables(negatives={"r": [ANSWER, "e#0"]}))
    assert negatives_of(mined, "r") == ["e#0"]
    assert audit_of(mined, "r") == {ANSWER: "sibling"}


def test_stored_positives_and_the_margin_are_those_of_the_question():
    mined = mined_of(tables(hard_negative_margin=1)).table.filter(question_id="q")
    assert mined["positive_ids"][0].to_list() == ["a#0"]


def test_the_training_set_has_a_row_for_it():
    pairs, passages, splits, _ = problem = tables()
    mined = mined_of(problem)
    rows = unroll(with_relabelled(pairs, mined.rejected), mined.table, passages, splits)
    shown = {row["row_id"]: (row["positive_id"], ANSWER in row["negative_ids"]) for row in rows.to_dicts()}
    assert shown == {"q_0": ("a#0", False), "q_1": (ANSWER, False), "r": ("a#0", False), "s": ("d#0", True)}
    scored = with_relabelled_scores(mined.table, mined.rejected).filter(question_id="q").to_dicts()[0]
    assert scored["positive_ids"] == ["a#0", ANSWER]
    assert scored["positive_scores"][1] == mined.rejected.filter(reason="relabelled")["score"][0]


PAIRS = st.sets(st.tuples(st.sampled_from([text for text, _ in ASKED.values()]), st.sampled_from(sorted(TEXTS))))


@given(PAIRS, PAIRS, st.sampled_from(["top", "random"]))
def test_whatever_a_judge_says_no_rule_is_broken_and_nothing_unsure_becomes_a_positive(answering, sure, choice):
    class Any(Judge):
        def answers(self, pairs):
            named = [(self.asked[q], next(name for name in TEXTS if TEXTS[name][0] == self.shown[p])) for q, p in pairs]
            self.sure |= {pair for pair, name in zip(pairs, named, strict=True) if name in answering & sure}
            return np.array([name in answering for name in named], bool)

    pairs, passages, splits, settings = tables(hard_negatives=2, hard_negative_choice=choice, hard_negative_last_rank=5)
    mined = mine_negatives(pairs, passages, splits, ENCODER, settings, Any)
    assert check_negatives(mined.table, pairs, passages, splits, mined.rejected, settings) == []
    for question, passage in mined.rejected.filter(reason="relabelled").select("question_id", "passage_id").iter_rows():
        assert (ASKED[question][0], passage.partition("#")[0]) in answering & sure


def test_without_any_the_tables_stay_as_they_are():
    pairs, *_ = problem = tables(relabel=False)
    mined = mined_of(problem)
    assert with_relabelled(pairs, mined.rejected).equals(pairs)
    assert with_relabelled_scores(mined.table, mined.rejected).equals(mined.table)
    assert "relabelled" not in mined.summary


def test_the_check_finds_what_became_a_positive_unasked_or_of_a_held_out_document():
    pairs, passages, splits, settings = problem = tables()
    mined = mined_of(problem)
    plain = settings.model_copy(update={"relabel": False})
    lines = check_negatives(mined.table, pairs, passages, splits, mined.rejected, plain)
    assert any(f"{ANSWER} became a positive" in line for line in lines)
    held = pl.when(pl.col("item_id") == "b").then(pl.lit("test")).otherwise("split").alias("split")
    lines = check_negatives(mined.table, pairs, passages, splits.with_columns(held), mined.rejected, settings)
    assert any(f"positive {ANSWER} comes from the held-out document b" in line for line in lines)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"relabel": True}, "denoise is none"),
        ({"relabel": True, "denoise": "llm", "relabel_threshold": 0.05}, "smaller than denoise_threshold"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        PrepSettings(**values)
