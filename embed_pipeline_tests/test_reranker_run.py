"""A reranker as a user gets it: a tiny real model, the command line, everything around it left as it was."""

import json
import re

import polars as pl
import pytest
from sentence_transformers import CrossEncoder

from embed_pipeline.evaluation.reranking import BEFORE, BLENDED, RERANKED, UNTRAINED
from embed_pipeline.store.artifacts import Store
from embed_pipeline_tests.finetune.build import tiny_cross_encoder
from embed_pipeline_tests.test_pipeline import User

ON = (
    *("--set", "finetune.reranker=true", "--set", "finetune.reranker_max_steps=6", "--set", "eval.rerank_depth=20"),
    *("--set", "finetune.reranker_batch_size=2", "--set", "finetune.reranker_learning_rate=0.001"),
)
TO = ("--to", "reranker_metrics")


@pytest.fixture(scope="module")
def user(tmp_path_factory) -> User:
    """Somebody who has a tuned model, and then wants a reranker besides."""
    somebody = User(tmp_path_factory.mktemp("reranker"), documents=14)
    done = somebody.run("eval")
    assert done.returncode == 0, done.stderr
    done = somebody.run("run", "--json", *ON, *TO)
    assert done.returncode == 0, done.stderr
    somebody.report = json.loads(done.stdout)  # type: ignore[attr-defined]
    return somebody


def test_nothing_else_is_computed_anew(user):
    outcomes = {row["asset"]: row["outcome"] for row in user.report["assets"]}
    assert (outcomes.pop("reranker"), outcomes.pop("reranker_metrics")) == ("computed", "computed")
    assert set(outcomes.values()) == {"reused"}
    assert "checkpoint" in outcomes
    assert user.report["reranker"]["sentence"].startswith("On the generated questions the best is ")


def test_the_sentence_is_printed_whether_computed_or_known(user):
    sentence = user.report["reranker"]["sentence"]
    again = user.run("run", *ON, *TO)
    assert again.returncode == 0, again.stderr
    assert sentence in again.stdout
    shown = user.run("show", "reranker_metrics")
    assert sentence in shown.stdout
    assert "ms a query" in shown.stdout
    told = json.loads(user.run("show", "reranker_metrics", "--json").stdout)
    assert told["sentence"] == sentence
    assert {row["system"] for row in told["systems"]} - {BLENDED} == {*BEFORE, RERANKED}
    assert told["verdict"] in ("helps", "no_gain", "harms")
    assert 0 <= told["weight"] <= 1


def test_what_was_measured(user):
    store = Store(user.home)
    measured = store.current("reranker_metrics")
    table = measured.frame()
    assert set(table["test_set"]) == {"synthetic", "general"}
    costs = dict(table.filter(pl.col("test_set") == "general").select("system", "milliseconds").iter_rows())
    assert costs["bm25"] < costs["convex"] == costs["convex_tuned"] < costs["reranked"]
    assert costs["base"] == costs["tuned"] < costs["convex"]
    plain = store.current("metrics").json("summary")
    for row in table.iter_rows(named=True):
        if row["system"] in BEFORE:
            assert row["ndcg_at_10"] == plain["test_sets"][row["test_set"]][row["system"]]["ndcg@10"]
            assert 0 <= row["p"] <= row["p_corrected"] <= 1
    assert table.filter(pl.col("system") == "reranked")["delta"].to_list() == [None, None]
    scores = measured.frame("query_metrics")
    assert set(scores["system"]) - {BLENDED} == {RERANKED}
    hybrid = store.current("metrics").frame("query_metrics")
    for name in ("recall@100", "recall@10"):
        deep, flat = (
            one.filter((pl.col("system") == system) & (pl.col("metric") == name))["value"].mean()
            for one, system in ((scores, "reranked"), (hybrid, "convex_tuned"))
        )
        assert (deep == pytest.approx(flat)) == (name == "recall@100")


def test_the_page_and_the_charts(user):
    measured = Store(user.home).current("reranker_metrics")
    page = (measured.path / "report.html").read_text("utf-8")
    assert "Is a reranker worth it?" in page
    assert not re.search(r"(?:src|href)=|<script|url\(", page)
    assert "then the reranker</td>" in page
    manifest = measured.manifest()
    assert set(manifest.charts) == {"systems", "reranker", "cost"}
    assert manifest.summary["sentence"] == measured.json("summary")["sentence"]
    assert manifest.summary["reranked_milliseconds"] > 0


def test_the_reranker_is_an_open_folder(user):
    trained = Store(user.home).current("reranker")
    assert trained.manifest().summary["steps"] == 6
    model = CrossEncoder(str(trained.path), device="cpu")
    assert model.predict([("how is the tether reeled in", "a winch reels it in")]).shape == (1,)
    assert model.max_seq_length == trained.manifest().summary["max_length"] == 64
    assert not any(path.suffix in {".bin", ".pt", ".pkl", ".pth"} for path in trained.path.rglob("*"))


def test_a_cross_encoder_to_start_from_is_measured_untrained_as_well(user, tmp_path):
    name = tiny_cross_encoder(tmp_path / "cross")
    done = user.run("run", "--json", *ON, *TO, "--set", f"finetune.reranker_model={name}")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    outcomes = {row["asset"]: row["outcome"] for row in report["assets"]}
    assert [name for name, outcome in outcomes.items() if outcome == "computed"] == ["reranker", "reranker_metrics"]
    rows = [row for row in report["reranker"]["systems"] if row["test_set"] == "synthetic"]
    assert {row["system"] for row in rows} - {BLENDED} == {*BEFORE, RERANKED, UNTRAINED}
    back = user.outcomes(*ON, *TO)
    assert set(back.values()) == {"reused"}


def test_a_model_that_is_not_there_is_refused_before_anything_is_computed(user):
    done = user.run("run", *ON, *TO, "--set", "finetune.reranker_model=/nowhere/model")
    assert done.returncode == 2
    assert "finetune.reranker_model /nowhere/model: there is no such folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_negatives_it_says_what_to_do(user):
    done = user.run("run", *ON, "--to", "reranker", "--set", "prep.hard_negatives=0")
    assert done.returncode == 2
    assert "prep.hard_negatives is 0" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_verdict_that_stops_the_run_does_not_stop_its_measurement(user):
    """What blocks here is a verdict of no gain, as one of regress does anywhere."""
    verdict = Store(user.home).current("metrics").json("summary")["verdict"]
    assert verdict in ("no_gain", "regress"), "a random model of two layers does not get better"
    more = ("--set", "deploy.block_on_no_gain=true", "--set", "eval.rerank_depth=10")
    done = user.run("run", "--json", *ON[:4], *more, *ON[6:])
    assert done.returncode == 1
    report = json.loads(done.stdout)
    outcomes = {row["asset"]: row["outcome"] for row in report["assets"]}
    assert outcomes["reranker_metrics"] == "computed"
    assert report["reranker"]["depth"] == 10
    assert any(f"the verdict is {verdict}" in line for line in report["errors"])
    assert outcomes.get("onnx_model") not in ("computed", "reused")


def test_off_it_is_no_part_of_the_graph(user):
    done = user.run("run", *TO)
    assert done.returncode == 2
    assert "reranker_metrics is off: set finetune.reranker to true" in done.stderr
