"""Settings as they were read once."""

import pytest

from embed_pipeline.definitions import settings_from_environment
from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.snapshot import VARIABLE, read_snapshot, write_snapshot
from embed_pipeline.settings.sources import load_settings

GIVEN = ["corpus.path=/docs", "eval.ks=[1,10]", "finetune.matryoshka_dimensions=[64]", "sdg.prompts=/prompts",
         "launchpad.models=[a/b]", "encoder.query_prompt=q: "]  # fmt: skip


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_what_is_read_is_what_was_written(tmp_path, profile):
    settings = load_settings(None, profile, GIVEN, {})
    path = write_snapshot(settings, tmp_path)
    assert read_snapshot(path) == settings
    assert write_snapshot(settings, tmp_path) == path
    assert write_snapshot(load_settings(None, profile, (), {}), tmp_path) != path


def test_processes_take_the_snapshot_whatever_the_file_says_now(tmp_path, monkeypatch):
    path = write_snapshot(load_settings(None, None, ["finetune.epochs=7"], {}), tmp_path)
    monkeypatch.setenv(VARIABLE, str(path))
    monkeypatch.setenv("EMBED_PIPELINE_OVERRIDES", '["finetune.epochs=8"]')
    assert settings_from_environment().finetune.epochs == 7


@pytest.mark.parametrize("text", [None, "", "{", '{"finetune": {"epochs": 0}}'])
def test_one_that_is_gone_or_damaged_is_an_error_in_a_line(tmp_path, text):
    path = tmp_path / "settings.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match="cannot be used"):
        read_snapshot(path)
