"""Variants as Dagster sees them: assets, jobs and checks of their own."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from embed_pipeline.definitions import build_defs
from embed_pipeline.defs.checks import build_checks
from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.defs.variants import MAIN_JOB, VARIANTS_JOB, job_of
from embed_pipeline.files import write_json
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.stages.graph import STAGES, selection, stages
from embed_pipeline.stages.run import run_stage
from embed_pipeline.store.artifacts import Artifact, Store

VARIANTS = (
    "variants={contracts: {corpus.path: c, sdg.min_questions: 2, deploy.block_on_no_gain: true},"
    " deep: {prep.mining_rounds: 2, finetune.hard_negatives: 2}}"
)
SETTINGS = load_settings(None, None, [VARIANTS, "corpus.path=docs"], {})


@pytest.fixture(scope="module")
def defs(tmp_path_factory) -> dg.Definitions:
    return build_defs(SETTINGS, tmp_path_factory.mktemp("home"))


def names_of(defs: dg.Definitions, job: str) -> set[str]:
    keys = defs.resolve_job_def(job).asset_layer.asset_graph
    return {key.to_user_string() for key in keys.materializable_asset_keys}


def test_a_job_for_the_main_graph_for_each_variant_and_for_all(defs):
    dg.Definitions.validate_loadable(defs)
    graph = stages(SETTINGS)
    assert names_of(defs, MAIN_JOB) == set(STAGES)
    assert names_of(defs, "variant_contracts") == set(selection(None, graph, ["contracts"]))
    assert names_of(defs, VARIANTS_JOB) == set(selection(None, graph, ["contracts", "deep"], compare=True))
    assert job_of(["checkpoint", "endpoint"], graph) == MAIN_JOB
    assert job_of(["documents", "deep__checkpoint"], graph) == VARIANTS_JOB
    alone = build_defs(load_settings(None, None, ["corpus.path=docs"], {}), Path("/no/such/home"))
    assert not {job.name for job in alone.jobs or ()} & {VARIANTS_JOB, "variant_contracts"}


def test_a_variant_is_a_group_with_its_own_lineage_and_code_version(defs):
    graph = defs.resolve_asset_graph()
    checkpoint = graph.get(dg.AssetKey("deep__checkpoint"))
    assert checkpoint.group_name == "deep"
    assert checkpoint.parent_keys == {dg.AssetKey("deep__training_set"), dg.AssetKey("base_model")}
    assert checkpoint.code_version != graph.get(dg.AssetKey("checkpoint")).code_version
    assert graph.get(dg.AssetKey("deep__mined_negatives_round_1")).parent_keys >= {dg.AssetKey("splits")}
    listing = [graph.get(dg.AssetKey(name)).parent_keys for name in ("corpus_manifest", "contracts__corpus_manifest")]
    assert listing == [{dg.AssetKey("corpus_folder")}, {dg.AssetKey("contracts__corpus_folder")}]


def test_own_assets_have_the_checks_of_the_main_ones_and_shared_ones_are_checked_once():
    checks = build_checks(SETTINGS, Path("/no/such/home"))
    specs = {(one.asset_key.to_user_string(), one.name): one.blocking for check in checks for one in check.check_specs}
    assert len(specs) == len([one for check in checks for one in check.check_specs])
    assert [asset for asset, name in specs if name == "corpus_not_empty"] == ["documents", "contracts__documents"]
    assert [asset for asset, name in specs if name == "negatives_sane"] == [
        "mined_negatives", "contracts__mined_negatives", "deep__mined_negatives_round_1", "deep__mined_negatives"
    ]  # fmt: skip
    assert [asset for asset, name in specs if name == "no_leakage"] == ["splits", "contracts__splits"]
    verdicts = {asset: blocking for (asset, name), blocking in specs.items() if name == "verdict"}
    assert verdicts == {"metrics": True, "contracts__metrics": False, "deep__metrics": False}
    assert [asset for asset, name in specs if name == "onnx_equals_checkpoint"] == ["onnx_model"]


@pytest.fixture
def metrics(tmp_path) -> Artifact:
    @stage(group="x", version="1", storage="folder")
    def anything(run: StageRun) -> None:
        """Content for a check."""
        write_json(run.folder / "summary.json", {"verdict": "no_gain"})

    return run_stage(anything, SETTINGS, Store(tmp_path / "home"), {}).artifact


@pytest.mark.parametrize(
    ("asset", "passed"), [("metrics", True), ("contracts__metrics", False), ("deep__metrics", True)]
)
def test_a_check_measures_by_the_settings_of_its_variant_and_warns(metrics, asset, passed):
    found = build_checks(SETTINGS, Path("/no/such/home"))
    (check,) = [
        one
        for one in found
        if {(spec.asset_key.path[-1], spec.name) for spec in one.check_specs} == {(asset, "verdict")}
    ]
    evaluations: Any = check(pipeline=PipelineResource(), **{asset: metrics})
    (result,) = evaluations
    assert result.passed == passed
    assert passed or result.severity == dg.AssetCheckSeverity.WARN
