"""The verdict: what was shown, what was not, and what to use."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from embed_pipeline.evaluation.comparisons import compared
from embed_pipeline.evaluation.metrics import QueryScores
from embed_pipeline.evaluation.trust import Trust
from embed_pipeline.evaluation.verdict import MIN_CLUSTERS, MIN_QUESTIONS
from embed_pipeline.records import RetrievalSet, SetKind
from embed_pipeline.settings import EvalSettings

SETTINGS = EvalSettings(resamples=1000)
FEW = EvalSettings(resamples=200)
EARNED = Trust(True)
METRICS = ("ndcg@10", "recall@10")


def asked(queries: int = 60, clusters: int = 20, kind: SetKind = "gold") -> RetrievalSet:
    ids = [f"q{i:03}" for i in range(queries)]
    return RetrievalSet(
        kind,
        {"p": "passage"},
        dict.fromkeys(ids, "question"),
        {one: {"p": 1} for one in ids},
        clusters={one: str(i % clusters) for i, one in enumerate(ids)},
        kind=kind,
    )


def scores(values: np.ndarray) -> QueryScores:
    ids = tuple(f"q{i:03}" for i in range(len(values)))
    return QueryScores(ids, METRICS, np.repeat(np.clip(values, 0, 1)[:, None], 2, axis=1))


def decided(
    gains: Mapping[str, float],
    *sets: RetrievalSet,
    noise: float = 0.05,
    settings: EvalSettings = SETTINGS,
    trust: Trust | None = None,
) -> dict:
    """The summary where each system is better than base by its gain on the first set, and all are alike on others."""
    rng = np.random.default_rng(1)
    systems = {}
    for place, one in enumerate(sets):
        base = rng.uniform(0.3, 0.6, len(one.queries))
        systems[one.name] = {"base": scores(base)} | {
            name: scores(base + (gain if place == 0 else 0.0) + rng.normal(0, noise, len(base)))
            for name, gain in gains.items()
        }
    return compared(sets, systems, settings, trust)[1]


@pytest.mark.parametrize(("gain", "verdict"), [(0.1, "ship"), (-0.1, "regress"), (0.0, "no_gain")])
def test_gain_loss_and_noise(gain: float, verdict: str) -> None:
    found = decided({"tuned": gain}, asked())
    assert found["verdict"] == verdict
    decision = found["decision"]
    assert decision["firm"]
    assert (decision["test_set"], decision["systems"], decision["clusters"]) == ("gold", ["base", "tuned"], 20)
    assert decision["delta"] == pytest.approx(gain, abs=0.03)
    if verdict == "no_gain":
        assert "would have been seen in four of five cases" in decision["reasons"][0]
        assert 0 < decision["smallest_visible"] < 0.05


@pytest.mark.parametrize(("queries", "clusters"), [(6, 6), (MIN_QUESTIONS - 1, 20), (100, MIN_CLUSTERS - 1)])
def test_too_few_questions_or_clusters_never_ship(queries: int, clusters: int) -> None:
    for gain in (0.001, 0.3, -0.3):
        found = decided({"tuned": gain}, asked(queries, clusters), noise=0.0)
        assert (found["verdict"], found["decision"]["firm"]) == ("no_gain", False)
        assert not any("no gold set" in reason for reason in found["decision"]["reasons"])
        assert "too few" in found["decision"]["reasons"][0]
        assert f"{MIN_QUESTIONS} questions about {MIN_CLUSTERS}" in found["decision"]["reasons"][0]


def test_at_the_minimum_a_gain_ships() -> None:
    assert decided({"tuned": 0.2}, asked(MIN_QUESTIONS, MIN_CLUSTERS))["verdict"] == "ship"


def test_questions_of_people_decide_before_generated_ones() -> None:
    synthetic = asked(kind="synthetic")
    assert decided({"tuned": 0.1}, asked(), synthetic)["decision"]["test_set"] == "gold"
    assert decided({"tuned": 0.1}, synthetic, asked())["verdict"] == "no_gain"


def test_without_a_gold_set_it_is_provisional_and_must_be_earned() -> None:
    synthetic = asked(kind="synthetic")
    found = decided({"tuned": 0.1}, synthetic)
    assert (found["verdict"], found["decision"]["firm"]) == ("no_gain", False)
    assert "Nothing but the generated questions themselves speaks for it." in found["decision"]["reasons"]
    assert any("Provisional" in reason for reason in found["decision"]["reasons"])
    assert "judge fifty" in found["decision"]["reasons"][-1]
    doubted = decided({"tuned": 0.1}, synthetic, trust=Trust(False, ("it agrees with nothing.",)))
    assert doubted["verdict"] == "no_gain"
    assert "it agrees with nothing." in doubted["decision"]["reasons"]
    assert decided({"tuned": 0.1}, synthetic, trust=Trust(True))["verdict"] == "ship"
    assert decided({"tuned": -0.1}, synthetic, trust=Trust(False))["verdict"] == "regress"
    assert decided({"tuned": 0.1}, asked(), trust=Trust(False))["verdict"] == "ship"


def test_what_people_would_use_instead_is_told() -> None:
    found = decided({"tuned": 0.1, "bm25": 0.25, "convex": 0.2, "convex_tuned": 0.3}, asked())
    bm25, convex, convex_tuned, last = found["decision"]["advice"]
    means = {name: row["ndcg@10"] for name, row in found["test_sets"]["gold"].items()}
    p = found["versus"]["gold"]["bm25"]["ndcg@10"]["p_corrected"]
    assert bm25 == (
        "BM25 alone is better than the tuned model alone on your questions "
        f"({means['bm25']:.3f} against {means['tuned']:.3f}, p = {p:.3f})."
    )
    assert convex.startswith("BM25 and the base model fused by scores is better than the tuned model alone")
    assert convex_tuned.startswith("BM25 and the tuned model fused by scores is better than the tuned model alone")
    assert last.startswith("Best on your questions: BM25 and the tuned model fused by scores (0.")
    assert "embed-pipeline search" in last
    assert "eval.deploys: hybrid" in last
    assert found["decision"]["best"] == {"gold": "convex_tuned"}


def test_a_tuned_model_that_is_best_is_named() -> None:
    bm25, convex, last = decided({"tuned": 0.2, "bm25": 0.0, "convex": 0.1}, asked())["decision"]["advice"]
    assert bm25.startswith("BM25 alone is worse than the tuned model alone")
    assert convex.startswith("BM25 and the base model fused by scores is worse than")
    assert last.startswith("The tuned model did best of all on your questions (0.")


def test_what_is_ahead_by_chance_is_not_recommended() -> None:
    bm25, last = decided({"tuned": 0.1, "bm25": 0.105}, asked())["decision"]["advice"]
    assert "though not significantly, the tuned model alone" in bm25
    assert "may be as good" in last
    assert "Use it" not in last


def test_generated_questions_recommend_nothing_but_people() -> None:
    bm25, last = decided({"tuned": 0.1, "bm25": 0.4}, asked(kind="synthetic"))["decision"]["advice"]
    assert bm25.startswith("BM25 alone is better than the tuned model alone on the generated questions")
    assert "only questions of people can tell" in last
    assert decided({"tuned": 0.1, "bm25": 0.4}, asked(20, 8))["decision"]["advice"] == []


def test_advice_is_about_what_will_be_used() -> None:
    gains = {"tuned": 0.3, "bm25": 0.1, "convex": 0.1, "convex_tuned": 0.2, "hybrid": 0.1, "hybrid_tuned": 0.1}
    found = decided(gains, asked(), settings=EvalSettings(resamples=1000, deploys="hybrid"))
    bm25, tuned, last = found["decision"]["advice"]
    assert bm25.startswith("BM25 alone is worse than BM25 and the tuned model fused by scores on your questions")
    assert tuned.startswith("The tuned model is better than BM25 and the tuned model fused by scores")
    assert last.startswith("Best on your questions: the tuned model (0.")


def test_the_verdict_follows_the_way_it_will_be_used() -> None:
    gains = {"tuned": 0.2, "bm25": 0.1, "convex": 0.3, "convex_tuned": 0.2, "hybrid": 0.1, "hybrid_tuned": 0.25}
    for fusion, verdict, pair in (
        ("convex", "regress", ["convex", "convex_tuned"]),
        ("rrf", "ship", ["hybrid", "hybrid_tuned"]),
    ):
        settings = EvalSettings(resamples=1000, deploys="hybrid", fusion=fusion)
        found = decided(gains, asked(), settings=settings)
        assert (found["verdict"], found["decision"]["systems"]) == (verdict, pair)


def test_alpha_decides() -> None:
    weak = {"tuned": 0.012}
    assert decided(weak, asked(), settings=EvalSettings(resamples=1000, alpha=0.4))["verdict"] == "ship"
    assert decided(weak, asked(), settings=EvalSettings(resamples=1000, alpha=0.001))["verdict"] == "no_gain"


def test_everything_but_the_deciding_row_is_corrected() -> None:
    found = decided({"tuned": 0.015, "bm25": 0.01}, asked(), asked(kind="synthetic"))
    rows = found["comparison"]
    assert rows["gold"]["ndcg@10"]["p_corrected"] == rows["gold"]["ndcg@10"]["p"]
    others = [rows["gold"]["recall@10"], *rows["synthetic"].values(), *found["versus"]["gold"]["bm25"].values()]
    assert all(row["p_corrected"] >= row["p"] for row in others)
    assert any(row["p_corrected"] > row["p"] for row in others)


@given(st.floats(-0.3, 0.3), st.integers(1, 60), st.integers(1, 30), st.booleans())
@hypothesis_settings(max_examples=40, deadline=None)
def test_swapping_base_and_tuned_mirrors_the_verdict(gain: float, queries: int, clusters: int, people: bool) -> None:
    rng = np.random.default_rng(queries)
    one = asked(queries, clusters, "gold" if people else "synthetic")
    base, tuned = rng.uniform(0.3, 0.6, queries), rng.uniform(0.3, 0.6, queries) + gain
    there = compared([one], {one.name: {"base": scores(base), "tuned": scores(tuned)}}, FEW, EARNED)[1]
    back = compared([one], {one.name: {"base": scores(tuned), "tuned": scores(base)}}, FEW, EARNED)[1]
    mirrored = {"ship": "regress", "regress": "ship", "no_gain": "no_gain"}
    assert back["verdict"] == mirrored[there["verdict"]]
    enough = queries >= MIN_QUESTIONS and min(queries, clusters) >= MIN_CLUSTERS
    if not enough:
        assert there["verdict"] == "no_gain"
    if there["verdict"] != "no_gain":
        assert there["decision"]["p"] < FEW.alpha
        assert (there["verdict"] == "ship") == (there["decision"]["delta"] > 0)
    assert there["decision"]["firm"] == (people and enough)
