"""Exported and served models beside the systems that were compared before."""

import polars as pl
import pytest

from embed_pipeline import tables
from embed_pipeline.evaluation.endpoint import evaluate_endpoint
from embed_pipeline.evaluation.evaluate import BaseEvaluation, TunedEvaluation, evaluate_base, evaluate_tuned
from embed_pipeline.evaluation.report import markdown_table, svg_systems
from embed_pipeline.evaluation.served import system_frame, with_endpoint, with_model
from embed_pipeline.settings import EvalSettings
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set

SETTINGS = EvalSettings(resamples=500)
SETS = [numbered_set(36), numbered_set(40, "gold")]
WORSE = WordEncoder([f"topic{i}" for i in range(12)])


@pytest.fixture(scope="module")
def before() -> BaseEvaluation:
    return evaluate_base(SETS, WordEncoder(["topic1", "topic2"]), SETTINGS)


@pytest.fixture(scope="module")
def after(before: BaseEvaluation) -> TunedEvaluation:
    return evaluate_tuned(SETS, WordEncoder(), before, SETTINGS)


def test_a_worse_export_is_seen_and_the_input_stays(before: BaseEvaluation, after: TunedEvaluation) -> None:
    scores = pl.concat([before.query_metrics, after.query_metrics])
    summary, more = with_model(after.summary, scores, SETS, "onnx_int8", WORSE, SETTINGS)
    assert "onnx_int8" not in after.summary["test_sets"]["gold"]
    assert more.filter(system="onnx_int8").height == (36 + 40) * 20
    found = summary["versus"]["gold"]["onnx_int8"]["ndcg@10"]
    assert found["delta"] < 0
    assert found["p"] < 0.05
    assert found["value"] == summary["test_sets"]["gold"]["onnx_int8"]["ndcg@10"]
    low, high = summary["intervals"]["gold"]["onnx_int8"]
    assert low < found["value"] < high
    assert "the tuned model in INT8" in markdown_table(summary)
    assert svg_systems(summary).count("<circle") == svg_systems(after.summary).count("<circle") + 2


def test_the_same_export_is_the_same(before: BaseEvaluation, after: TunedEvaluation) -> None:
    scores = pl.concat([before.query_metrics, after.query_metrics])
    summary, _ = with_model(after.summary, scores, SETS[:1], "onnx_int8", WordEncoder(), SETTINGS)
    found = summary["versus"]["synthetic"]["onnx_int8"]["ndcg@10"]
    assert (found["delta"], found["p"]) == (0.0, 1.0)
    assert "onnx_int8" not in summary["test_sets"]["gold"]  # it was not measured there


def test_the_endpoint_has_means(before: BaseEvaluation, after: TunedEvaluation) -> None:
    measured = evaluate_endpoint(SETS, WORSE, after.query_metrics, SETTINGS)
    summary = with_endpoint(after.summary, measured)
    value = measured.filter(test_set="gold", metric="ndcg@10")["endpoint"][0]
    assert summary["test_sets"]["gold"]["endpoint"]["ndcg@10"] == value
    frame = system_frame(summary)
    assert frame.equals(tables.validate(tables.SystemMetrics, frame))
    assert frame.filter(test_set="gold", system="endpoint", metric="ndcg@10")["value"].to_list() == [value]
    assert "| the endpoint |" in markdown_table(summary)
