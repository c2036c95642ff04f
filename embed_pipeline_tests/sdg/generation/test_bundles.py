from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.sdg.generation.bundles import bundle_windows, group_related, relatedness
from embed_pipeline.sdg.generation.windows import shown_passages
from embed_pipeline.settings import SdgSettings
from embed_pipeline_tests.sdg.sample import documents_and_passages

SETTINGS = SdgSettings(bundle_similarity=0.3)


class Topics:
    """A text's vector counts its letters a to h."""

    spec: EncoderSpec

    def encode(self, texts, role):
        return np.array([[text.count(letter) for letter in "abcdefgh"] for text in texts], np.float32) + 1e-3


def bundles_of(texts, entities=None, settings=SETTINGS, groups=None):
    documents, passages = documents_and_passages(texts)
    if groups:
        documents = documents.with_columns(group_id=documents["doc_id"].replace(groups))
    return bundle_windows(documents, shown_passages(passages, 2000), entities or {}, Topics(), settings)


TEXTS = {"1": ["aaab"], "2": ["aabb"], "3": ["ccdd"], "4": ["ccd"], "5": ["eeee"]}


def test_documents_are_bundled_with_their_closest_relatives():
    assert [window.doc_ids for window in bundles_of(TEXTS)] == [("1", "2"), ("3", "4")]
    (first, _) = bundles_of(TEXTS)
    assert first.name == "bundle 1 + 2"
    assert first.questions == SETTINGS.questions_per_bundle


def test_shared_entities_relate_documents_of_different_wording():
    texts = {"1": ["aab"], "2": ["bcc"], "3": ["ddd"]}
    assert [w.doc_ids for w in bundles_of(texts, settings=SdgSettings(bundle_similarity=0.3))] == []
    entities = {"1": {"Merrin", "Tally"}, "2": {"merrin ", "TALLY"}}
    assert [w.doc_ids for w in bundles_of(texts, entities, SdgSettings(bundle_similarity=0.3))] == [("1", "2")]


def test_what_everybody_names_relates_nobody():
    texts = {f"{n:02}": ["abcdefgh"[n % 8] * 5] for n in range(30)}
    everywhere = {doc_id: {"The Company"} for doc_id in texts}
    rows = {doc_id: [n] for n, doc_id in enumerate(texts)}
    vectors = np.eye(30, dtype=np.float32)
    assert set(relatedness(rows, vectors, everywhere, {}).values()) == {0.0}


def test_copies_are_no_relatives():
    texts = {"1": ["aaab"], "2": ["aaab"], "3": ["aabb"]}
    assert [window.doc_ids for window in bundles_of(texts)] in ([("1", "3")], [("2", "3")])
    assert bundles_of({"1": ["aaab"], "2": ["aabb"]}, groups={"2": "1"}) == []


def test_no_bundles_where_they_are_not_wanted_or_not_possible():
    for settings in ({"bundle_size": 1}, {"max_hops": 1}):
        assert bundles_of(TEXTS, settings=SdgSettings(**settings)) == []
    assert bundles_of({"1": ["aaab"]}) == []


def test_the_closest_passages_of_each_are_shown_within_the_window():
    texts = {"1": ["h" * 3, "a b " * 40, "g " * 150], "2": ["f " * 150, "a b c " * 20, "e " * 150]}
    (found,) = bundles_of(texts, settings=SdgSettings(window_tokens=200, bundle_similarity=0.0))
    assert [row["passage_id"] for row in found.passages] == ["1#0", "1#1", "2#1"]


def test_one_changed_document_leaves_the_other_bundles_as_they_are():
    before = {window.name for window in bundles_of(TEXTS)}
    after = {window.name for window in bundles_of({**TEXTS, "5": ["cccddd"], "6": ["gggg"]})}
    assert "bundle 1 + 2" in before & after
    assert all("5" in name or name in before for name in after)


@given(
    scores=st.dictionaries(
        st.sampled_from(list(combinations("abcdefgh", 2))), st.sampled_from([0.2, 0.5, 0.6, 0.9]), max_size=28
    ),
    size=st.integers(2, 4),
)
def test_groups_are_disjoint_small_and_related_throughout(scores, size):
    groups = group_related(scores, 0.5, size)
    members = [name for group in groups for name in group]
    assert len(members) == len(set(members))
    assert all(2 <= len(group) <= size for group in groups)
    assert all(scores.get(pair, 0) >= 0.5 for group in groups for pair in combinations(group, 2))
    left = [name for name in "abcdefgh" if name not in members]
    assert not any(scores.get(pair, 0) >= 0.5 for pair in combinations(left, 2))  # nobody is left out in vain
