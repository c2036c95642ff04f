import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.encoders.onnx_encoder import OnnxEncoder
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import ArtifactError, ExportError
from embed_pipeline.export.onnx_graph import export_onnx
from embed_pipeline.export.parity import check_parity
from embed_pipeline.export.pooled import token_weights
from embed_pipeline.files import hash_tree
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.settings import ExportSettings
from embed_pipeline_tests.export.conftest import TEXTS

DEFAULT = ExportSettings()
OPSET_17 = ExportSettings(opset=17)


@pytest.fixture(scope="session")
def exported_llama(tiny_bidirectional_llama, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "llama"
    return folder, export_onnx(tiny_bidirectional_llama, folder, DEFAULT)


def test_minilm_export_equals_the_checkpoint(minilm, tmp_path):
    report = export_onnx(minilm, tmp_path / "onnx", OPSET_17)
    assert (report.exporter, report.opset) == ("torchscript", 17)
    assert report.inputs == {"input_ids": ["batch", "sequence"], "attention_mask": ["batch", "sequence"]}
    assert report.outputs["embeddings"][0] == "batch"
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == [
        "encoder.json",
        "export.json",
        "model.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert json.loads((tmp_path / "onnx" / "export.json").read_text())["bytes"] == report.bytes
    assert EncoderSpec.load(tmp_path / "onnx").version() == EncoderSpec.load(minilm).version()
    parity = check_parity(minilm, tmp_path / "onnx", TEXTS, DEFAULT.min_cosine)
    assert parity.lowest_cosine >= 0.9999
    assert parity.largest_difference < 1e-4
    assert {case.batch_size for case in parity.cases} == {1, 2, 7, 32}
    assert {case.role for case in parity.cases} == {"query", "passage"}


def test_left_padded_bidirectional_llama_with_prompts(exported_llama, tiny_bidirectional_llama):
    folder, report = exported_llama
    assert (report.exporter, report.opset) == ("dynamo", 18)
    assert report.inputs == {"input_ids": ["batch", "sequence"], "attention_mask": ["batch", "sequence"]}
    assert report.outputs == {"embeddings": ["batch", 32]}
    assert check_parity(tiny_bidirectional_llama, folder, TEXTS, 0.9999).lowest_cosine >= 0.9999


def test_bidirectional_means_that_the_first_token_sees_the_last(exported_llama):
    vectors = OnnxEncoder.load(exported_llama[0]).embed_tokens([[5, 6, 7, 8], [5, 6, 7, 9]])
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_two_exports_are_the_same_bytes(exported_llama, tiny_bidirectional_llama, tmp_path):
    export_onnx(tiny_bidirectional_llama, tmp_path / "again", DEFAULT)
    assert hash_tree(tmp_path / "again") == hash_tree(exported_llama[0])
    text = (tmp_path / "again" / "model.onnx").read_bytes()
    assert b"site-packages" not in text
    assert str(tmp_path).encode() not in text


def test_opset_17_uses_torchscript_says_so_and_pools_the_first_token(tiny_bert, tmp_path):
    lines: list[str] = []
    with reporting(LogReporter(lines.append)):
        report = export_onnx(tiny_bert, tmp_path / "a", OPSET_17)
    assert (report.exporter, report.opset) == ("torchscript", 17)
    assert any("TorchScript" in line for line in lines)
    assert check_parity(tiny_bert, tmp_path / "a", TEXTS, 0.9999).lowest_cosine >= 0.9999
    export_onnx(tiny_bert, tmp_path / "b", OPSET_17)
    assert hash_tree(tmp_path / "a") == hash_tree(tmp_path / "b")


def test_last_token_pooling_of_a_causal_model(tiny_causal_llama, tmp_path):
    export_onnx(tiny_causal_llama, tmp_path / "onnx", OPSET_17)
    assert check_parity(tiny_causal_llama, tmp_path / "onnx", TEXTS, 0.9999).lowest_cosine >= 0.9999


def test_falls_back_to_torchscript_when_the_default_exporter_fails(tiny_bert, tmp_path, monkeypatch):
    real = torch.onnx.export

    def export(*args, **options):
        if options["dynamo"]:
            raise RuntimeError("no such operator")
        return real(*args, **options)

    monkeypatch.setattr(torch.onnx, "export", export)
    lines: list[str] = []
    with reporting(LogReporter(lines.append)):
        report = export_onnx(tiny_bert, tmp_path / "onnx", DEFAULT)
    assert (report.exporter, report.opset) == ("torchscript", 18)
    assert any("no such operator" in line for line in lines)


def test_parity_refuses_another_model(exported_llama, tiny_causal_llama):
    with pytest.raises(ExportError, match="is not the checkpoint: cosine"):
        check_parity(tiny_causal_llama, exported_llama[0], TEXTS, 0.9999)


def test_parity_needs_text(tiny_bert, tmp_path):
    with pytest.raises(ExportError, match="no text"):
        check_parity(tiny_bert, tmp_path, ["  "], 0.9999)


def test_a_checkpoint_without_tokenizer_or_spec_is_refused(tiny_bert, tmp_path):
    with pytest.raises(ArtifactError, match=r"encoder\.json"):
        export_onnx(tmp_path, tmp_path / "out", DEFAULT)
    EncoderSpec.load(tiny_bert).save(tmp_path)
    with pytest.raises(ExportError, match=r"tokenizer\.json: missing"):
        export_onnx(tmp_path, tmp_path / "out", DEFAULT)


@given(
    rows=st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=5),
    pooling=st.sampled_from(["mean", "cls", "last"]),
)
def test_token_weights_choose_real_tokens_on_either_padding_side(rows, pooling):
    mask = torch.zeros((len(rows), 6), dtype=torch.int64)
    for place, (count, left) in enumerate(rows):
        mask[place, 6 - count :] = 1 if left else mask[place, 6 - count :]
        mask[place, :count] = mask[place, :count] if left else 1
    for row, weights in zip(mask, token_weights(mask, pooling), strict=True):
        real = row.nonzero().flatten().tolist()
        expected = {"mean": real, "cls": real[:1], "last": real[-1:]}[pooling]
        assert weights.nonzero().flatten().tolist() == expected


def test_the_encoder_reads_the_exported_folder(exported_llama):
    encoder = OnnxEncoder.load(exported_llama[0], threads=1)
    vectors = encoder.encode(TEXTS, "passage")
    assert vectors.shape == (len(TEXTS), 32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
