"""When the reranker's assets are there, and what decides about them."""

import shutil
from types import SimpleNamespace

import pytest

from embed_pipeline.errors import ModelAccessError, SettingsError
from embed_pipeline.evaluation.fusion_weight import fusion_with
from embed_pipeline.evaluation.lexical import found_by_words
from embed_pipeline.evaluation.retrieve import dense_run
from embed_pipeline.evaluation.systems import DEPTH
from embed_pipeline.formats.beir import write_judged, write_retrieval_set
from embed_pipeline.retrieval.fusion import convex
from embed_pipeline.settings.protected import refuse_protected
from embed_pipeline.settings.sources import absolute_overrides, load_settings
from embed_pipeline.stages.graph import STAGES, assets_of, selection, stages
from embed_pipeline.stages.model_size import ModelSize
from embed_pipeline.stages.needs import MODELS, estimate_needs
from embed_pipeline.stages.plan import PlanStep, plan_stage
from embed_pipeline.stages.reranker import METRICS, NAME, _validation, reranker_stages
from embed_pipeline.store.artifacts import Store
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set
from embed_pipeline_tests.finetune.build import tiny_cross_encoder, tiny_model
from embed_pipeline_tests.stages.test_candidates import made

ON = "finetune.reranker=true"


def given(*overrides: str):
    return load_settings(None, "cpu", overrides, {})


def test_the_assets_are_there_only_where_they_are_asked_for():
    off, on = given(), given(ON)
    assert list(stages(off)) == list(STAGES)
    assert reranker_stages(off) == []
    assert set(stages(on)) - set(stages(off)) == {NAME, METRICS}
    assert NAME in selection("finetune", stages(on))
    assert METRICS in selection("eval", stages(on))
    assert METRICS not in selection("finetune", stages(on))
    with pytest.raises(SettingsError, match=r"reranker is off: set finetune\.reranker to true"):
        assets_of(NAME, stages(off))


@pytest.mark.parametrize(
    "override",
    [
        ON,
        "finetune.reranker_epochs=3",
        "finetune.reranker_max_steps=7",
        "finetune.reranker_learning_rate=0.1",
        "finetune.reranker_negatives=1",
        "finetune.reranker_batch_size=3",
        "finetune.reranker_max_length=40",
        "finetune.reranker_model=a/b",
        "eval.rerank_depth=10",
    ],
)
def test_no_setting_of_the_reranker_makes_anything_else_stale(override):
    before, after = given(ON), given(ON, override)
    graph = stages(before)
    changed = [name for name, one in graph.items() if one.settings_part(before) != one.settings_part(after)]
    if override == ON or "reranker_model" in override:
        assert changed == []
    else:
        assert changed == [METRICS if override.startswith("eval") else NAME]


def test_what_trains_both_is_part_of_both():
    before, after = given(ON), given(ON, "finetune.seed=7")
    changed = [name for name, one in stages(before).items() if one.settings_part(before) != one.settings_part(after)]
    assert changed == ["checkpoint", NAME]


def test_the_model_counts_by_its_content_wherever_it_lies(tmp_path):
    folders = [tiny_cross_encoder(tmp_path / place) for place in ("here", "there")]
    other = tiny_cross_encoder(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "config.json", tmp_path / "other" / "more.json")
    found = []
    for folder in (*folders, other):
        settings = given(ON, f"finetune.reranker_model={folder}")
        graph = stages(settings)
        found.append([graph[name].outside(settings, tmp_path)["reranker_model"] for name in (NAME, METRICS)])
    assert found[0] == found[1] != found[2]
    assert "reranker_model" not in stages(given(ON))[NAME].external(given(ON))
    missing = given(ON, f"finetune.reranker_model={tmp_path / 'nowhere'}")
    with pytest.raises(ModelAccessError, match=r"finetune\.reranker_model"):
        stages(missing)[NAME].outside(missing, tmp_path)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("finetune.reranker_max_length=65", "reranker_max_length is 65, but {name} takes at most 64 tokens"),
        ("finetune.reranker_model={three}", "has 3 outputs; a cross-encoder with one relevance score"),
        ("finetune.reranker_model={list}", "config.json: must hold a JSON object"),
    ],
)
def test_what_cannot_become_a_reranker_is_refused_when_a_run_is_planned(override, said, tmp_path):
    base = tiny_model(tmp_path / "base").model
    three = tiny_cross_encoder(tmp_path / "three", labels=3)
    (tmp_path / "list").mkdir()
    for name, text in {"config.json": "[]", "model.safetensors": ""}.items():
        (tmp_path / "list" / name).write_text(text)
    lengths = ("encoder.max_query_length=16", "encoder.max_passage_length=32")
    settings = given(ON, f"base_model={base}", *lengths, override.format(three=three, list=tmp_path / "list"))
    with pytest.raises((SettingsError, ModelAccessError), match=said.format(name="base")):
        plan_stage(
            stages(settings)[NAME], settings, Store(tmp_path / "home"), {"training_set": None, "beir_benchmark": None}
        )


def test_the_launchpad_cannot_name_a_model_and_a_path_is_made_absolute(tmp_path, monkeypatch):
    settings = given(ON)
    with pytest.raises(SettingsError, match=r"finetune\.reranker_model decides which model is used"):
        refuse_protected(settings, ["finetune.reranker_model=some/other"])
    refuse_protected(settings, ["finetune.reranker_epochs=2"])
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    there = f"finetune.reranker_model={tmp_path / 'model'}"
    assert absolute_overrides(["finetune.reranker_model=model"], {}) == ["finetune.reranker_model=model", there]
    assert absolute_overrides(["finetune.reranker_model=a/b"], {}) == ["finetune.reranker_model=a/b"]


def test_a_run_says_what_the_reranker_will_need(tmp_path, monkeypatch):
    monkeypatch.setattr("embed_pipeline.stages.needs.base_model_size", lambda _: ModelSize(10**9))
    settings = given(ON, f"corpus.path={tmp_path}")
    graph, store = stages(settings), Store(tmp_path / "home")
    steps = {name: PlanStep(graph[name], "compute", (), None) for name in ("checkpoint", NAME, METRICS)}
    found = {name: estimate_needs({name: step}, settings, store).disk_bytes for name, step in steps.items()}
    assert found["checkpoint"] == found[NAME] > found[METRICS]
    assert METRICS not in MODELS


def test_what_it_is_validated_on_is_fused_as_where_it_is_used(tmp_path):
    """The model sees no topic and BM25 does, so half and half would put worse passages into the first twenty."""
    asked = numbered_set(40)
    encoder = WordEncoder(blind=[f"topic{one}" for one in range(40)])

    def benchmark(run):
        write_retrieval_set(asked, run.folder)
        write_judged(asked, run.folder / "validation", "validation")

    store, settings = Store(tmp_path / "home"), given(ON)
    judged = made(store, "beir_benchmark", benchmark)
    training = made(
        store, "training_set", lambda run: write_retrieval_set(asked, run.folder / "validation", "validation")
    )
    run = SimpleNamespace(settings=settings, base_encoder=lambda: encoder)
    found = _validation(run, training, judged)  # type: ignore[arg-type]
    weight = fusion_with(asked, encoder, settings.eval).weight
    assert weight < 0.5
    sparse, dense = found_by_words(asked, settings.eval, DEPTH), dense_run(asked, encoder, DEPTH)
    wanted = convex(sparse, dense, DEPTH, weight)
    assert found.scores == {query: list(rows.values())[:20] for query, rows in sorted(wanted.items())}
    half = convex(sparse, dense, DEPTH)
    assert found.scores != {query: list(rows.values())[:20] for query, rows in sorted(half.items())}
