"""The shared nouns."""

import pytest

from embed_pipeline.records import RetrievalSet, passage_text


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [("T", "body", "T body"), ("", "body", "body"), ("T", "", "T"), ("", "", ""), (" T", "b\n", "T b")],
)
def test_title_and_text_join_as_in_beir(title, text, expected):
    assert passage_text(title, text) == expected


def test_slices_are_optional_and_not_shared_between_sets():
    one, two = (RetrievalSet("x", {"p": "text"}, {"q": "?"}, {"q": {"p": 1}}) for _ in range(2))
    assert one.query_slices == {}
    assert one.query_slices is not two.query_slices
