"""On an NVIDIA GPU, where there is one: encoding, searching and training give what they give on the CPU.

Needs no packaged model: the model is random, its words are made here.
"""

import numpy as np
import pytest
import torch

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.torch_encoder import TorchEncoder, resolve_device
from embed_pipeline.finetune.train import finetune
from embed_pipeline.records import TrainingRow
from embed_pipeline.retrieval.search import top_k
from embed_pipeline.settings import EncoderSettings, FinetuneSettings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
DEVICE = "cuda"
WORDS = [f"word{number}" for number in range(200)]


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """A bidirectional Llama of two layers."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("llama")
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, is_causal=False,  # type: ignore[call-arg]
    )  # fmt: skip
    LlamaModel(config).save_pretrained(folder)
    lengths = {"max_query_length": 32, "max_passage_length": 32}
    return base_encoder_spec(str(folder), EncoderSettings(attention="bidirectional", **lengths))


def texts(count: int, seed: int = 0) -> list[str]:
    chosen = np.random.default_rng(seed)
    return [" ".join(chosen.choice(WORDS, size)) for size in chosen.integers(1, 40, count)]


def test_auto_takes_the_gpu():
    assert resolve_device("auto") == DEVICE


@pytest.mark.parametrize("side", ["right", "left"])
def test_vectors_are_those_of_the_cpu(spec, side):
    spec = spec.model_copy(update={"padding_side": side})
    here, there = (TorchEncoder.load(spec, device).encode(texts(50), "passage") for device in ("cpu", DEVICE))
    np.testing.assert_allclose(there, here, atol=1e-4)


def test_a_search_finds_what_the_cpu_finds():
    chosen = np.random.default_rng(0)
    queries, passages = (chosen.integers(-2, 3, (count, 8)).astype(np.float32) for count in (20, 5000))
    for found, wanted in zip(top_k(queries, passages, 50, DEVICE), top_k(queries, passages, 50), strict=True):
        np.testing.assert_array_equal(found, wanted)


def rows(count: int) -> list[TrainingRow]:
    questions, passages = texts(count, 1), texts(2 * count, 2)
    return [
        TrainingRow(
            row_id=f"q{n}", question_id=f"q{n}", question=questions[n], positive_id=f"p{n}", positive=passages[n],
            positive_group=f"p{n}", negative_ids=[f"n{n}"], negatives=[passages[count + n]],
            negative_groups=[f"n{n}"], component=f"c{n}",
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"grad_cache": "on", "mini_batch_size": 4}, {"precision": "bf16"}])
def test_training_begins_as_on_the_cpu_and_learns(spec, tmp_path, changes):
    values = {"batch_size": 16, "epochs": 8, "hard_negatives": 1, "learning_rate": 1e-3, "precision": "fp32"}
    reports = {}
    for device, more in (("cpu", {}), (DEVICE, changes)):
        settings = FinetuneSettings.model_validate(values | more)
        folders = tmp_path / device / "model", tmp_path / device / "work"
        reports[device] = finetune(rows(48), None, spec, settings, *folders, device)
    here, there = reports["cpu"].losses, reports[DEVICE].losses
    assert there[0][1] == pytest.approx(here[0][1], rel=0.05 if "precision" in changes else 1e-3)
    assert there[-1][1] < there[0][1] / 2
    tuned = spec.model_copy(update={"model": str(tmp_path / DEVICE / "model")})
    assert np.isfinite(TorchEncoder.load(tuned, DEVICE).encode(texts(5), "query")).all()
