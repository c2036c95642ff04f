"""Overrides of one run as values of a settings file."""

import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.promotion import override_values, refuse_hidden
from embed_pipeline.settings.sources import load_settings

BASE = load_settings(None, None, (), {})


def test_values_are_those_the_settings_have_then():
    overrides = ["finetune.epochs=7", "finetune.learning_rate=2e-5", "eval.ks=[1, 10]", "finetune.epochs=8"]
    assert override_values(BASE, overrides) == {
        "finetune.epochs": 8,
        "finetune.learning_rate": 2e-5,
        "eval.ks": [1, 10],
    }


def test_an_unknown_setting_names_the_nearest():
    with pytest.raises(SettingsError, match=r"did you mean finetune.epochs\?"):
        override_values(BASE, ["finetune.epoch=7"])


@pytest.mark.parametrize("given", ["finetune.epochs", "finetune"])
def test_what_would_hide_a_promoted_setting_is_refused(given):
    with pytest.raises(SettingsError, match=r"^--set it: would hide finetune\.epochs of run x"):
        refuse_hidden({"finetune.epochs": 7}, {given: "--set it"}, "run x")
    refuse_hidden({"finetune.epochs": 7}, {"finetune.batch_size": "--set it"}, "run x")
