"""Counting the base model's tokens, quickly: a tokenizer that works word by word sees each word once."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.batched import batched
from embed_pipeline.corpus.chunking.pieces import CountTokens
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import ModelAccessError
from embed_pipeline.files import remembered_sha256

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TEXTS_AT_ONCE = 4096
_WORDS_KEPT = 300_000
_LOCAL_NORMALIZERS = frozenset(
    {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "StripAccents"}
)
_WORD_SPLITTERS = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit"})


def token_counter(spec: EncoderSpec) -> CountTokens:
    """A function that counts the model's tokens of each text, special tokens not included.

    Raises:
        ModelAccessError: the model folder has no readable tokenizer.json.
    """
    tokenizer, declared = read_tokenizer(spec)

    def count(texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        for part in batched(texts, _TEXTS_AT_ONCE):
            counts.extend(map(len, tokenizer.encode_batch_fast(part, add_special_tokens=False)))
        return counts

    return _by_word(count) if works_word_by_word(declared) else count


def read_tokenizer(spec: EncoderSpec) -> "tuple[Tokenizer, dict[str, Any]]":
    """The model's tokenizer, which neither cuts nor pads, and what its tokenizer.json says.

    Raises:
        ModelAccessError: the model folder has no readable tokenizer.json.
    """
    from tokenizers import Tokenizer

    path = Path(spec.model) / "tokenizer.json"
    if not path.is_file():
        raise ModelAccessError(f"{path}: missing; passages are measured in tokens of the base model's tokenizer.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
        declared = json.loads(path.read_text("utf-8"))
    except Exception as error:  # the library raises a bare Exception
        raise ModelAccessError(f"{path}: not a readable tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, declared


def special_tokens(spec: EncoderSpec) -> int:
    """How many the model adds to a text."""
    from tokenizers import Tokenizer

    if not spec.add_special_tokens:
        return 0
    added: int = Tokenizer.from_file(str(Path(spec.model) / "tokenizer.json")).num_special_tokens_to_add(False)
    return added


def tokenizer_sha256(spec: EncoderSpec) -> str:
    """Of the file by which tokens are counted."""
    return remembered_sha256(Path(spec.model) / "tokenizer.json")


def works_word_by_word(declared: Mapping[str, Any]) -> bool:
    """Whether a tokenizer.json's tokens of a text are those of its words, one word after the other.

    So it is if the text is parted at blank space first, nothing depends on where a word stands, and its normalizer
    looks at neighbouring characters at most. In doubt it is not.
    """
    splitter, normalizer = declared.get("pre_tokenizer") or {}, declared.get("normalizer")
    first, *others = _members(splitter, "pretokenizers")
    prefixes = {"always", None} if first.get("type") == "WhitespaceSplit" else set()
    return (
        first.get("type") in _WORD_SPLITTERS
        and all(each.get("type") == "Metaspace" and each.get("prepend_scheme") in prefixes for each in others)
        and all(each.get("type") in _LOCAL_NORMALIZERS for each in _members(normalizer or {}, "normalizers") if each)
        and not any(_has_blank(token.get("content", "")) for token in declared.get("added_tokens", []))
    )


def _members(part: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The parts of a sequence, or the part itself."""
    return list(part.get(name) or [{}]) if part.get("type") == "Sequence" else [part]


def _has_blank(text: str) -> bool:
    return any(character.isspace() for character in text)


def _by_word(count: CountTokens) -> CountTokens:
    """``count`` for a tokenizer that works word by word; what it said about a word is remembered."""
    known: dict[str, int] = {}

    def count_words(texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        for some in batched(texts, _TEXTS_AT_ONCE):
            parts = [text.split() for text in some]
            new = list({word for words in parts for word in words if word not in known})
            known.update(zip(new, count(new), strict=True))
            counts.extend(sum(map(known.__getitem__, words)) for words in parts)
            if len(known) > _WORDS_KEPT:
                known.clear()
        return counts

    return count_words
