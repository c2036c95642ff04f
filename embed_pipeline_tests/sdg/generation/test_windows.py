from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.sdg.generation.windows import Window, document_windows, query_type_counts, shown_passages
from embed_pipeline.settings import QueryMix, SdgSettings
from embed_pipeline_tests.sdg.sample import documents_and_passages

TEN = "Passage {} has exactly ten words in it, really and truly."


def windows_of(texts, **settings):
    _, passages = documents_and_passages(texts)
    chosen = SdgSettings(**settings)
    return list(document_windows(shown_passages(passages, chosen.window_tokens), chosen))


def test_a_long_document_is_cut_into_even_windows():
    windows = windows_of({"long.md": [f"{TEN.format(n)} " * 10 for n in range(14)]}, window_tokens=600)
    assert [len(window.passages) for window in windows] == [5, 4, 5]
    assert [window.name for window in windows] == [f"long.md (passages {a}-{b})" for a, b in ((0, 4), (5, 8), (9, 13))]


def test_questions_grow_with_the_document_and_are_shared_by_its_windows():
    short, long = windows_of({"a.md": ["Few words."]}), windows_of({"b.md": [TEN.format(n) for n in range(500)]})
    assert [window.questions for window in short] == [2]
    tokens = sum(row["token_count"] for window in long for row in window.passages)
    assert abs(sum(window.questions for window in long) - 5 * tokens / 1000) <= 1
    assert max(window.questions for window in long) - min(window.questions for window in long) <= 1


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    window_tokens=st.integers(200, 400),
    rate=st.floats(0.1, 50),
)
def test_every_passage_is_shown_once_and_no_window_is_without_a_question(sizes, window_tokens, rate):
    texts = {"d.md": ["word " * size + str(number) for number, size in enumerate(sizes)]}
    windows = windows_of(texts, window_tokens=window_tokens, questions_per_1000_tokens=rate)
    shown = [row["passage_id"] for window in windows for row in window.passages]
    assert shown == [f"d.md#{number}" for number in range(len(sizes))]
    assert all(window.questions >= 1 for window in windows)
    assert all(sum(row["token_count"] for row in window.passages) <= window_tokens + 61 for window in windows)


def test_near_duplicate_passages_are_shown_once():
    _, passages = documents_and_passages({"a.md": ["One text.", "Another."], "b.md": ["One text."]})
    copied = passages.with_columns(
        group_id=pl.when(pl.col("doc_id") == "b.md").then(pl.lit("a.md#0")).otherwise("group_id")
    )
    assert shown_passages(copied, 2000)["passage_id"].to_list() == ["a.md#0", "a.md#1"]


def test_a_passage_as_long_as_a_book_is_shown_in_part():
    _, passages = documents_and_passages({"book.md": ["word " * 10_000]})
    (row,) = shown_passages(passages, 500).to_dicts()
    assert row["token_count"] == 1000
    assert row["text"] == ("word " * 1000)


def window(*doc_ids, questions=7, text=""):
    rows = [{"doc_id": doc_id, "text": f"{text}{doc_id}", "title": ""} for doc_id in doc_ids]
    return Window("w", rows, questions)


@given(
    questions=st.integers(1, 40),
    text=st.text(alphabet=st.characters(codec="utf-8"), max_size=5),
    weights=st.lists(st.sampled_from([0, 0.5, 1, 3]), min_size=5, max_size=5).filter(any),
)
def test_query_types_add_up_and_follow_their_weights(questions, text, weights):
    mix = QueryMix(**dict(zip(QueryMix.model_fields, weights, strict=True)))
    counts = query_type_counts(window("a.md", questions=questions, text=text), mix, 3)
    assert sum(counts.values()) == questions
    for name, weight in zip(QueryMix.model_fields, weights, strict=True):
        assert abs(counts.get(name, 0) - questions * weight / sum(weights)) <= 1 + 1e-6


def test_over_many_small_windows_every_type_gets_its_share():
    total: Counter[str] = Counter()
    for number in range(2000):
        total.update(query_type_counts(window("a.md", questions=2, text=str(number)), QueryMix(), 3))
    shares = {name: count / 4000 for name, count in total.items()}
    assert shares["multi_hop"] == pytest.approx(3 / 11, abs=0.03)
    assert all(shares[name] == pytest.approx(2 / 11, abs=0.03) for name in ("structural", "keyword", "paraphrase"))


def test_several_documents_are_asked_about_together_only():
    assert query_type_counts(window("a.md", "b.md"), QueryMix(multi_hop=0), 3) == {"multi_hop": 7}
    assert "multi_hop" not in query_type_counts(window("a.md"), QueryMix(), max_hops=1)
    assert query_type_counts(window("a.md"), QueryMix(structural=0, contextual=0, keyword=0, paraphrase=0), 1) == {
        "contextual": 7
    }
