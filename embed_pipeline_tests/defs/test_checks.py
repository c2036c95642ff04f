"""The blocking checks: what they refuse, in words a user can act on."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from embed_pipeline.defs import checks
from embed_pipeline.defs.checks import build_checks
from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.files import write_json
from embed_pipeline.prep.mining.negatives import mine_negatives
from embed_pipeline.prep.splits.split import split_items
from embed_pipeline.settings import PrepSettings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.stages.run import run_stage
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline_tests.prep.build import WordEncoder, corpus, grouped, pairs_of

HOME = Path("/no/such/home")


@pytest.fixture
def stored(tmp_path):
    """Make an artifact of a table, or of named JSON files."""

    def make(table: pl.DataFrame | None = None, rejected: pl.DataFrame | None = None, **files: object) -> Artifact:
        @stage(group="x", version="1", storage="table")
        def anything(run: StageRun) -> None:
            """Content for a check."""
            if table is not None:
                run.write_table(table)
            if rejected is not None:
                run.write_table(rejected, "rejected")
            for name, value in files.items():
                write_json(run.folder / f"{name}.json", value)

        store = Store(tmp_path / "home")
        return run_stage(anything, load_settings(None, None, (), {}), store, {}, force=True).artifact

    return make


def result(name: str, artifact: dict[str, Artifact], *overrides: str, launchpad: tuple[str, ...] = ()):
    """Run one check of the real list."""
    declared = build_checks(load_settings(None, None, overrides, {}), HOME)
    (check,) = [one for one in declared if name in {spec.name for spec in one.check_specs}]
    evaluations: Any = check(pipeline=PipelineResource(overrides=list(launchpad)), **artifact)
    found = next(evaluations)
    assert isinstance(found, dg.AssetCheckResult)
    if found.passed:
        assert next(evaluations, None) is None
    else:
        with pytest.raises(dg.Failure, match=re.escape(str(found.description))):
            next(evaluations)
    return found


def test_a_corpus_without_text_is_refused(stored):
    empty = pl.DataFrame({"doc_id": []}, schema={"doc_id": pl.String})
    refused = result("corpus_not_empty", {"documents": stored(empty)})
    assert (refused.passed, refused.description) == (False, "the corpus has no readable document")
    assert result("corpus_not_empty", {"documents": stored(pl.DataFrame({"doc_id": ["a"]}))}).passed


def test_too_few_questions_are_refused_with_the_way_out(stored):
    pairs = {"qa_pairs": stored(pairs_of({f"q{n}": ("why?", ["d#0"]) for n in range(3)}))}
    refused = result("enough_questions", pairs, "sdg.min_questions=4")
    assert not refused.passed
    assert refused.description.startswith("only 3 questions passed the filters, sdg.min_questions is 4")
    assert refused.metadata["questions"].value == 3
    assert result("enough_questions", pairs, "sdg.min_questions=3").passed


def test_a_leak_is_refused_and_named(stored, monkeypatch):
    monkeypatch.setattr(checks, "cached_encoder", lambda *_: WordEncoder())
    pairs, passages = corpus(24)
    splits = split_items(pairs, passages, WordEncoder(), PrepSettings())
    placed = dict(splits.filter(item_type="document").select("split", "item_id").iter_rows())
    documents = grouped(passages, {}).with_columns(text=pl.col("doc_id") + " says this and that")
    tables = {"splits": splits, "qa_pairs": pairs, "passages": passages, "documents": documents}
    assert result("no_leakage", {name: stored(table) for name, table in tables.items()}).passed

    copy = documents.filter(doc_id=placed["train"])["text"][0].upper()
    tables["documents"] = documents.with_columns(
        text=pl.when(pl.col("doc_id") == placed["test"]).then(pl.lit(copy)).otherwise("text")
    )
    artifacts = {name: stored(table) for name, table in tables.items()}
    refused = result("no_leakage", artifacts)
    assert not refused.passed
    pair = f"{placed['train']} ~ {placed['test']}"
    assert refused.description == f"1 leaks between the splits: near_duplicate_document: {pair}"

    question = {half: splits.filter(item_type="question", split=half)["item_id"][0] for half in ("train", "test")}
    words = " ".join(f"word{number}" for number in range(40))
    asked = pl.col("question_id")
    tables["documents"] = documents
    tables["qa_pairs"] = pairs.with_columns(
        question=pl.when(asked == question["train"])
        .then(pl.lit(words))
        .when(asked == question["test"])
        .then(pl.lit(f"{words} more"))
        .otherwise("question")
    )
    refused = result("no_leakage", {name: stored(table) for name, table in tables.items()})
    assert "similar_question" in refused.description


def test_a_positive_among_the_negatives_is_refused_and_named(stored):
    pairs, passages = corpus(24)
    splits = split_items(pairs, passages, WordEncoder(), PrepSettings())
    mined = mine_negatives(pairs, passages, splits, WordEncoder(), PrepSettings())
    others = {
        name: stored(table) for name, table in {"qa_pairs": pairs, "passages": passages, "splits": splits}.items()
    }
    sound = {"mined_negatives": stored(mined.table, mined.rejected), **others}
    assert result("negatives_sane", sound).passed

    wrong = mined.table.with_columns(
        negative_ids=pl.concat_list(pl.col("positive_ids").list.head(1), pl.col("negative_ids").list.slice(1))
    )
    refused = result("negatives_sane", {"mined_negatives": stored(wrong, mined.rejected), **others})
    assert not refused.passed
    assert refused.metadata["broken"].value >= wrong.height
    assert wrong["question_id"][0] in refused.description


def test_in_every_round_the_negatives_of_that_round_are_checked():
    settings = load_settings(None, None, ["prep.mining_rounds=2", "finetune.hard_negatives=2"], {})
    rounds = {}
    for declared in build_checks(settings, HOME):
        (key,) = declared.check_keys
        if key.name == "negatives_sane":
            rounds[key.asset_key.to_user_string()] = {
                name: asset.to_user_string() for name, asset in declared.keys_by_input_name.items()
            }
    others = {name: name for name in ("qa_pairs", "passages", "splits")}
    assert rounds == {name: {name: name, **others} for name in ("mined_negatives_round_1", "mined_negatives")}


@pytest.mark.parametrize("blocks", [True, False])
def test_what_forgot_too_much_is_refused(stored, blocks):
    found = {"blocks": blocks, "relative": -0.2, "reason": "on general questions the tuned model lost 20.0%"}
    refused = result("not_forgotten", {"metrics": stored(summary={"verdict": "ship", "forgetting": found})})
    assert refused.passed is not blocks
    if blocks:
        assert "lost 20.0%: nothing is exported or deployed. Train less" in refused.description


@pytest.mark.parametrize(
    ("verdict", "strict", "passed"),
    [
        ("ship", False, True),
        ("ship", True, True),
        ("no_gain", False, True),
        ("no_gain", True, False),
        ("regress", False, False),
        ("regress", True, False),
    ],
)
def test_a_regression_is_always_refused_and_no_gain_when_asked_for(stored, verdict, strict, passed):
    metrics = {"metrics": stored(summary={"verdict": verdict})}
    found = result("verdict", metrics, f"deploy.block_on_no_gain={strict}")
    assert found.passed == passed
    assert (found.description is None) == passed
    assert found.metadata["verdict"].value == verdict


@pytest.mark.parametrize(("cosine", "passed"), [(0.99995, True), (0.9999, True), (0.9, False), (float("nan"), False)])
def test_a_graph_that_is_not_the_checkpoint_is_refused(stored, cosine, passed, monkeypatch):
    artifact = stored(parity={"lowest_cosine": 1.0})
    monkeypatch.setattr(Artifact, "json", lambda *_: {"lowest_cosine": cosine})
    assert result("onnx_equals_checkpoint", {"onnx_model": artifact}).passed == passed


def test_metrics_outside_the_tolerance_are_refused_and_named(stored):
    rows = {
        "test_set": ["gold", "gold"],
        "metric": ["ndcg@10", "ndcg@1"],
        "delta": [0.001, -0.2],
        "within_tolerance": [True, False],
    }
    refused = result("endpoint_within_tolerance", {"endpoint_metrics": stored(pl.DataFrame(rows))})
    assert not refused.passed
    assert refused.description == "1 metrics outside tolerance: gold ndcg@1 -0.2000"
    within = pl.DataFrame(rows).head(1)
    assert result("endpoint_within_tolerance", {"endpoint_metrics": stored(within)}).passed
