"""A quotation is recognised whatever is around it, and what others say as well is not."""

from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.text.traces import WORDS, Traces

SENTENCE = "Anna Schmidt lives at 7 Heron Lane and keeps two bees."


def test_a_piece_is_found_in_any_case_and_punctuation_and_a_shorter_one_is_not():
    traces = Traces([SENTENCE])
    assert traces.within("they say: ANNA schmidt lives — at 7 Heron, lane…")
    assert not traces.within("Anna Schmidt lives at Heron Lane 7")
    assert not traces.within("")


def test_a_short_text_must_be_there_whole():
    traces = Traces(["two bees"])
    assert traces.within("keeps two bees.")
    assert not traces.within("two wasps and bees")
    questions = Traces()
    questions.add(["two bees?"], short=False)
    assert not questions.within("two bees")


def test_what_others_say_too_is_forgotten():
    traces = Traces([SENTENCE])
    traces.forget(["the poet lives at 7 heron lane and sleeps"])
    assert not traces.within("lives at 7 heron lane and sleeps")
    assert traces.within(SENTENCE)
    traces.forget([SENTENCE])
    assert len(traces) == 0


@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=30), st.data())
def test_any_piece_long_enough_is_found(words, data):
    start = data.draw(st.integers(0, max(0, len(words) - WORDS)))
    piece = words[start : start + max(WORDS, data.draw(st.integers(WORDS, 30)))]
    assert Traces([" ".join(words)]).within("x " + ", ".join(piece) + " y")
