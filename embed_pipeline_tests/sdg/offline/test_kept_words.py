"""What is kept of passages' words: the same questions with it and without, work only for what changed."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.sdg.offline.generate import generate_offline
from embed_pipeline.sdg.offline.kept_words import term_statistics
from embed_pipeline.settings import SdgSettings
from embed_pipeline.store.kept import Kept
from embed_pipeline.text import words
from embed_pipeline_tests.sdg.sample import documents_and_passages

NOUNS = ["winch", "drum", "valve", "pump", "C++", "ventil", "Öl", "水泵", "brake 7", "rope", "hook"]
SENTENCE = st.tuples(*[st.sampled_from(NOUNS)] * 4).map(
    lambda one: "The {} of the {} must close the {} {} now.".format(*one)
)
PASSAGE = st.lists(SENTENCE, min_size=1, max_size=4).map(" ".join)
CORPUS = st.dictionaries(st.sampled_from("abcdef"), st.lists(PASSAGE, min_size=1, max_size=3), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(st.lists(CORPUS, min_size=2, max_size=4))
def test_after_any_edits_the_questions_are_those_of_a_fresh_home(states):
    asked = SdgSettings(questions_per_passage=2)
    with tempfile.TemporaryDirectory() as home, Kept.of(Path(home), "words") as kept:
        for texts in states:
            documents, passages = documents_and_passages(texts)
            fresh = generate_offline(documents, passages, asked)
            assert generate_offline(documents, passages, asked, kept).equals(fresh)


def test_a_changed_passage_costs_the_words_of_its_bucket(tmp_path, monkeypatch):
    texts = [f"Passage {number} is about thing{number} and nothing else." for number in range(2000)]
    counted = []

    def counting(some):
        listed = list(some)
        counted.extend(listed)
        return plain(listed)

    plain = words.passages_of_words
    monkeypatch.setattr("embed_pipeline.sdg.offline.kept_words.passages_of_words", counting)
    with Kept.of(tmp_path, "words") as kept:
        term_statistics(texts, kept)
        assert len(counted) == len(texts)
        counted.clear()
        changed = ["Another one.", *texts[1:]]
        found = term_statistics(changed, kept)
    assert 0 < len(counted) < 200
    assert found.frequency == plain(changed)
    assert found.passages == len(changed)
