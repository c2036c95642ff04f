"""Rounds of mining and a sweep, as a user runs them on a tiny real model."""

import json

import numpy as np
import polars as pl
import pytest

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.store.artifacts import Store
from embed_pipeline_tests.test_pipeline import User

TRAINED = ("--set", "finetune.hard_negatives=2")
ROUNDS = (*TRAINED, "--set", "prep.mining_rounds=2")


@pytest.fixture(scope="module")
def user(tmp_path_factory) -> User:
    somebody = User(tmp_path_factory.mktemp("rounds"), documents=14)
    followed = ("--set", 'finetune.report_to=["tensorboard"]')
    assert somebody.run("finetune", *TRAINED, *followed).returncode == 0
    return somebody


def test_a_tracker_writes_into_the_home(user):
    (run,) = (user.home / "tracking" / "tensorboard").iterdir()
    assert run.name.startswith("checkpoint-")
    assert [path.name.startswith("events.out.tfevents") for path in run.iterdir()] == [True]


def test_a_second_round_mines_with_the_tuned_model(user):
    done = user.run("finetune", "--json", *ROUNDS)
    assert done.returncode == 0, done.stderr
    outcomes = {row["asset"]: row["outcome"] for row in json.loads(done.stdout)["assets"]}
    for name in ("mined_negatives", "training_set", "checkpoint"):
        assert outcomes[f"{name}_round_1"] == "reused"  # what the first run computed under other names
    assert (outcomes["mined_negatives"], outcomes["checkpoint"]) == ("computed", "computed")
    store = Store(user.home)
    first, second = store.current("mined_negatives_round_1").frame(), store.current("mined_negatives").frame()
    assert first["question_id"].to_list() == second["question_id"].to_list()
    assert first["positive_scores"].to_list() != second["positive_scores"].to_list()
    assert first["negative_ids"].to_list() != second["negative_ids"].to_list()
    assert store.current("checkpoint_round_1").version != store.current("checkpoint").version
    tuned = TorchEncoder.load(EncoderSpec.load(store.current("checkpoint_round_1").path), "cpu")
    row = second.row(0, named=True)
    question = store.current("qa_pairs").frame().filter(pl.col("question_id") == row["question_id"])["question"][0]
    passage = store.current("passages").frame().filter(pl.col("passage_id") == row["positive_ids"][0])
    text = f"{passage['title'][0]} {passage['text'][0]}".strip()
    score = tuned.encode([question], "query")[0] @ tuned.encode([text], "passage")[0]
    assert row["positive_scores"][0] == pytest.approx(float(score), abs=1e-5)
    again = user.run("finetune", "--json", *ROUNDS)
    assert {row["outcome"] for row in json.loads(again.stdout)["assets"]} <= {"reused", "skipped"}


def test_a_sweep_compares_and_its_winner_is_taken_over(user):
    chosen = (*TRAINED, "--set", "sweep.learning_rate_factors=[10]", "--set", "sweep.training_share=[0.5]")
    done = user.run("sweep", "--json", *chosen)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["sweep"]
    assert [row["variant"] for row in rows] == ["unchanged", "learning_rate_x10", "training_share_0_5"]
    assert rows[1]["learning_rate"] == pytest.approx(10 * rows[0]["learning_rate"])
    assert sum(row["best"] for row in rows) == 1
    assert [row["training_share"] for row in rows] == [1.0, 1.0, 0.5]
    assert rows[2]["steps"] <= rows[0]["steps"]
    best = max(rows[:2], key=lambda row: row["validation"])
    assert best["best"]
    assert all(np.isfinite(row["test"]) and row["test_set"] == "synthetic" for row in rows)
    printed = user.run("sweep", *chosen)
    assert "best on validation" in printed.stdout
    assert "learning_rate_x10" in printed.stdout
    assert "From 50% to 100% of the training questions nDCG@10" in printed.stdout
    compared = Store(user.home).current("sweep_comparison")
    assert compared.manifest().summary["saturation"].startswith("From 50%")
    taken = user.run("finetune", "--json", *TRAINED, "--set", "finetune.learning_rate=0.01")
    outcomes = {row["asset"]: row["outcome"] for row in json.loads(taken.stdout)["assets"]}
    assert outcomes["checkpoint"] == "reused"
    assert "checkpoint_learning_rate_x10" not in outcomes


def test_status_and_plan_know_them(user):
    rows = json.loads(user.run("status", "--json", *ROUNDS).stdout)["assets"]
    assert "checkpoint_round_1" in {row["asset"] for row in rows}
    plan = json.loads(user.run("sweep", "--plan", "--json").stdout)["assets"]
    assert {"checkpoint_learning_rate_x0_5", "sweep_comparison"} <= {row["asset"] for row in plan}
    off = user.run("run", "--to", "sweep")
    assert off.returncode == 2
    assert "sweep is off" in off.stderr
