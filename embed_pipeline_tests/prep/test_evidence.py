"""Evidence is found wherever it stands, by either way of looking."""

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.prep.evidence import EvidenceHolders, holders

QUOTE = "The lung of the airship is filled with lift gas twice a day."
WORDS = st.lists(st.sampled_from(["lung", "Lung", "gas", "airships", "\u6c7d", "-", "twice, a day"]), max_size=12)
TEXT = WORDS.map(" ".join)


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1), st.text(), st.text(), st.sampled_from(["", " ", "\n\t"]))
def test_evidence_is_found_whatever_it_is_and_wherever_it_stands(evidence, before, after, gap):
    evidence = unicodedata.normalize("NFC", f"{QUOTE} {evidence} {QUOTE}")
    passage = unicodedata.normalize("NFC", f"{before}{gap} {evidence.replace(' ', ' ' + gap)} {after}")
    assert EvidenceHolders([[evidence]], [passage]).answers([(0, 0)]).tolist() == [True]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(TEXT, max_size=3), max_size=6), st.lists(TEXT, max_size=8))
def test_reading_each_text_once_finds_what_looking_at_every_pair_finds(evidence, texts):
    texts += [f"{before} {quote}, {before}" for before in texts[:2] for quotes in evidence for quote in quotes[:1]]
    pairwise = EvidenceHolders(evidence, texts)
    expected = [
        [row for row, holds in enumerate(pairwise.answers([(question, row) for row in range(len(texts))])) if holds]
        for question in range(len(evidence))
    ]
    assert holders(evidence, texts) == expected


def test_nothing_known_nothing_found():
    assert holders([[], [""], ["too short"]], [QUOTE]) == [[], [], []]
