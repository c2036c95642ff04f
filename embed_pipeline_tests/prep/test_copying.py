"""Training questions that copy less of their passage."""

from random import Random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.prep.copying import LEFT_AT_LEAST, copying_less, less_copied
from embed_pipeline.text.words import TermStatistics, words
from embed_pipeline_tests.prep.build import pairs_of, passages_of

PASSAGE = "The gearbox output seal leaks oil when the shaft is worn or bent."
OTHERS = [f"The {name} of the {name} is the {name} when it is or the {name}." for name in ("valve", "pump", "hose")] * 4
STATISTICS = TermStatistics([PASSAGE, *OTHERS])
QUESTION = "Why does the gearbox seal leak oil onto my floor?"


def forms(text: str) -> list[str]:
    return [word.form for word in words(text)]


def test_only_words_of_the_passage_are_left_out():
    less = copying_less(QUESTION, [PASSAGE], 0.99, STATISTICS, Random(0))
    gone = set(forms(QUESTION)) - set(forms(less))
    assert gone
    assert gone <= {"gearbox", "seal", "oil"}
    assert {"floor", "my", "the", "does"} <= set(forms(less))


def test_with_nothing_shared_the_question_stays():
    assert copying_less("how tall am i", [PASSAGE], 0.9, STATISTICS, Random(0)) == "how tall am i"


@given(st.floats(0, 0.999), st.integers(0, 10**6), st.lists(st.sampled_from(words(PASSAGE)), min_size=1, max_size=9))
def test_enough_of_it_is_left_and_the_rest_keeps_its_order(share, seed, chosen):
    question = " ".join(word.surface for word in chosen)
    less = copying_less(question, [PASSAGE], share, STATISTICS, Random(seed))
    content = [form for form in forms(question) if form not in STATISTICS.function_words]
    left = [form for form in forms(less) if form not in STATISTICS.function_words]
    assert len(left) >= min(LEFT_AT_LEAST, len(content))
    rest = iter(forms(question))
    assert all(form in rest for form in forms(less))


def test_about_the_share_is_left_out_of_many_short_questions():
    asked = "gearbox seal shaft worn bent"
    found = [len(forms(copying_less(asked, [PASSAGE], 0.5, STATISTICS, Random(seed)))) for seed in range(400)]
    assert 2.3 <= sum(found) / len(found) <= 2.9  # 2.5 of 5 stay


def test_only_the_chosen_questions_change_and_the_same_way_every_time():
    passages = passages_of({"a": [PASSAGE], "b": OTHERS[:3]})
    pairs = pairs_of({"q": (QUESTION, ["a#0"]), "r": (QUESTION, ["a#0"])})
    once, again = (less_copied(pairs, passages, {"q"}, 0.9, 1) for _ in range(2))
    assert once.equals(again)
    shown = dict(once.select("question_id", "question").iter_rows())
    assert shown["r"] == QUESTION
    assert shown["q"] != QUESTION
    assert once.drop("question").equals(pairs.drop("question"))
    assert once.schema["question"] == pl.String


def test_chinese_words_are_left_out_without_leaving_gaps():
    passage = "齿轮箱的输出密封件在轴磨损时会漏油。"
    statistics = TermStatistics([passage, *(f"阀门{number}关闭" for number in range(6))])
    less = copying_less("齿轮箱密封件漏油怎么办", [passage], 0.7, statistics, Random(2))
    assert len(less) < len("齿轮箱密封件漏油怎么办")
    assert "  " not in less
