"""Tokens are counted exactly, word by word where that is the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from embed_pipeline.corpus.chunking import tokens
from embed_pipeline.corpus.chunking.tokens import token_counter, works_word_by_word
from embed_pipeline.corpus.parsers.blocks import clean_text
from embed_pipeline.errors import ModelAccessError

LETTERS = st.text("ab中\u0e17ไé\u0301 \n\t.-[]SEPMASK\u200b\U0001f680", max_size=60)


def test_token_counter_counts_without_truncation_or_special_tokens(base_model_spec):
    count = token_counter(base_model_spec)
    assert count([]) == []
    assert count(["hello world", "hello " * 1000, ""]) == [2, 1000, 0]


def test_token_counter_needs_a_tokenizer(tmp_path, base_model_spec):
    spec = base_model_spec.model_copy(update={"model": str(tmp_path)})
    with pytest.raises(ModelAccessError, match=r"tokenizer\.json: missing"):
        token_counter(spec)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": "nonsense"}))
    with pytest.raises(ModelAccessError, match="not a readable tokenizer"):
        token_counter(spec)


@pytest.fixture(scope="module")
def tokenizer(base_model_spec):
    loaded = Tokenizer.from_file(f"{base_model_spec.model}/tokenizer.json")
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


@pytest.fixture(scope="module")
def count(base_model_spec):
    return token_counter(base_model_spec)


@given(texts=st.lists(st.one_of(LETTERS, st.text(max_size=60)), max_size=5))
def test_word_by_word_is_exact(tokenizer, count, texts):
    texts = [clean_text(text) for text in texts]
    found = tokenizer.encode_batch(texts, add_special_tokens=False)
    assert count(texts) == [len(one.ids) for one in found]


def test_what_is_remembered_is_bounded(base_model_spec, monkeypatch):
    monkeypatch.setattr(tokens, "_WORDS_KEPT", 2)
    count = token_counter(base_model_spec)
    assert [count(["one two three four"]), count(["one two"]), count(["two two two"])] == [[4], [2], [3]]


def declared(pre_tokenizer, normalizer=None, special=()):
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, "a"))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.add_special_tokens(list(special))
    return json.loads(tokenizer.to_str())


def test_the_packaged_model_is_one_of_them(tokenizer):
    assert works_word_by_word(json.loads(tokenizer.to_str()))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (declared(pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer()), True),
        (declared(pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])), True),
        (declared(pre_tokenizers.Whitespace(), normalizers.Sequence([normalizers.NFKC()])), True),
        (declared(pre_tokenizers.ByteLevel()), False),
        (declared(pre_tokenizers.Metaspace()), False),
        (
            declared(
                pre_tokenizers.Sequence(
                    [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")]
                )
            ),
            False,
        ),
        (declared(pre_tokenizers.Whitespace(), normalizers.Replace("a", " ")), False),
        (declared(pre_tokenizers.Whitespace(), special=["two words"]), False),
        ({"model": {}}, False),
    ],
)
def test_which_tokenizers_work_word_by_word(parts, expected):
    assert works_word_by_word(parts) is expected
