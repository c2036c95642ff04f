"""The own nDCG@10 equals trec_eval's."""

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.finetune.guards import mean_cosine
from embed_pipeline.finetune.validation import Validator, ndcg
from embed_pipeline.records import RetrievalSet
from embed_pipeline_tests.finetune.build import retrieval_set, tiny_model


@given(
    st.lists(st.integers(0, 30), unique=True, max_size=15),
    st.dictionaries(st.integers(0, 30), st.integers(1, 3), min_size=1, max_size=20),
)
def test_ndcg_equals_trec_eval(ranked, relevant):
    qrels = {"q": {f"p{name}": value for name, value in relevant.items()}}
    run = {"q": {f"p{name}": float(-place) for place, name in enumerate(ranked)}}
    measured = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
    theirs = measured.get("q", {}).get("ndcg_cut_10", 0.0)
    assert ndcg([f"p{name}" for name in ranked], qrels["q"]) == pytest.approx(theirs, abs=1e-12)


def test_whole_set_equals_trec_eval_with_ties(tmp_path):
    from embed_pipeline.encoders.torch_encoder import TorchEncoder

    spec = tiny_model(tmp_path, query_prompt="query: ")
    plain = retrieval_set(15)
    twins = {f"{name}-twin": text for name, text in list(plain.passages.items())[:5]}
    judged = RetrievalSet("validation", {**plain.passages, **twins}, plain.queries, plain.qrels)
    encoder = TorchEncoder.load(spec, "cpu")
    ours = Validator(judged, spec, 32, seed=0).measure(encoder.model)
    names = list(judged.passages)
    passages = encoder.encode([judged.passages[name] for name in names], "passage")
    scores = encoder.encode(list(judged.queries.values()), "query") @ passages.T
    rounded = np.round(scores, 5)  # twins get equal scores, which trec_eval ranks by descending id
    run = {
        query: dict(zip(names, row.tolist(), strict=True)) for query, row in zip(judged.queries, rounded, strict=True)
    }
    theirs = pytrec_eval.RelevanceEvaluator(dict(judged.qrels), {"ndcg_cut.10"}).evaluate(run)
    assert ours.ndcg == pytest.approx(np.mean([one["ndcg_cut_10"] for one in theirs.values()]), abs=1e-6)
    assert ours.sample.shape == (20, 32)


def test_mean_cosine_equals_the_definition():
    vectors = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [float(unit[a] @ unit[b]) for a in range(7) for b in range(7) if a != b]
    assert mean_cosine(vectors) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert mean_cosine(vectors[:1]) == 0
