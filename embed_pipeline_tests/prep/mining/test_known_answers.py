"""Near-duplicates and siblings against the definitions, spelled out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.prep.mining.known_answers import Groups, near_duplicates, siblings
from embed_pipeline_tests.prep.build import pairs_of


@st.composite
def corpora(draw):
    """(group of each passage, positives of each question, text of each question)."""
    codes = draw(st.lists(st.integers(0, 6), min_size=1, max_size=20))
    rows = st.lists(st.integers(0, len(codes) - 1), min_size=1, max_size=3, unique=True)
    positives = draw(st.lists(rows, min_size=1, max_size=8))
    texts = draw(st.lists(st.sampled_from("abcdef"), min_size=len(positives), max_size=len(positives)))
    return np.array(codes), [np.array(rows) for rows in positives], texts


@given(corpora())
def test_near_duplicates_are_the_rest_of_the_positives_groups(made):
    codes, positives, _ = made
    for rows, found in zip(positives, near_duplicates(positives, Groups(codes)), strict=True):
        held = {codes[row] for row in rows}
        assert found.tolist() == [row for row, code in enumerate(codes) if code in held and row not in rows]


@given(corpora())
def test_siblings_are_positives_of_questions_that_share_a_group_or_a_text(made):
    codes, positives, texts = made
    names = [f"q{place}" for place in range(len(positives))]
    pairs = pairs_of({name: (text, ["d#0"]) for name, text in zip(names, texts, strict=True)})
    found = siblings(pairs, names, dict(zip(names, positives, strict=True)), Groups(codes))
    marks = [{codes[row] for row in rows} for rows in positives]
    for place, rows in enumerate(found):
        related = [other for other in range(len(names)) if marks[other] & marks[place] or texts[other] == texts[place]]
        wanted = set().union(*(marks[other] for other in related)) - marks[place]
        assert sorted(rows) == [row for row, code in enumerate(codes) if code in wanted]
