"""How the graph grows with the settings: rounds of mining, and sweeps."""

import pytest

from embed_pipeline.definitions import build_defs
from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import STAGES, assets_of, selection, stages


def settings_of(*overrides: str) -> Settings:
    return load_settings(None, None, list(overrides), {})


def keys(graph, settings):
    """Keys as if every input asset had its own parameter's name as version, rounds apart."""
    return {
        name: stage.key(settings, {one: stage.parameters.get(one, one) for one in stage.inputs}, {})
        for name, stage in graph.items()
    }


def test_by_default_the_graph_is_the_declared_one():
    assert stages(settings_of()) == STAGES


def test_rounds_of_mining():
    settings = settings_of("prep.mining_rounds=3", "finetune.hard_negatives=2")
    graph = stages(settings)
    added = [name for name in graph if name not in STAGES]
    assert added == [
        f"{name}_round_{number}" for number in (1, 2) for name in ("mined_negatives", "training_set", "checkpoint")
    ]
    assert graph["mined_negatives_round_1"].inputs == STAGES["mined_negatives"].inputs
    assert graph["mined_negatives_round_2"].inputs[0] == "checkpoint_round_1"
    assert graph["mined_negatives"].inputs[0] == "checkpoint_round_2"
    assert graph["training_set_round_2"].inputs[0] == "mined_negatives_round_2"
    assert graph["checkpoint"].inputs == ("training_set",)
    seen: set[str] = set()
    for name, stage in graph.items():
        assert set(stage.upstream) <= seen, name
        seen.add(name)
    checks = {
        (key.asset_key.to_user_string(), key.name)
        for one in build_defs(settings).asset_checks
        for key in one.check_keys
    }
    assert {("mined_negatives_round_1", "negatives_sane"), ("mined_negatives", "negatives_sane")} <= checks


def test_rounds_whose_negatives_nobody_trains_on_are_refused():
    with pytest.raises(SettingsError, match=r"finetune\.hard_negatives is 0"):
        settings_of("prep.mining_rounds=2", "finetune.hard_negatives=0")


def test_the_first_round_has_the_keys_of_a_graph_with_one_round():
    one = settings_of("finetune.hard_negatives=2")
    two = settings_of("prep.mining_rounds=2", "finetune.hard_negatives=2")
    before, after = keys(stages(one), one), keys(stages(two), two)
    for name in ("mined_negatives", "training_set", "checkpoint"):
        assert after[f"{name}_round_1"] == before[name]
    assert after["mined_negatives"] != before["mined_negatives"]


def test_a_sweep():
    settings = settings_of("sweep.enabled=true", "sweep.learning_rate_factors=[0.5,1,2]", "sweep.epochs=[4]")
    graph = stages(settings)
    added = [name for name in graph if name not in STAGES]
    assert added == [
        "checkpoint_learning_rate_x0_5",
        "checkpoint_learning_rate_x2",
        "checkpoint_epochs_4",
        "sweep_comparison",
    ]
    assert assets_of("sweep", graph) == added
    halved = graph["checkpoint_learning_rate_x0_5"]
    assert (halved.group, halved.device, halved.inputs) == ("sweep", "gpu", ("training_set",))
    assert halved.settings_part(settings)["finetune"]["learning_rate"] == settings.finetune.learning_rate / 2
    assert f"learning_rate {settings.finetune.learning_rate / 2!r}" in halved.description
    assert "metrics" not in selection("sweep", graph)
    build_defs(settings)


def test_a_variant_has_the_key_that_its_settings_would_have():
    swept = settings_of("sweep.enabled=true", "sweep.epochs=[4]")
    changed = settings_of("finetune.epochs=4")
    assert keys(stages(swept), swept)["checkpoint_epochs_4"] == keys(STAGES, changed)["checkpoint"]


def test_a_share_of_the_questions_is_a_variant_too():
    swept = settings_of("sweep.enabled=true", "sweep.learning_rate_factors=[]", "sweep.training_share=[0.25,1]")
    changed = settings_of("finetune.training_share=0.25")
    found, plain = keys(stages(swept), swept), keys(STAGES, settings_of())
    assert found["checkpoint_training_share_0_25"] == keys(STAGES, changed)["checkpoint"] != plain["checkpoint"]
    assert found["checkpoint"] == plain["checkpoint"]
    assert "checkpoint_training_share_1" not in found


def test_a_sweep_without_validation_is_refused_before_anything_is_trained():
    with pytest.raises(SettingsError, match=r"prep\.validation_ratio is 0"):
        settings_of("sweep.enabled=true", "prep.validation_ratio=0", "prep.train_ratio=0.9")


def test_a_sweep_that_is_off_says_how_to_turn_it_on():
    with pytest.raises(SettingsError, match=r"sweep is off: set sweep\.enabled to true, or run embed-pipeline sweep"):
        selection("sweep", stages(settings_of()))


@pytest.mark.parametrize(
    "value", ["sweep.learning_rate_factors=[0]", "sweep.epochs=[0]", "sweep.training_share=[0]", "prep.mining_rounds=0"]
)
def test_bad_values_are_refused(value):
    with pytest.raises(SettingsError, match=value.partition("=")[0].replace(".", r"\.")):
        settings_of(value)
