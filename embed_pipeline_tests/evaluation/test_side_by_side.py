"""What each system finds, and where they differ, by passages and vectors that can be worked out by hand."""

import numpy as np
import pytest

from embed_pipeline.evaluation.side_by_side import DenseSide, Passages, SideBySide
from embed_pipeline.files import sha256_text
from embed_pipeline.settings import EvalSettings

WORDS = ["lion", "river", "lamp", "clock", "bridge"]


def dense(order: list[int]) -> DenseSide:
    """Whatever is asked, it finds the passages in this order."""
    vectors = np.zeros((len(WORDS), 1), np.float32)
    for rank, place in enumerate(order):
        vectors[place] = 1 - rank / 10
    return DenseSide("by hand", vectors, lambda queries: np.ones((len(queries), 1), np.float32))


def passages() -> Passages:
    return Passages([f"p{number}" for number in range(5)], [f"On the {word}" for word in WORDS], WORDS)


def side_by_side(tuned: bool = True, **settings) -> SideBySide:
    sides = {"base": dense([0, 1, 2, 3, 4]), "tuned": dense([4, 1, 0, 3, 2])}
    return SideBySide(passages(), sides if tuned else {"base": sides["base"]}, EvalSettings(**settings))


def hits(found, system):
    return {hit["passage_id"]: hit for hit in next(one for one in found["systems"] if one["name"] == system)["hits"]}


def test_ranks_scores_and_where_they_differ():
    found = side_by_side().search("clock", 2)
    assert [one["name"] for one in found["systems"]] == ["base", "tuned", "bm25", "convex_tuned"]
    assert list(hits(found, "base")) == ["p0", "p1"]
    assert list(hits(found, "tuned")) == ["p4", "p1"]
    assert list(hits(found, "bm25")) == ["p3"]  # the only one with the word
    assert hits(found, "tuned")["p4"]["moved"] == 4
    assert hits(found, "tuned")["p1"]["moved"] == 0
    assert hits(found, "bm25")["p3"]["moved"] == 3
    assert hits(found, "base")["p0"]["only_here"] is True
    assert hits(found, "base")["p1"]["only_here"] is False
    assert found["passages"]["p4"]["ranks"] == {"base": 5, "tuned": 1, "convex_tuned": 2}
    assert found["passages"]["p4"]["hash"] == sha256_text("On the bridge bridge")
    assert set(found["passages"]) == {"p0", "p1", "p3", "p4"}
    assert hits(found, "tuned")["p4"]["score"] == pytest.approx(1.0)


def test_the_hybrid_is_that_of_the_settings():
    assert side_by_side().hybrid == "convex_tuned"
    assert side_by_side(fusion="rrf").hybrid == "hybrid_tuned"
    assert side_by_side(tuned=False).hybrid == "convex"
    fused = hits(side_by_side(fusion="rrf").search("clock", 5), "hybrid_tuned")
    assert fused["p3"]["score"] == pytest.approx(1 / 61 + 1 / 64, abs=1e-6)


def test_words_are_compared_as_the_settings_say():
    assert list(hits(side_by_side().search("clocks", 2), "bm25")) == []  # a language must be told first
    texts = [f"The keeper was watching the {word} every night of that long winter by the sea." for word in WORDS]
    told = Passages([f"p{number}" for number in range(5)], [""] * 5, texts)
    for stemming, expected in (("auto", ["p3"]), ("off", [])):
        chosen = EvalSettings(bm25={"stemming": stemming})
        found = SideBySide(told, {"base": dense([0, 1, 2, 3, 4])}, chosen).search("clocks", 2)
        assert list(hits(found, "bm25")) == expected


def test_without_a_model_there_are_three():
    found = side_by_side(tuned=False).search("clock", 5)
    assert [one["name"] for one in found["systems"]] == ["base", "bm25", "convex"]


def test_a_query_without_a_known_word_and_more_than_there_are():
    found = side_by_side().search("zebra", 50)
    assert hits(found, "bm25") == {}
    assert len(hits(found, "tuned")) == 5


def test_several_queries_at_once_are_as_one_by_one():
    asked = {"1": "clock", "2": "lamp lion"}
    together = side_by_side().runs(asked)
    for query, text in asked.items():
        alone = side_by_side().runs({"q": text})
        assert {name: run[query] for name, run in together.items()} == {name: run["q"] for name, run in alone.items()}
