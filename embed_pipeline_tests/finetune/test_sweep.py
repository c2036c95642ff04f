"""Which trainings a sweep compares."""

import json

import pytest

from embed_pipeline.errors import ArtifactError, SettingsError
from embed_pipeline.finetune.sweep import course_of, differing, saturation, saturation_sentence, variants, winner
from embed_pipeline.settings import FinetuneSettings, SweepSettings

FINETUNE = FinetuneSettings(learning_rate=1e-4, epochs=2)


def test_each_variant_differs_in_one_setting():
    found = variants(FINETUNE, SweepSettings(learning_rate_factors=(0.5, 1.0, 2.0), epochs=(1, 2, 3)))
    assert {name: differing(FINETUNE, one) for name, one in found.items()} == {
        "learning_rate_x0_5": {"learning_rate": 5e-5},
        "learning_rate_x2": {"learning_rate": 2e-4},
        "epochs_1": {"epochs": 1},
        "epochs_3": {"epochs": 3},
    }


def test_shares_of_the_questions():
    found = variants(FINETUNE, SweepSettings(learning_rate_factors=(), training_share=(0.25, 0.5, 1.0)))
    assert {name: differing(FINETUNE, one) for name, one in found.items()} == {
        "training_share_0_25": {"training_share": 0.25},
        "training_share_0_5": {"training_share": 0.5},
    }


def row(share: float, validation: float, epochs: int = 2) -> dict[str, float]:
    return {"learning_rate": 1e-4, "epochs": epochs, "training_share": share, "validation": validation}


def test_saturation_is_told_over_shares_alone():
    rows = [row(1.0, 0.62), row(1.0, 0.7, epochs=4), row(0.5, 0.6), row(0.25, 0.5)]
    points = saturation(rows)
    assert [one["training_share"] for one in points] == [0.25, 0.5, 1.0]
    assert saturation_sentence(points) == (
        "From 50% to 100% of the training questions nDCG@10 on validation went from 0.6000 to 0.6200 (+0.0200)."
    )
    assert saturation(rows[:2]) == []


def test_less_data_never_wins():
    assert winner([row(1.0, 0.6), row(0.5, 0.9), row(1.0, 0.7, epochs=4), row(1.0, 0.7, epochs=8)]) == 2
    assert winner([row(0.5, 0.6), row(1.0, 0.9)]) == 0


def test_repeated_values_are_one_variant():
    assert list(variants(FINETUNE, SweepSettings(learning_rate_factors=(2, 2.0), epochs=(3, 3)))) == [
        "learning_rate_x2",
        "epochs_3",
    ]


def test_nothing_to_compare_is_refused():
    with pytest.raises(SettingsError, match=r"sweep\.learning_rate_factors, sweep\.epochs or sweep\.training_share"):
        variants(FINETUNE, SweepSettings(learning_rate_factors=(1.0,), epochs=(2,)))


def test_names_are_asset_names():
    names = variants(FINETUNE, SweepSettings(learning_rate_factors=(1e-5, 0.25, 1e6)))
    assert all(name.replace("_", "a").isalnum() for name in names)


def test_course(tmp_path):
    log = {"steps": 4, "best_step": 2, "final_loss": 0.5, "base_validation": 0.1, "best_validation": 0.2, "more": 1}
    (tmp_path / "training_log.json").write_text(json.dumps(log))
    assert course_of(tmp_path)["best_step"] == 2
    (tmp_path / "training_log.json").write_text(json.dumps(log | {"best_validation": None}))
    with pytest.raises(SettingsError, match=r"prep\.validation_ratio"):
        course_of(tmp_path)
    (tmp_path / "training_log.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"training_log\.json: cannot be read"):
        course_of(tmp_path)
