"""Test questions in other words than their passage's."""

from dataclasses import replace

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from embed_pipeline.evaluation.lexical import answered_by_words
from embed_pipeline.evaluation.retrieve import bm25_run
from embed_pipeline.prep.rewording import EASY, HARD, MOST_REPLACED, people_answered, reworded, share_to_replace
from embed_pipeline.records import RetrievalSet
from embed_pipeline.text.words import words
from embed_pipeline_tests.prep.build import WordEncoder

LETTERS = str.maketrans("0123456789", "abcdefghij")
TOPICS = ("rotor", "sensor", "valve", "winch", "cradle", "mast")


def manuals() -> RetrievalSet:
    """Passages in twos about one topic; every question is made of words of its passage."""
    passages, queries, qrels = {}, {}, {}
    for topic in TOPICS:
        for part in range(2):
            name = f"{topic}{part}"
            own = " ".join(f"{topic}{letter}{part}" for letter in "abcdef")
            passages[name] = f"the {topic} of the {topic}house has {own}"
            queries[f"q-{name}"] = f"how has {own}"
            qrels[f"q-{name}"] = {name: 1}
    return RetrievalSet("synthetic", passages, queries, qrels, kind="synthetic")


def margin(test_set: RetrievalSet, question: str) -> float:
    """How far BM25 sets the passage asked about apart from the next one."""
    first, second, *_ = [*bm25_run(test_set, 10)[question].values(), 0.0, 0.0]
    return first - second


def shared(test_set: RetrievalSet, question: str) -> int:
    passage = test_set.passages[next(iter(test_set.qrels[question]))]
    forms = {word.form for word in words(passage)}
    return sum(word.form in forms for word in words(test_set.queries[question]))


def test_some_of_the_shared_words_give_way_to_words_of_near_passages():
    given = manuals()
    made = reworded(given, set(given.queries), WordEncoder(), answered_by_words(given.passages))
    known = {word.form for text in given.passages.values() for word in words(text)} | {"how"}
    for question in given.queries:
        assert 0 < shared(made, question) < shared(given, question)
        assert {word.form for word in words(made.queries[question])} <= known
        assert margin(made, question) < margin(given, question)


def test_nothing_else_changes_and_it_is_the_same_every_time():
    given = manuals()
    one, *others = sorted(given.queries)
    made = reworded(given, {one}, WordEncoder(), answered_by_words(given.passages))
    assert made.queries[one] != given.queries[one]
    assert [made.queries[name] for name in others] == [given.queries[name] for name in others]
    assert (made.passages, made.qrels, list(made.queries)) == (given.passages, given.qrels, list(given.queries))
    assert reworded(given, {one}, WordEncoder(), answered_by_words(given.passages)) == made


@pytest.mark.parametrize("questions", [set(), {"of another split"}])
def test_without_questions_to_reword_the_set_is_the_given_one(questions):
    given = manuals()
    assert reworded(given, questions, WordEncoder(), answered_by_words(given.passages)) is given


def test_a_question_stays_where_no_near_passage_has_other_words():
    given = RetrievalSet("synthetic", {"p": "a lone passage"}, {"q": "lone passage"}, {"q": {"p": 1}})
    assert reworded(given, {"q"}, WordEncoder(), answered_by_words(given.passages)).queries == given.queries


@pytest.mark.parametrize(("apart", "nd"), [(0.9, EASY), (0.6, EASY), (0.51, 0.615), (0.42, HARD), (0.0, HARD)])
def test_the_more_near_passages_have_in_common_the_less_words_answer(apart, nd):
    assert people_answered(apart) == pytest.approx(nd)


@for_all(wanted=st.floats(0.2, 1), slope=st.floats(0.5, 2))
def test_as_many_words_give_way_as_it_takes(wanted, slope):
    def answered(share: float) -> float:
        return max(0.0, 1 - slope * share)

    share = share_to_replace(answered, wanted)
    assert 0 <= share <= MOST_REPLACED
    reached = min(max(wanted, answered(MOST_REPLACED)), 1.0)
    assert answered(share) == pytest.approx(reached, abs=0.04)


def test_what_stands_between_the_words_stays():
    given = manuals()
    asked = {one: f"How (50 %) has C++ {text}, or {text}?!" for one, text in given.queries.items()}
    given = replace(given, queries=asked)
    made = reworded(given, set(asked), WordEncoder(), answered_by_words(given.passages))
    assert made.queries != given.queries
    for text in made.queries.values():
        assert text.startswith("How (50 %) has C++ how has ")
        assert text.endswith("?!")
        assert ", or how has " in text
    lone = RetrievalSet("synthetic", {"p": "a lone passage"}, {"q": "Lone, passage (A/B)?"}, {"q": {"p": 1}})
    assert reworded(lone, {"q"}, WordEncoder(), answered_by_words(lone.passages)).queries == lone.queries


def test_of_many_questions_with_one_shared_word_some_are_reworded():
    """Else all would change at one share, and none below it."""
    passages = {f"p{n}": f"things have marker{n} and twin{n % 40}" for n in range(80)}
    queries = {f"q{n}": f"which one marker{n}" for n in range(80)}
    given = RetrievalSet("synthetic", passages, queries, {f"q{n}": {f"p{n}": 1} for n in range(80)}, kind="synthetic")
    letters = replace(given, passages={one: text.translate(LETTERS) for one, text in passages.items()})
    letters = replace(letters, queries={one: text.translate(LETTERS) for one, text in queries.items()})
    found = answered_by_words(letters.passages)
    made = reworded(letters, set(queries), WordEncoder(), found)
    changed = sum(made.queries[one] != letters.queries[one] for one in queries)
    assert 0 < changed < 80
    assert found(made) < found(letters)
