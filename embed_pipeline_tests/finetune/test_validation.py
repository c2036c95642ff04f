"""The own nDCG@10 equals trec_eval's."""

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.encoders.cached_encoder import CachedEncoder
from embed_pipeline.evaluation.retrieve import bm25_run, dense_run
from embed_pipeline.finetune import validation
from embed_pipeline.finetune.guards import mean_cosine
from embed_pipeline.finetune.in_process import VECTORS
from embed_pipeline.finetune.train import finetune
from embed_pipeline.finetune.validation import Validator, ndcg
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import convex
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import retrieval_set, rows, tiny_model


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


def test_later_models_rank_the_pool_that_the_first_one_and_bm25_made(tmp_path, monkeypatch):
    from embed_pipeline.encoders.torch_encoder import TorchEncoder

    encoded: list[str] = []
    original = TorchEncoder.encode

    def encode(self, texts, role):
        encoded.extend(texts)
        return original(self, texts, role)

    monkeypatch.setattr(TorchEncoder, "encode", encode)
    monkeypatch.setattr(validation, "POOL_DEPTH", 3)
    monkeypatch.setattr(validation, "SAMPLE", 2)
    monkeypatch.setattr(validation, "CUT_OFF", 3)
    spec = tiny_model(tmp_path)
    plain = retrieval_set(40)
    few = dict(list(plain.queries.items())[:4])
    judged = RetrievalSet("validation", plain.passages, few, {query: plain.qrels[query] for query in few})
    encoder = TorchEncoder.load(spec, "cpu")
    validator = Validator(judged, spec, 32, seed=0)
    first = validator.measure(encoder.model)
    assert len(encoded) == len(plain.passages) + len(few)

    names = sorted(judged.passages, reverse=True)
    found = {names[place] for place in validator.pool}
    vectors = original(encoder, [judged.passages[name] for name in names], "passage")
    scores = original(encoder, list(few.values()), "query") @ vectors.T
    nearest = {names[place] for row in np.argsort(-scores, axis=1)[:, :3] for place in row}
    words = bm25_run(judged, 3)
    assert (
        nearest
        | {name for run in words.values() for name in run}
        | {name for row in judged.qrels.values() for name in row}
        <= found
    )
    assert len(found) <= 4 * (3 + 3 + 1) + 2 < len(names)

    encoded.clear()
    again = validator.measure(encoder.model)
    assert sorted(encoded) == sorted([*(judged.passages[name] for name in found), *few.values()])
    assert again.ndcg == first.ndcg
    assert np.allclose(again.sample, first.sample, atol=1e-6)


def test_a_set_that_the_pool_covers_is_measured_whole(tmp_path):
    from embed_pipeline.encoders.torch_encoder import TorchEncoder

    spec = tiny_model(tmp_path)
    validator = Validator(retrieval_set(15), spec, 32, seed=0)
    validator.measure(TorchEncoder.load(spec, "cpu").model)
    assert validator.pool == list(range(15))


def test_fused_it_is_the_hybrid_of_the_evaluation_also_over_the_pool(tmp_path, monkeypatch):
    from embed_pipeline.encoders.torch_encoder import TorchEncoder

    spec, judged = tiny_model(tmp_path), retrieval_set(40)
    encoder = TorchEncoder.load(spec, "cpu")
    for depth in (100, 6):
        monkeypatch.setattr(validation, "POOL_DEPTH", depth)
        validator = Validator(judged, spec, 32, seed=0, fused=True)
        first = validator.measure(encoder.model)
        hybrid = convex(bm25_run(judged, depth), dense_run(judged, encoder, depth), 10)
        measured = pytrec_eval.RelevanceEvaluator(dict(judged.qrels), {"ndcg_cut.10"}).evaluate(hybrid)
        theirs = float(np.mean([one["ndcg_cut_10"] for one in measured.values()]))
        assert first.ndcg == pytest.approx(theirs, abs=1e-6)
        assert validator.measure(encoder.model).ndcg == first.ndcg
        resumed = Validator(judged, spec, 32, seed=0, fused=True)
        resumed.pool = validator.pool
        assert resumed.measure(encoder.model).ndcg == first.ndcg
    assert first.ndcg > Validator(judged, spec, 32, seed=0).measure(encoder.model).ndcg


def test_a_training_is_picked_by_what_the_settings_ask_for(tmp_path):
    spec = tiny_model(tmp_path / "base")
    figures = {}
    for chosen in ("dense", "hybrid"):
        settings = FinetuneSettings(epochs=1, batch_size=16, warmup_steps=1, validate_on=chosen, hard_negatives=0)
        folder = tmp_path / chosen
        report = finetune(rows(32), retrieval_set(32), spec, settings, folder / "out", folder / "work", "cpu")
        figures[chosen] = report.base_validation
    assert figures["hybrid"] > figures["dense"]


def test_what_is_known_of_the_base_model_is_not_encoded_again(tmp_path, monkeypatch):
    from embed_pipeline.encoders.torch_encoder import TorchEncoder

    spec, judged = tiny_model(tmp_path), retrieval_set(15)
    folder = tmp_path / "cache" / VECTORS
    CachedEncoder(spec, lambda: TorchEncoder.load(spec, "cpu"), folder).encode(
        list(judged.passages.values()), "passage"
    )
    encoded: list[str] = []
    plain = TorchEncoder.encode

    def noted(one, texts, role):
        encoded.extend(texts)
        return plain(one, texts, role)

    monkeypatch.setattr(TorchEncoder, "encode", noted)
    settings = FinetuneSettings(epochs=1, batch_size=4, precision="fp32", hard_negatives=0)
    known = finetune(rows(8), judged, spec, settings, tmp_path / "a", tmp_path / "w1", "cpu", cache=tmp_path / "cache")
    counts = [encoded.count(text) for text in judged.passages.values()]
    encoded.clear()
    alone = finetune(rows(8), judged, spec, settings, tmp_path / "b", tmp_path / "w2", "cpu")
    assert [encoded.count(text) - count for text, count in zip(judged.passages.values(), counts, strict=True)] == [
        1
    ] * 15
    assert known.base_validation == pytest.approx(alone.base_validation, abs=1e-6)
    assert known.validations[1:] == alone.validations[1:]
