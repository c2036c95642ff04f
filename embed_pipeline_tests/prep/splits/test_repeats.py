"""Repeats across two sides equal brute force; bounded and quick on many passages."""

import random
import re
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.prep.splits.repeats import Text, certain_duplicate, find_repeats

WORDS = ["sun", "moon", "star", "sea", "hill"]
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)
UNSPACED = st.text("日月星山川", min_size=3, max_size=14)


def grams(text: str) -> set[tuple[str, ...]]:
    units, size = (list(text), 5) if re.search("[一-鿿]", text) else (text.split(), 3)
    return {tuple(units[place : place + size]) for place in range(max(1, len(units) - size + 1))} if units else set()


def jaccard(one: str, other: str) -> float:
    left, right = grams(one), grams(other)
    return len(left & right) / len(left | right) if left and right else 0.0


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(SENTENCES, UNSPACED), max_size=12),
    st.lists(st.one_of(SENTENCES, UNSPACED), max_size=12),
    st.data(),
)
def test_equals_brute_force(train, held_out, data):
    least = data.draw(st.sampled_from([0.3, 0.5, 0.8, 0.95, 1.0]))
    known = [Text(f"t{n}", text, text, data.draw(st.booleans())) for n, text in enumerate(train)]
    asked = [Text(f"h{n}", text, text, data.draw(st.booleans())) for n, text in enumerate(held_out)]
    like = {
        one.name: {
            other.name
            for other in asked
            if jaccard(one.text, other.text) >= least - 1e-9 and one.same != other.same and (one.asked or other.asked)
        }
        for one in known
    }
    found = dict(find_repeats(known, asked, least))
    assert found.keys() == {name for name, others in like.items() if others}
    assert all(other in like[name] for name, other in found.items())


@pytest.mark.parametrize(("threshold", "alarm"), [(0.85, 0.9481), (0.5, 0.7021), (1.0, 1.0), (0.98, 0.9983)])
def test_the_alarm_is_five_deviations_above_the_threshold(threshold, alarm):
    found = certain_duplicate(threshold)
    assert found == pytest.approx(alarm, abs=1e-4)
    assert found - threshold == pytest.approx(5 * (found * (1 - found) / 128) ** 0.5, abs=1e-6)


def test_twenty_thousand_passages_are_quick_and_small():
    rng = random.Random(0)
    words = [f"w{int(rng.paretovariate(0.6)) % 60000}" for _ in range(100_000)]
    footer = " ".join(rng.choices(words, k=120))
    texts = [" ".join(rng.choices(words, k=rng.randint(60, 150))) for _ in range(20_000)]
    texts = [f"{footer} page {n}" if n % 10 in (0, 1) else text for n, text in enumerate(texts)]
    sides: dict[bool, list[Text]] = {True: [], False: []}
    for number, text in enumerate(texts):
        sides[number % 5 == 0].append(Text(str(number), text, str(number), asked=True))
    began = time.process_time()
    found = find_repeats(sides[False], sides[True], certain_duplicate(0.85))
    assert time.process_time() - began < 20
    assert {int(name) % 10 for name, _ in found} == {1}
    assert len(found) == 2000
    tracemalloc.start()
    find_repeats(sides[False][:500], sides[True], certain_duplicate(0.85))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
