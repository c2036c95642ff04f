"""The code location: loads fast and whole, and its graph changes only on purpose."""

import json
import re
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from embed_pipeline.definitions import JOB, build_defs, home_folder, settings_from_environment
from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import GROUPS, STAGES, assets_of, selection, with_upstream

REPOSITORY = Path(__file__).parents[2]

# asset: (group, device, what it depends on)
GRAPH = {
    "corpus_manifest": ("corpus", "cpu", []),
    "documents": ("corpus", "cpu", ["corpus_manifest"]),
    "passages": ("corpus", "cpu", ["documents"]),
    "qa_candidates": ("sdg", "cpu", ["documents", "passages"]),
    "qa_pairs": ("sdg", "gpu", ["passages", "qa_candidates"]),
    "splits": ("prep", "cpu", ["documents", "passages", "qa_pairs"]),
    "beir_benchmark": ("prep", "cpu", ["documents", "passages", "qa_pairs", "splits"]),
    "mined_negatives": ("prep", "gpu", ["passages", "qa_pairs", "splits"]),
    "training_set": ("prep", "cpu", ["mined_negatives", "passages", "qa_pairs", "splits"]),
    "checkpoint": ("finetune", "gpu", ["training_set"]),
    "base_metrics": ("eval", "gpu", ["beir_benchmark", "passages"]),
    "metrics": (
        "eval",
        "gpu",
        ["base_metrics", "beir_benchmark", "checkpoint", "passages", "qa_pairs", "training_set"],
    ),
    "onnx_model": ("export", "cpu", ["checkpoint", "metrics", "passages"]),
    "onnx_int8_model": ("export", "cpu", ["onnx_model", "passages"]),
    "tensorrt_engine": ("export", "gpu", ["onnx_model"]),
    "endpoint": ("deploy", "cpu", ["metrics", "onnx_int8_model", "onnx_model", "tensorrt_engine"]),
    "endpoint_metrics": ("deploy", "cpu", ["beir_benchmark", "endpoint", "metrics", "onnx_model", "passages"]),
    "report": (
        "deploy",
        "cpu",
        [
            *("base_metrics", "beir_benchmark", "checkpoint", "endpoint_metrics", "metrics", "onnx_int8_model"),
            "passages",
        ],
    ),
}
# what lies outside: what depends on it
OUTSIDE = {
    "corpus_folder": ["corpus_manifest"],
    "tokenizer": ["passages"],
    "base_model": ["base_metrics", "beir_benchmark", "checkpoint", "mined_negatives", "qa_pairs", "splits"],
    "tensorrt": ["tensorrt_engine"],
    "endpoint_process": ["endpoint"],
}
BLOCKING_CHECKS = {
    ("documents", "corpus_not_empty"),
    ("qa_pairs", "enough_questions"),
    ("splits", "no_leakage"),
    ("mined_negatives", "negatives_sane"),
    ("metrics", "verdict"),
    ("metrics", "not_forgotten"),
    ("onnx_model", "onnx_equals_checkpoint"),
    ("endpoint_metrics", "endpoint_within_tolerance"),
}
HEAVY = (
    "torch",
    "sentence_transformers",
    "transformers",
    "faiss",
    "onnxruntime",
    "onnx",
    "matplotlib",
    "pandas",
    "scipy",
    "datasets",
)


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    return build_defs(load_settings(None, None, (), {}), tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def graph(definitions):
    return definitions.resolve_asset_graph()


def nodes(graph):
    return {key.to_user_string(): graph.get(key) for key in graph.materializable_asset_keys}


def test_the_definitions_are_loadable(definitions):
    dg.Definitions.validate_loadable(definitions)


def test_loading_takes_under_three_seconds_and_no_heavy_library(tmp_path):
    script = (
        "import json, sys, time\nimport embed_pipeline.definitions as d\nd.defs().resolve_asset_graph()\n"
        "print(json.dumps([time.process_time(), sorted(sys.modules)]))\n"
    )
    measured = []
    for _ in range(3):  # the first may have to compile, and a busy machine slows even processor time
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
        seconds, modules = json.loads(done.stdout.splitlines()[-1])
        assert set(HEAVY) & set(modules) == set()
        measured.append(seconds)
    assert min(measured) < 3  # of processor time


def test_the_graph_groups_and_devices_are_the_designed_ones(graph):
    found = {
        name: (
            node.group_name,
            node.tags["embed_pipeline/device"],
            sorted({parent.to_user_string() for parent in node.parent_keys} - set(OUTSIDE)),
        )
        for name, node in nodes(graph).items()
    }
    assert found == GRAPH


def test_what_lies_outside_is_part_of_the_graph(graph):
    outside = {key.to_user_string(): graph.get(key) for key in graph.external_asset_keys}
    assert {name: sorted(key.to_user_string() for key in node.child_keys) for name, node in outside.items()} == OUTSIDE
    for name, node in outside.items():
        assert (node.group_name, node.owners) == ("outside", ["team:embed-pipeline"]), name
        assert node.description, name


def test_gpu_assets_carry_the_pool_and_what_kubernetes_needs_and_others_do_not(definitions):
    for asset in definitions.assets:
        if isinstance(asset, dg.AssetSpec):
            continue  # outside
        gpu = GRAPH[asset.key.to_user_string()][1] == "gpu"
        assert asset.op.pool == ("gpu" if gpu else None)
        assert asset.op.tags["embed_pipeline/device"] == ("gpu" if gpu else "cpu")
        kubernetes = json.loads(asset.op.tags.get("dagster-k8s/config", "null"))
        wanted = {"container_config": {"resources": {"limits": {"nvidia.com/gpu": 1}}}}
        assert kubernetes == (wanted if gpu else None)


def test_every_asset_is_described_owned_and_versioned(graph):
    for name, node in nodes(graph).items():
        assert len(node.description) > 20, name
        assert node.description.endswith("."), name
        assert node.kinds, name
        assert node.owners == ["team:embed-pipeline"], name
        assert re.fullmatch(r"\d+-[0-9a-f]{12}", node.code_version), name


def test_the_code_version_follows_the_settings_that_count(tmp_path):
    def versions(*overrides: str) -> dict[str, str]:
        built = build_defs(load_settings(None, None, overrides, {}), tmp_path).resolve_asset_graph()
        return {name: node.code_version for name, node in nodes(built).items()}

    before, after = versions(), versions("finetune.epochs=9", "encoder.device=cuda", "corpus.path=/x")
    assert {name for name in before if before[name] != after[name]} == {"checkpoint"}


def test_the_blocking_checks(definitions, graph):
    found = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}
    assert found == BLOCKING_CHECKS | {(name, "up_to_date") for name in GRAPH}
    assert not any(graph.get_check_spec(dg.AssetCheckKey(dg.AssetKey(name), "up_to_date")).blocking for name in GRAPH)
    specs = [spec for checks in definitions.asset_checks for spec in checks.check_specs]
    assert all(spec.blocking and spec.description for spec in specs)


def test_nothing_retrains_by_itself_until_switched_on(definitions):
    (sensor, outside), (schedule,) = definitions.sensors, definitions.schedules
    assert outside.default_status is dg.DefaultSensorStatus.RUNNING
    assert not outside.targets  # it starts nothing
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == "0 3 * * *"
    assert sensor.job_name == schedule.job_name == JOB


def test_the_endpoint_may_have_a_greatest_age(tmp_path, definitions):
    settings = load_settings(None, None, ["automation.max_age_hours=24"], {})
    endpoint = dg.AssetKey("endpoint")
    policies = build_defs(settings, tmp_path).resolve_asset_graph()
    assert policies.get(endpoint).freshness_policy == dg.FreshnessPolicy.time_window(timedelta(hours=24))
    assert policies.get(dg.AssetKey("metrics")).freshness_policy is None
    assert definitions.resolve_asset_graph().get(endpoint).freshness_policy is None


@pytest.mark.parametrize(("executor", "name"), [("in_process", "in_process"), ("multiprocess", "multiprocess")])
def test_the_executor_is_a_setting(tmp_path, executor, name):
    settings = load_settings(None, None, [f"executor={executor}"], {})
    chosen = build_defs(settings, tmp_path).executor
    assert isinstance(chosen, dg.ExecutorDefinition) and chosen.name == name


def test_resources_can_be_replaced(tmp_path):
    other = object()
    built = build_defs(load_settings(None, None, (), {}), tmp_path, {"extra": other})
    assert built.resources["extra"] is other
    assert set(built.resources) == {"pipeline", "table_io", "folder_io", "extra"}


def test_the_web_ui_takes_settings_and_home_from_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "pipeline.yaml"
    file.write_text("finetune: {epochs: 5}\n")
    monkeypatch.setenv("EMBED_PIPELINE_CONFIG", str(file))
    monkeypatch.setenv("EMBED_PIPELINE_OVERRIDES", '["finetune.batch_size=4"]')
    monkeypatch.setenv("EMBED_PIPELINE_PROFILE", "gpu")
    monkeypatch.setenv("EMBED_PIPELINE_HOME", str(tmp_path / "home"))
    settings = settings_from_environment()
    assert (settings.finetune.epochs, settings.finetune.batch_size) == (5, 4)
    assert settings.base_model.startswith("nvidia/")
    assert home_folder() == tmp_path / "home"


def test_home_is_beside_the_caller_unless_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert home_folder({}) == tmp_path / ".embed_pipeline"
    assert home_folder({"EMBED_PIPELINE_HOME": "there"}) == tmp_path / "there"


def test_stages_stand_in_the_order_of_the_data():
    seen: set[str] = set()
    for name, stage in STAGES.items():
        assert set(stage.upstream) <= seen, name
        seen.add(name)
    groups = {group for groups in GROUPS.values() for group in groups}
    assert groups == {stage.group for stage in STAGES.values()} | {"sweep"}


def test_a_stage_or_an_asset_can_be_asked_for_with_what_it_needs():
    assert assets_of("prep") == ["splits", "beir_benchmark", "mined_negatives", "training_set"]
    assert assets_of("sdg")[0] == "corpus_manifest"
    assert assets_of("checkpoint") == ["checkpoint"]
    assert selection(None) == list(STAGES)
    assert selection("sdg") == ["corpus_manifest", "documents", "passages", "qa_candidates", "qa_pairs"]
    assert "metrics" in with_upstream(["onnx_model"])  # it only gates
    with pytest.raises(SettingsError, match=r"stage 'evall' is unknown \(did you mean eval\?\)"):
        assets_of("evall")


def test_the_files_for_dagsters_own_tools_agree():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    (entry,) = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"]
    module = entry["python_module"]
    assert module["location_name"] == project["code_location_name"]
    assert module["module_name"] == f"{project['root_module']}.definitions"
    for file in (REPOSITORY / "dagster.yaml", REPOSITORY / "embed_pipeline" / "defs" / "dagster.yaml"):
        values = yaml.safe_load(file.read_text())
        assert values["telemetry"] == {"enabled": False}
        assert values["concurrency"]["pools"] == {"default_limit": 1, "granularity": "op"}


@pytest.mark.parametrize("file", ["dagster.yaml", "embed_pipeline/defs/dagster.yaml"])
def test_dagster_accepts_the_instance_files(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text((REPOSITORY / file).read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert instance.global_op_concurrency_default_limit == 1
