import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.encoders.onnx_encoder import OnnxEncoder
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.errors import ArtifactError
from embed_pipeline_tests.serving.conftest import TEXTS, change_spec

LONG = "word " * 600


def test_equals_the_torch_encoder(checkpoint, exported, encoder):
    spec = EncoderSpec.load(exported).model_copy(update={"model": str(checkpoint)})
    reference = TorchEncoder.load(spec, "cpu")
    for role in ("query", "passage"):
        expected, found = reference.encode([*TEXTS, LONG], role), encoder.encode([*TEXTS, LONG], role)
        assert (expected * found).sum(1).min() >= 0.9999


def test_order_and_batches_do_not_matter(exported, encoder):
    texts = [f"{text} {number}" for number in range(5) for text in TEXTS]
    together = encoder.encode(texts, "passage")
    alone = np.concatenate([encoder.encode([text], "passage") for text in texts])
    assert np.allclose(together, alone, atol=1e-5)
    small = OnnxEncoder.load(exported, threads=1, batch_size=3, token_budget=40)
    assert np.allclose(small.encode(texts, "passage"), together, atol=1e-5)
    assert encoder.encode([], "query").shape == (0, 384)


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 8), st.integers(1, 120))
def test_batches_hold_every_row_once_within_their_limits(lengths, batch_size, budget):
    encoder = object.__new__(OnnxEncoder)
    encoder.batch_size, encoder.token_budget = batch_size, budget
    rows = [[0] * length for length in lengths]
    batches = list(encoder._batches(rows))
    assert sorted(index for batch in batches for index in batch) == list(range(len(rows)))
    for batch in batches:
        longest = max(len(rows[index]) for index in batch)
        assert len(batch) <= batch_size
        assert len(batch) == 1 or len(batch) * longest <= budget


def test_usage_counts_special_tokens_and_flags_cut_texts(encoder):
    vectors, tokens, truncated = encoder.encode_with_usage(["hello world", LONG], "passage")
    assert vectors.shape == (2, 384)
    assert tokens == len(["[CLS]", "passage", ":", "hello", "world", "[SEP]"]) + 256
    assert truncated == [False, True]


def test_truncation_drops_the_named_end_and_keeps_the_prompt(encoder):
    text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    full = encoder.tokenize([text], "query", "NONE")[0]
    end, start = (encoder.tokenize([text], "query", side)[0] for side in ("END", "START"))
    assert len(full.ids) == full.full_length == 20
    assert end.ids == full.ids[:15] + full.ids[-1:]
    assert start.ids == full.ids[:3] + full.ids[-13:]
    assert end.truncated and start.truncated and not full.truncated


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), st.sampled_from(["START", "END"]))
def test_no_text_is_longer_than_its_role_allows(encoder, text, side):
    tokens = encoder.tokenize([text], "query", side)[0]
    assert len(tokens.ids) <= 16
    assert (tokens.ids[0], tokens.ids[-1]) == (101, 102)


def test_token_ids_with_or_without_special_tokens_are_the_text(encoder):
    prompt = len(encoder._prompt_ids["passage"])
    framed = encoder.tokenize(TEXTS, "passage")
    bare = [token.ids[1 + prompt : -1] for token in framed]
    assert encoder.tokenize_ids(bare, "passage") == framed
    assert encoder.tokenize_ids([(101, *row, 102) for row in bare], "passage") == framed


def test_left_padding_puts_the_text_at_the_end(exported, tmp_path):
    folder = tmp_path / "left"
    shutil.copytree(exported, folder)
    change_spec(folder, padding_side="left")
    encoder = OnnxEncoder.load(folder, threads=1)
    seen = {}

    class Session:
        def run(self, names, feeds):
            seen.update(feeds)
            return [np.zeros((2, 384), np.float32)]

    encoder._session = Session()
    encoder.embed_tokens([[7, 8, 9], [5]])
    assert seen["input_ids"].tolist() == [[7, 8, 9], [0, 0, 5]]
    assert seen["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", b"nothing", "cannot be loaded"),
        ("tokenizer.json", b"{}", "not a readable tokenizer"),
        ("encoder.json", b"{}", "not a readable encoder spec"),
    ],
)
def test_damaged_folders_are_named(exported, tmp_path, name, content, message):
    folder = tmp_path / "damaged"
    shutil.copytree(exported, folder)
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=message):
        OnnxEncoder.load(folder)


def test_a_folder_without_a_graph_is_named(exported, tmp_path):
    for name in ("tokenizer.json", "tokenizer_config.json", "encoder.json"):
        shutil.copy(exported / name, tmp_path)
    with pytest.raises(ArtifactError, match="there is no such file"):
        OnnxEncoder.load(tmp_path)


def test_a_spec_of_another_dimension_is_refused(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "other")
    change_spec(tmp_path / "other", dimensions=(768,))
    with pytest.raises(ArtifactError, match="384 dimensions"):
        OnnxEncoder.load(tmp_path / "other")
