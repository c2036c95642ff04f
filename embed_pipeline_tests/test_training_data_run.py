"""A folder of training data as corpus and as questions, gold questions, and the command line does the rest."""

import json
from pathlib import Path

import polars as pl
import pytest

from embed_pipeline.formats.training_files import document_id
from embed_pipeline.store.artifacts import Store
from embed_pipeline_tests.formats.training_data import corpus
from embed_pipeline_tests.test_pipeline import SAMPLE, User

GOLD = SAMPLE / "gold"
TO_GOLD = (
    "--set",
    "sdg.dedup_threshold=1",
    "--set",
    "prep.train_ratio=0.9",
    "--set",
    "prep.test_ratio=0",
    "--set",
    f"eval.gold={GOLD}",
)


def training_folder(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """The recipe's files over the passages of the sample; question -> (positive, negatives), by id."""
    lines = (GOLD / "corpus.jsonl").read_text("utf-8").splitlines()
    texts = list(dict.fromkeys(json.loads(line)["text"] for line in lines))
    texts = [text for text in texts if len(text.split()) > 30][:160]
    asked = {
        " ".join(text.split()[6:16]): (
            document_id(text),
            [document_id(texts[place - 7]), document_id(texts[place - 19])],
        )
        for place, text in enumerate(texts[:60])
    }
    rows = [
        {
            "question_id": f"q{number}",
            "question": question,
            "corpus_id": "lofts",
            "pos_doc": [{"id": positive}],
            "neg_doc": [{"id": name} for name in negatives],
        }
        for number, (question, (positive, negatives)) in enumerate(asked.items())
    ]
    corpus(folder / "corpus", {document_id(text): text for text in texts})
    name = folder / "train_mined.automodel_unrolled.json"
    name.write_text(json.dumps({"corpus": {"path": "./corpus/"}, "data": rows}), "utf-8")
    return asked


@pytest.fixture(scope="module")
def user(tmp_path_factory) -> User:
    somebody = User(tmp_path_factory.mktemp("training_data"), documents=0)
    somebody.asked = training_folder(somebody.corpus)  # type: ignore[attr-defined]
    somebody.options += ["--set", f"sdg.import_from={somebody.corpus}", *TO_GOLD, "--set", "finetune.epochs=1"]
    return somebody


def test_data_with_negatives_goes_straight_to_training(user):
    done = user.run("eval", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("bring negatives, and the model is trained without") == 2, (
        "before the run, and in training"
    )
    store = Store(user.home)
    assert store.current("documents").json("corpus")["kind"] == "training"
    pairs = store.current("qa_pairs").frame()
    assert pairs.height > 40
    for row in pairs.to_dicts():
        assert (row["passage_ids"], row["negative_ids"]) == (
            [user.asked[row["question"]][0]],
            user.asked[row["question"]][1],
        )
    trained = store.current("training_set").frame()
    assert (
        trained.height
        == pairs.height
        - store.current("splits")
        .frame()
        .filter((pl.col("item_type") == "question") & (pl.col("split") != "train"))
        .height
    )
    for row in trained.to_dicts():  # as given; a sibling or a near-duplicate of the positive would be left out
        assert row["negative_ids"] == user.asked[row["question"]][1]
    mined = store.current("mined_negatives").frame()
    assert set(mined["source"]) == {"given"}
    mining = store.current("training_set").json("train_mined.automodel")["mining"]["args"]
    assert (mining["hard_negatives_to_mine"], mining["query_max_length"]) == (5, 32)
    assert json.loads(done.stdout)["verdict"] in ("ship", "no_gain", "regress")
    assert set(store.current("metrics").json("summary")["comparison"]) == {"gold", "general"}


def test_a_second_run_computes_nothing_and_status_is_fresh(user):
    outcomes = user.run("eval", "--json")
    assert {row["outcome"] for row in json.loads(outcomes.stdout)["assets"]} <= {"reused", "skipped"}
