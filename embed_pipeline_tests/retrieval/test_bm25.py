"""The BM25 index; its scripts are tested by the evaluation's baselines."""

import numpy as np
import pytest

from embed_pipeline.retrieval.bm25 import Bm25Index

PASSAGES = ["Red apple, red pear.", "Green pear", "东京是日本的首都。", "…"]


def test_the_best_passages_are_those_with_the_highest_scores():
    index = Bm25Index(PASSAGES)
    queries = ["red pear", "首都", "?", "unknown"]
    scores = index.scores(queries)
    assert scores.shape == (4, 4)
    for row, best in zip(scores, index.top_k(queries, 3), strict=True):
        assert [place for place, _ in best] == [place for place in np.argsort(-row, kind="stable") if row[place] > 0]
        assert [score for _, score in best] == pytest.approx([row[place] for place, _ in best])
    assert np.argmax(scores[0]) == 0
    assert np.argmax(scores[1]) == 2
    assert not scores[2:].any()


@pytest.mark.parametrize("passages", [[], ["…", "?!"]])
def test_nothing_is_found_where_there_are_no_words(passages):
    index = Bm25Index(passages)
    assert index.top_k(["red"], 3) == [[]]
    assert index.scores(["red"]).tolist() == [[0.0] * len(passages)]


def test_no_queries_find_nothing():
    index = Bm25Index(PASSAGES)
    assert index.top_k([], 3) == []
    assert index.scores([]).shape == (0, 4)
