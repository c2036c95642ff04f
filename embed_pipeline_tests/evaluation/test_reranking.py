"""Reranking, with scorers whose orders can be worked out by hand."""

import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline import tables
from embed_pipeline.errors import ArtifactError
from embed_pipeline.evaluation.evaluate import BaseEvaluation, evaluate_base, evaluate_tuned
from embed_pipeline.evaluation.query_cost import milliseconds_of_systems
from embed_pipeline.evaluation.reranker_page import reranker_page
from embed_pipeline.evaluation.reranking import (
    BEFORE,
    BLENDED,
    RERANKED,
    UNTRAINED,
    Known,
    RerankedEvaluation,
    best_and_rival,
    evaluate_reranked,
    rerank,
)
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import ranked
from embed_pipeline.settings import EvalSettings
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set

SETTINGS = EvalSettings(resamples=2000, rerank_depth=20)
PLAIN = numbered_set(40)
SET = replace(  # every other passage calls its topic by another word, so that BM25 cannot find it
    PLAIN,
    passages={
        name: text if place % 2 else text.replace("topic", "theme")
        for place, (name, text) in enumerate(PLAIN.passages.items())
    },
)
COSTS = {"bm25": 1.0, "base": 2.0, "tuned": 2.0, "convex": 3.5, "convex_tuned": 3.5, RERANKED: 400.0, UNTRAINED: 400.0}


def knows(pairs):
    """The passage about the topic that the question names, by its number."""
    asked = [question.split()[2].removeprefix("topic") for question, _ in pairs]
    about = [passage.split()[2][len("topic") :] for _, passage in pairs]
    return np.array([float(one == other) for one, other in zip(asked, about, strict=True)], np.float32)


def wrong(pairs):
    return -knows(pairs)


@pytest.fixture(scope="module")
def known() -> Known:
    """Base and tuned see no topic, so that they are poor."""
    blind = WordEncoder([f"topic{index}" for index in range(40)])
    half = WordEncoder([f"topic{index}" for index in range(0, 40, 4)])
    before: BaseEvaluation = evaluate_base([SET], blind, SETTINGS)
    after = evaluate_tuned([SET], half, before, SETTINGS)
    return Known(
        pl.concat([before.query_metrics, after.query_metrics]), pl.concat([before.runs, after.runs]), weight=0.9
    )


def evaluated(known: Known, scorer=knows, **more) -> RerankedEvaluation:
    return evaluate_reranked([SET], known, {RERANKED: scorer, **more}, COSTS, SETTINGS)


names = st.lists(st.integers(0, 30), min_size=1, max_size=25, unique=True)


@given(names, st.integers(1, 30), st.integers(0, 1000))
def test_only_the_first_are_ordered_anew_and_none_is_lost(places, best, seed):
    test_set = RetrievalSet("x", {f"p{i}": f"text {i}" for i in range(31)}, {"q": "question"}, {"q": {"p0": 1}})
    found = {"q": {f"p{place}": 1.0 - rank / 100 for rank, place in enumerate(places)}}
    before = list(found["q"])
    values = dict(zip(before, np.random.default_rng(seed).standard_normal(len(before)), strict=True))
    asked: list[str] = []

    def scorer(pairs):
        asked.extend(text for _, text in pairs)
        return np.array([values[f"p{text.split()[1]}"] for _, text in pairs], np.float32)

    after = ranked(rerank(test_set, found, scorer, best)["q"])
    assert after[:best] == sorted(before[:best], key=lambda name: -values[name])
    assert after[best:] == before[best:]
    assert len(asked) == min(best, len(before))


def test_a_query_that_found_nothing_stays_so():
    assert rerank(SET, {"q1": {}}, knows, 5) == {"q1": {}}


def test_a_reranker_that_knows_is_the_best_and_significantly_so(known):
    found = evaluated(known)
    told = found.summary
    assert told["decisions"]["synthetic"]["best"] == RERANKED
    rows = {row["system"]: row for row in found.table.to_dicts()}
    assert list(rows) == ["bm25", "base", "tuned", "convex", "convex_tuned", RERANKED]
    assert rows[RERANKED]["ndcg_at_10"] > rows["convex_tuned"]["ndcg_at_10"]
    assert rows[RERANKED]["delta"] is None
    for system in BEFORE:
        assert rows[system]["delta"] == pytest.approx(rows[system]["ndcg_at_10"] - rows[RERANKED]["ndcg_at_10"])
        assert rows[system]["ci_low"] <= rows[system]["delta"] <= rows[system]["ci_high"]
        assert rows[system]["p"] <= rows[system]["p_corrected"]
    assert rows[RERANKED]["interval_low"] <= rows[RERANKED]["ndcg_at_10"] <= rows[RERANKED]["interval_high"]
    assert told["decided_on"] == "synthetic"
    assert told["milliseconds"] == COSTS
    assert found.query_metrics["system"].unique().to_list() == [RERANKED]
    assert found.runs.filter(pl.col("query_id") == "q3").sort("rank")["passage_id"][0] == "p3"


def test_the_sentence_names_the_best_of_what_costs_less(known):
    found = evaluated(known)
    decision = found.summary["decisions"]["synthetic"]
    means = {system: row["ndcg@10"] for system, row in found.summary["test_sets"]["synthetic"].items()}
    assert decision["cheaper"] == max(BEFORE, key=lambda one: (means[one], -COSTS[one]))
    assert decision["delta"] == pytest.approx(means[RERANKED] - means[decision["cheaper"]], abs=1e-5)
    low, high = decision["ci95"]
    assert low <= decision["delta"] <= high
    told = found.summary["sentence"]
    assert told.startswith("On the generated questions the best is BM25 and the tuned model fused by scores, then the")
    assert "400 ms a query" in told
    better = decision["p_corrected"] < SETTINGS.alpha
    assert ("; significantly better" in told) == better
    assert ("; not significantly better" in told) != better


def test_a_reranker_that_spoils_the_order_is_told_of_too(known):
    found = evaluated(known, wrong)
    decision = found.summary["decisions"]["synthetic"]
    assert decision["best"] != RERANKED
    assert "with the trained reranker it is " in found.summary["sentence"]
    if decision["cheaper"] is not None:
        assert decision["delta"] >= 0
        assert COSTS[decision["cheaper"]] < COSTS[decision["best"]]


def test_a_blend_with_the_search_is_measured_where_validation_gave_the_reranker_a_share(known):
    plain = evaluated(known)
    for weight in (None, 0.0, 1.0):
        found = evaluate_reranked([SET], known, {RERANKED: knows}, COSTS, SETTINGS, weight)
        assert found.table.equals(plain.table)
        assert found.summary["weight"] == weight
    found = evaluate_reranked([SET], known, {RERANKED: knows}, COSTS, SETTINGS, 0.4)
    assert set(found.table["system"]) == {*BEFORE, RERANKED, BLENDED}
    assert set(found.query_metrics["system"]) == {RERANKED, BLENDED}
    rows = {row["system"]: row for row in found.table.to_dicts()}
    assert rows[BLENDED]["milliseconds"] == rows[RERANKED]["milliseconds"]
    worth = found.summary["decisions"]["synthetic"]["reranker"]
    assert worth["system"] == BLENDED
    gain = rows[BLENDED]["ndcg_at_10"] - rows["convex_tuned"]["ndcg_at_10"]
    assert worth["delta"] == pytest.approx(gain, abs=1e-5)
    assert "blended with the reranker" in reranker_page(found.summary, found.table.to_dicts())


@pytest.mark.parametrize(
    ("scorer", "weight", "verdict", "said"),
    [
        (knows, None, "helps", "The reranker makes BM25 and the tuned model fused by scores significantly better (+"),
        (wrong, 0.0, "harms", "The reranker does harm: keep BM25 and the tuned model fused by scores (-"),
        (lambda pairs: np.zeros(len(pairs)), 0.3, "no_gain", "does not make it significantly better: keep BM25"),
    ],
)
def test_it_is_said_plainly_whether_to_use_it(known, scorer, weight, verdict, said):
    found = evaluate_reranked([SET], known, {RERANKED: scorer}, COSTS, SETTINGS, weight)
    assert found.summary["verdict"] == verdict
    assert said in found.summary["sentence"]


@given(names, st.integers(1, 30), st.integers(0, 1000))
def test_a_blend_goes_from_the_search_to_the_reranker(places, best, seed):
    test_set = RetrievalSet("x", {f"p{i}": f"text {i}" for i in range(31)}, {"q": "question"}, {"q": {"p0": 1}})
    found = {"q": {f"p{place}": 1.0 - rank / 100 for rank, place in enumerate(places)}}
    values = np.random.default_rng(seed).standard_normal(31).astype(np.float32)

    def scorer(pairs):
        return np.array([values[int(text.split()[1])] for _, text in pairs], np.float32)

    def order(weight):
        return ranked(rerank(test_set, found, scorer, best, weight)["q"])

    assert order(0.0) == list(found["q"])
    assert order(1.0) == ranked(rerank(test_set, found, scorer, best)["q"])
    assert sorted(order(0.5)) == sorted(found["q"])


def test_the_untrained_one_stands_beside(known):
    found = evaluated(known, **{UNTRAINED: wrong})
    assert set(found.table["system"]) == {*BEFORE, RERANKED, UNTRAINED}
    assert set(found.query_metrics["system"]) == {RERANKED, UNTRAINED}
    row = found.table.filter(pl.col("system") == UNTRAINED).row(0, named=True)
    assert row["delta"] < 0
    page = reranker_page(found.summary, found.table.to_dicts())
    assert "before training" in page
    assert "with BM25, reranked" in page


@given(
    st.dictionaries(st.sampled_from([*COSTS]), st.sampled_from([0.2, 0.5, 0.7]), min_size=1),
)
def test_the_best_and_its_rival(means):
    best, rival = best_and_rival(means, COSTS)
    assert means[best] == max(means.values())
    assert all(COSTS[best] <= COSTS[one] for one in means if means[one] == means[best])
    cheaper = {one: means[one] for one in means if COSTS[one] < COSTS[best]}
    assert (rival is None) == (not cheaper)
    if rival is not None:
        assert cheaper[rival] == max(cheaper.values()) < means[best]


def test_nothing_costs_less_than_bm25(known):
    costs = COSTS | dict.fromkeys(["base", "tuned", "convex", "convex_tuned"], 9.0)
    scores = known.scores.with_columns(
        value=pl.when(pl.col("system") == "bm25").then(1.0).otherwise(pl.col("value") * 0.5)
    )
    found = evaluate_reranked([SET], Known(scores, known.runs, 0.5), {RERANKED: wrong}, costs, SETTINGS)
    assert (
        "the best is BM25 alone: nDCG@10 1.0000, 1.0 ms a query; nothing costs less; with the"
        in (found.summary["sentence"])
    )


def test_scores_that_are_not_there_are_told(known):
    gone = Known(known.scores.filter(pl.col("system") != "convex"), known.runs, 0.5)
    with pytest.raises(ArtifactError, match="convex"):
        evaluated(gone)


def test_the_page_loads_nothing_and_escapes(known):
    found = evaluated(known)
    page = reranker_page(found.summary | {"sentence": "<script>alert(1)</script>"}, found.table.to_dicts())
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "src=" not in page
    assert page.count('<tr class="best">') == 1


def test_what_a_query_costs():
    slow = 0.02

    def scorer(pairs):
        time.sleep(slow)
        assert len(pairs) == 7
        return knows(pairs)

    encoder = WordEncoder()
    vectors = encoder.encode(list(SET.passages.values()), "passage")
    found = {query: dict.fromkeys(SET.passages, 0.5) for query in SET.queries}
    costs = milliseconds_of_systems(SET, encoder, vectors, found, {RERANKED: scorer}, EvalSettings(rerank_depth=7))
    assert set(costs) == {*BEFORE, RERANKED}
    assert costs["base"] == costs["tuned"] > 0
    assert costs["convex"] == costs["convex_tuned"] > costs["tuned"] + costs["bm25"]
    assert costs[RERANKED] >= costs["convex"] + 1000 * slow
    assert tables.RerankerMetrics.column_names()[:2] == ["test_set", "system"]


def test_a_depth_beyond_what_is_kept_is_refused():
    with pytest.raises(ValueError, match="rerank_depth is 101, but of each query 100 passages are kept"):
        EvalSettings(rerank_depth=101)
    assert EvalSettings(rerank_depth=200, ks=(10, 200)).rerank_depth == 200
