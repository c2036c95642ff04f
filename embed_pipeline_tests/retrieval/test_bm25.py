"""The BM25 index against bm25s over the same words; its scripts are tested by the evaluation's baselines."""

import re
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.retrieval import bm25
from embed_pipeline.retrieval.bm25 import Bm25Index, words_of
from embed_pipeline.text.scripts import combining_marks

PASSAGES = ["Red apple, red pear.", "Green pear", "东京是日本的首都。", "…"]
SCRIPTS = st.sampled_from(
    ["red", "Pear", "STRASSE", "straße", "naïve", "दिल्ली", "हिन्दी", "مَدْرَسَة", "москва", "東京", "日本の首都", "서울은",
     "ไทย", "ﬁn", "x²", "e\u0301", "…", "-", "don't", "1.5"]
)  # fmt: skip
TEXTS = st.lists(st.lists(SCRIPTS | st.text(max_size=4), max_size=12).map(" ".join), min_size=1, max_size=12)


def test_the_best_passages_are_those_with_the_highest_scores():
    index = Bm25Index(PASSAGES)
    queries = ["red pear", "首都", "?", "unknown"]
    scores = index.scores(queries)
    assert scores.shape == (4, 4)
    for row, best in zip(scores, index.top_k(queries, 3), strict=True):
        assert [place for place, _ in best] == [place for place in np.argsort(-row, kind="stable") if row[place] > 0]
        assert [score for _, score in best] == [row[place] for place, _ in best]
    assert np.argmax(scores[0]) == 0
    assert np.argmax(scores[1]) == 2
    assert not scores[2:].any()


@given(TEXTS, TEXTS, st.integers(1, 13), st.integers(1, 5), st.sampled_from([(1.5, 0.75), (0.9, 0.4), (0.0, 1.0)]))
@settings(deadline=None)
def test_scores_and_rankings_are_those_of_bm25s(passages, queries, k, shard, constants):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bm25, "SHARD", shard)
        index = Bm25Index(passages, words_of, *constants)
        found, best = index.scores(queries), index.top_k(queries, k)
    expected = _by_bm25s(passages, queries, *constants)
    assert np.array_equal(found, expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bm25, "SHARD", shard)
        asked = Bm25Index(passages, words_of, constants[0], constants[1], asked=queries)
        assert np.array_equal(asked.scores(queries), expected)
    for row, ranking in zip(expected, best, strict=True):
        order = [place for place in np.argsort(-row, kind="stable").tolist() if row[place] > 0][:k]
        assert ranking == [(place, float(row[place])) for place in order]


def test_many_repetitions_of_a_word_are_counted():
    passages = ["a " * 300 + "b", "a " * 70_000 + "b", "b c"]
    assert np.array_equal(Bm25Index(passages).scores(["a", "b a a"]), _by_bm25s(passages, ["a", "b a a"]))


def test_another_analysis_holds_for_passages_and_queries():
    index = Bm25Index(["ABC", "abd"], lambda text: [text[:2].lower()])
    assert [[place for place, _ in best] for best in index.top_k(["abx", "bc"], 2)] == [[0, 1], []]


def _by_bm25s(passages, queries, k1=1.5, b=0.75):
    import bm25s

    tokens = [words_of(text) for text in passages]
    found = np.zeros((len(queries), len(passages)), np.float32)
    if not any(tokens):
        return found
    reference = bm25s.BM25(k1=k1, b=b)
    reference.index(tokens, show_progress=False)
    for row, query in enumerate(queries):
        if words_of(query):
            found[row] = reference.get_scores(words_of(query))
    return found


def test_words_are_runs_of_letters_digits_and_marks_and_pairs_where_nothing_stands_between_them():
    some = map(chr, [*range(0x2100), *range(0x2100, sys.maxunicode, 101)])
    text = " ".join((*some, combining_marks()))
    assert words_of(text) == re.findall(f"[\\w{combining_marks()}]+", bm25._with_bigrams(text))
    assert words_of("Don't stop: STRASSE straße") == ["don", "t", "stop", "strasse", "strasse"]
    assert words_of("हिन्दी में") == [unicodedata.normalize("NFKC", word) for word in ("हिन्दी", "में")]
    assert words_of("日本の首都 is 東") == ["日本", "本の", "の首", "首都", "is", "東"]


@pytest.mark.parametrize("passages", [[], ["…", "?!"]])
def test_nothing_is_found_where_there_are_no_words(passages):
    index = Bm25Index(passages)
    assert index.top_k(["red"], 3) == [[]]
    assert index.scores(["red"]).tolist() == [[0.0] * len(passages)]


def test_no_queries_find_nothing():
    index = Bm25Index(PASSAGES)
    assert index.top_k([], 3) == []
    assert index.scores([]).shape == (0, 4)
