"""YAML of every odd shape: a value, or one line that says what is wrong and where."""

import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.settings_yaml import read_yaml
from embed_pipeline.settings.sources import load_settings

ODD = {
    "a: 2020-13-45": None,
    "a: !!float x": "a value cannot be read",
    'a: !!int ""': "a value cannot be read",
    f"a: {'9' * 5000}": "a value cannot be read",
    f"a: {'[' * 3000}": "nested too deeply",
    "finetune: &a\n  lora: *a": "holds itself",
    "a: &x [1]\nb: *x\nc: *x": None,
    "corpus: {path: x}\nsdg: {}\ncorpus: {}": "corpus stands twice, in line 1 and in line 3",
    "finetune:\n  epochs: 1\n  epochs: 2": "epochs stands twice, in line 2 and in line 3",
    "a: [": "not valid YAML",
}


@pytest.mark.parametrize("text", ODD)
def test_odd_yaml_is_read_or_refused_in_a_line(text):
    message = ODD[text]
    if message is None:
        assert read_yaml(text, "f.yaml")
        return
    with pytest.raises(SettingsError, match=rf"^f\.yaml: .*{message}") as caught:
        read_yaml(text, "f.yaml")
    assert len(str(caught.value)) < 400


def test_merge_keys_may_override():
    text = "base: &c {k: 0, m: 1}\nouter:\n  inner: &a\n    <<: *c\n    k: 1\nlast: {<<: *a, m: 2}"
    assert read_yaml(text, "f.yaml")["outer"] == {"inner": {"k": 1, "m": 1}}


def test_a_date_is_text():
    assert read_yaml("a: 2020-01-02", "f.yaml") == {"a": "2020-01-02"}


@pytest.mark.parametrize("path", ['"a\\0b"', '"\\ud800"', "~nobody-of-this-name/x", '""', "x" * 5000])
def test_what_cannot_be_a_path_is_named(tmp_path, path):
    file = tmp_path / "pipeline.yaml"
    file.write_text(f"corpus: {{path: {path}}}")
    with pytest.raises(SettingsError, match=r"pipeline\.yaml: corpus\.path"):
        load_settings(file, None, [], {})


@pytest.mark.parametrize(
    "override", ["eval.ks=2020-99-99", "eval.ks=!!int x", "eval.ks=" + "[" * 2000, "corpus={path: ''}"]
)
def test_odd_values_on_the_command_line_are_refused_in_a_line(override):
    with pytest.raises(SettingsError) as caught:
        load_settings(None, None, [override], {})
    assert len(str(caught.value)) < 500


def test_what_wins_is_what_the_error_names(tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.write_text("prep: {train_ratio: 0.8, validation_ratio: 0.1, test_ratio: 0.1}")
    with pytest.raises(SettingsError, match=r"^--set prep\.train_ratio=0\.5: prep: "):
        load_settings(file, None, ["prep.train_ratio=0.5"], {})


WITH_PASSWORD = "https://user:sk-hidden@host/v1"  # pragma: allowlist secret


@pytest.mark.parametrize("address", ["not a url", "file:///etc", WITH_PASSWORD, "http://", "http://[x"])
def test_an_address_that_is_none_or_holds_a_password_is_refused_and_not_shown(address):
    with pytest.raises(SettingsError, match=r"sdg\.llm\.base_url: ") as caught:
        load_settings(None, None, ["sdg.llm.model=m"], {"EMBED_PIPELINE__SDG__LLM__BASE_URL": address})
    assert "sk-hidden" not in str(caught.value)
    with pytest.raises(SettingsError, match=r"^--set sdg\.llm\.base_url: ") as caught:
        load_settings(None, None, ["sdg.llm.model=m", f"sdg.llm.base_url={address}"], {})
    assert "sk-hidden" not in str(caught.value)
