"""Metrics: by hand, against pytrec_eval and against BEIR."""

import copy
import math

import numpy as np
import pytest
import pytrec_eval
from beir.retrieval.evaluation import EvaluateRetrieval
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.errors import ArtifactError
from embed_pipeline.evaluation.metrics import from_frame, mean_scores, metric_names, score_run, to_frame
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import Run, ranked

KS = (1, 5, 10, 100)
PASSAGE_IDS = [*(f"p{i}" for i in range(12)), "q0", "é", "ａ"]
QUERY_IDS = ["q0", "q1", "q2", "q3"]


def judged(qrels: dict[str, dict[str, int]]) -> RetrievalSet:
    return RetrievalSet("synthetic", dict.fromkeys(PASSAGE_IDS, "text"), dict.fromkeys(qrels, "text"), qrels)


# Few distinct scores, some of them equal only as float32: ties are common.
scores = st.sampled_from([0.1, 0.5, 0.5 + 1e-12, 0.7, -0.3, 2.0]) | st.floats(-5, 5)
found = st.dictionaries(st.sampled_from(PASSAGE_IDS), scores, max_size=len(PASSAGE_IDS))
qrels_strategy = st.fixed_dictionaries(
    {
        query: st.dictionaries(st.sampled_from(PASSAGE_IDS), st.integers(1, 3), min_size=1, max_size=6)
        for query in QUERY_IDS
    }
)
runs = st.dictionaries(st.sampled_from([*QUERY_IDS, "unknown"]), found)


def test_by_hand() -> None:
    retrieval_set = judged({"q0": {"p1": 1, "p2": 1}, "q1": {"p9": 1}, "q2": {"p3": 1}})
    run = {"q0": {"p0": 0.9, "p1": 0.8, "p3": 0.7, "p2": 0.6}, "q1": {"p9": 0.4}}
    result = score_run(retrieval_set, run, (1, 3, 10))
    by_query = {
        query: dict(zip(result.metrics, row, strict=True))
        for query, row in zip(result.query_ids, result.values, strict=True)
    }
    ideal = 1 + 1 / math.log2(3)
    assert by_query["q0"]["ndcg@10"] == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal, abs=1e-6)
    assert by_query["q0"]["recall@3"] == 0.5
    assert by_query["q0"]["precision@3"] == pytest.approx(1 / 3, abs=1e-6)
    assert by_query["q0"]["map@10"] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert by_query["q0"]["mrr@1"] == 0
    assert by_query["q0"]["mrr@3"] == 0.5
    assert by_query["q1"]["precision@10"] == pytest.approx(0.1)
    assert set(by_query["q2"].values()) == {0.0}
    assert mean_scores(result)["recall@10"] == pytest.approx(2 / 3, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(qrels_strategy, runs)
def test_equal_to_pytrec_eval(qrels: dict[str, dict[str, int]], run: Run) -> None:
    measures = {f"{name}.{','.join(map(str, KS))}" for name in ("ndcg_cut", "recall", "P", "map_cut")}
    reference = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    result = score_run(judged(qrels), run, KS)
    assert result.query_ids == tuple(QUERY_IDS)
    names = {"ndcg": "ndcg_cut", "recall": "recall", "precision": "P", "map": "map_cut"}
    for metric, name in names.items():
        for k in KS:
            expected = [reference.get(query, {}).get(f"{name}_{k}", 0.0) for query in QUERY_IDS]
            np.testing.assert_allclose(result.column(f"{metric}@{k}"), expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(qrels_strategy, runs)
def test_equal_to_beir(qrels: dict[str, dict[str, int]], run: Run) -> None:
    whole = {query: dict(run.get(query, {})) for query in QUERY_IDS}  # BEIR leaves missing queries out of the mean
    reference = EvaluateRetrieval.evaluate(qrels, copy.deepcopy(whole), list(KS), ignore_identical_ids=False)
    means = mean_scores(score_run(judged(qrels), run, KS))
    for values in reference:
        for name, value in values.items():
            metric = name.lower().replace("p@", "precision@") if name.startswith("P@") else name.lower()
            assert means[metric] == pytest.approx(value, abs=1.1e-5)


@settings(max_examples=60, deadline=None)
@given(qrels_strategy, runs)
def test_mrr_is_beirs_on_the_same_order(qrels: dict[str, dict[str, int]], run: Run) -> None:
    # BEIR breaks ties by the run's own order; hand it the run in trec_eval's order.
    ordered = {
        query: {passage: float(np.float32(run[query][passage])) for passage in ranked(run[query])}
        for query in run
        if query in qrels
    }
    reference = EvaluateRetrieval.evaluate_custom(qrels, ordered, list(KS), metric="mrr")
    means = mean_scores(score_run(judged(qrels), run, KS))
    for k in KS:
        assert means[f"mrr@{k}"] == pytest.approx(reference[f"MRR@{k}"], abs=1.1e-5)


@settings(max_examples=30, deadline=None)
@given(qrels_strategy, runs)
def test_inputs_stay_as_they_were(qrels: dict[str, dict[str, int]], run: Run) -> None:
    before = copy.deepcopy((qrels, run))
    score_run(judged(qrels), run, KS)
    assert (qrels, run) == before


def test_identical_ids_count() -> None:
    result = score_run(judged({"q0": {"q0": 1}}), {"q0": {"q0": 1.0, "p1": 0.5}}, KS)
    assert mean_scores(result)["ndcg@1"] == 1.0


def test_names_are_ordered_and_unique() -> None:
    assert metric_names((10, 1, 10)) == (
        *("ndcg@1", "ndcg@10", "recall@1", "recall@10", "precision@1", "precision@10"),
        *("map@1", "map@10", "mrr@1", "mrr@10"),
    )


@settings(max_examples=20, deadline=None)
@given(qrels_strategy, runs)
def test_frames_read_back_equal(qrels: dict[str, dict[str, int]], run: Run) -> None:
    scored = score_run(judged(qrels), run, KS)
    back = from_frame(to_frame(scored, "synthetic", "base"), "synthetic", "base", KS)
    assert (back.query_ids, back.metrics) == (scored.query_ids, scored.metrics)
    np.testing.assert_array_equal(back.values, scored.values)


def test_a_frame_without_the_system_or_cut_off_is_refused() -> None:
    frame = to_frame(score_run(judged({"q0": {"p1": 1}}), {}, (1, 10)), "synthetic", "base")
    with pytest.raises(ArtifactError, match="scores of tuned on the synthetic set"):
        from_frame(frame, "synthetic", "tuned", (1, 10))
    with pytest.raises(ArtifactError, match="ndcg@5"):
        from_frame(frame, "synthetic", "base", (1, 5, 10))
