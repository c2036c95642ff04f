"""Settings: what enters a key, what is frozen, what contradicts itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import FinetuneSettings, PrepSettings, Settings
from embed_pipeline.settings.section import sections_of
from embed_pipeline.settings.sources import load_settings


def load(*overrides: str) -> Settings:
    return load_settings(None, None, overrides, {})


def test_a_key_leaves_out_settings_that_cannot_change_the_result():
    plain = load()
    hurried = load(
        "encoder.batch_size=4", "encoder.device=cuda", "sdg.llm.concurrency=2", "corpus.path=/x", "eval.gold=/y"
    )
    sections = ("encoder", "corpus", "sdg", "eval", "corpus.path", "base_model")
    assert plain.key_part(sections) == hurried.key_part(sections)
    part = plain.key_part(sections)
    assert "corpus.path" not in part
    assert not {"device", "batch_size"} & set(part["encoder"])
    assert "concurrency" not in part["sdg"]["llm"]


@pytest.mark.parametrize(
    ("section", "override"),
    [
        ("encoder", "encoder.query_prompt=q: "),
        ("corpus", "corpus.passage_tokens=100"),
        ("sdg", "sdg.llm.temperature=0.1"),
        ("sdg.llm", "sdg.llm.temperature=0.1"),
        ("eval", "eval.ks=[1,10]"),
        ("finetune.epochs", "finetune.epochs=9"),
    ],
)
def test_a_key_changes_with_a_setting_that_can_change_the_result(section, override):
    assert load().key_part([section]) != load(override).key_part([section])


def test_a_key_of_an_unknown_setting_is_a_programming_error():
    with pytest.raises(KeyError):
        load().key_part(["sdg.nothing"])


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load().finetune.epochs = 3  # type: ignore[misc]


@given(st.floats(0.05, 0.9), st.floats(0.0, 0.9))
def test_ratios_are_accepted_exactly_when_they_sum_to_one(train, validation):
    test = 1.0 - train - validation
    overrides = [f"prep.{name}_ratio={value!r}" for name, value in (("train", train), ("validation", validation))]
    whole = [*overrides, f"prep.test_ratio={test!r}", "eval.gold=/gold"]
    if test < 0:
        with pytest.raises(SettingsError):
            load(*whole)
    else:
        assert load(*whole).prep.train_ratio == train
    with pytest.raises(SettingsError):
        load(*overrides, f"prep.test_ratio={abs(test) + 0.01!r}", "eval.gold=/gold")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"matryoshka_dimensions": [0]}, "must be positive"),
    ],
)
def test_training_settings_that_would_do_nothing_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        FinetuneSettings.model_validate(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hard_negative_first_rank": 5, "hard_negative_last_rank": 4}, "smaller than hard_negative_first_rank"),
        ({"hard_negative_choice": "random"}, "hard_negative_last_rank is not set"),
        ({"denoise": "cross_encoder"}, "cross_encoder names no model"),
    ],
)
def test_mining_settings_that_cannot_hold_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        PrepSettings.model_validate(values)


def test_the_number_of_processes_changes_the_weights_and_hence_the_key():
    one, two = (Settings(finetune=FinetuneSettings(processes=number)) for number in (1, 2))
    assert one.key_part(["finetune"]) != two.key_part(["finetune"])


def undescribed(model: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        section = sections_of(model).get(name)
        if section is not None:
            names += undescribed(section, f"{prefix}{name}.")
        elif not field.description:
            names.append(f"{prefix}{name}")
    return names


def test_every_setting_says_what_it_is():
    assert undescribed(Settings) == []
