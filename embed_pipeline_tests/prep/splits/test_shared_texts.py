from collections import Counter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.prep.splits.shared_texts import shared_text_keys
from embed_pipeline.text.forms import same_text_key

PIECES = [
    "Valve",
    "valve",
    "C++",
    "C#",
    "1.5",
    "15",
    "x > 5",
    "x < 5",
    "-",
    " ",
    "\n",
    ".",
    "!",
    "é",
    "e\u0301",
    "ﬁ",
    "fi",
]
PIECES += [
    "10²",
    "102",
    "汉字",
    "“",
    '"',
    "½",
    "ＡＢ",
    "ab",
    "İ",
    "ß",
    "ss",
    "\u212a",
    "k",
    "_",
    "~",
]  # the Kelvin sign
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map("".join), max_size=12)


@given(TEXTS)
def test_no_two_texts_that_are_the_same_are_told_apart(texts):
    found = shared_text_keys(pl.Series(texts, dtype=pl.String))
    keys = [same_text_key(text) for text in texts]
    often = Counter(keys)
    for given_key, key in zip(found, keys, strict=True):
        assert given_key == key or (given_key is None and often[key] == 1)


def test_the_key_is_worked_out_only_where_it_may_matter():
    found = shared_text_keys(pl.Series(["Open the valve.", "open the valve", "Close it.", "Été"]))
    assert found == ["open the valve", "open the valve", None, "été"]
