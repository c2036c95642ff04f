"""Words and sentences of passages, kept by the passages' text, so that a passage is read once.

What the recipes know of all passages together, in how many of them each word stands, is summed over buckets of
passages: a passage belongs to the bucket that the hash of its text names, and the sum of a bucket is kept by all texts
in it. So a change of one passage counts the words of one bucket, and the sum over all of them is exact.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from embed_pipeline.store.kept import Kept, code_version
from embed_pipeline.text.forms import same_text_key
from embed_pipeline.text.words import Counted, TermStatistics, counted_words, passages_of_words, units, words

BUCKETS = 128
_AT_ONCE = 1000


class Sentence(NamedTuple):
    """A sentence as it stands in its passage, its :func:`~embed_pipeline.text.forms.same_text_key`, and the forms of
    its words that are longer than one character.
    """

    text: str
    key: str
    forms: frozenset[str]


class PassageRead(NamedTuple):
    """The sentences of a passage in order, and its words (:func:`~embed_pipeline.text.words.counted_words`)."""

    sentences: list[Sentence]
    counted: Sequence[Counted]


def term_statistics(texts: Sequence[str], kept: Kept | None = None) -> TermStatistics:
    """In how many of the texts each word stands.

    Args:
        kept: where the sums of buckets are kept; None: nowhere.
    """
    if kept is None:
        return TermStatistics(texts)
    version = _version()
    buckets: list[list[tuple[bytes, str]]] = [[] for _ in range(BUCKETS)]
    for text in texts:
        digest = kept.key(version, text)
        buckets[digest[0] % BUCKETS].append((digest, text))
    keys = [kept.key(version, "words", *sorted(digest.hex() for digest, _ in bucket)) for bucket in buckets]
    known, new = kept.get_json(keys), {}
    frequency: Counter[str] = Counter()
    for key, bucket in zip(keys, buckets, strict=True):
        if key not in known:
            new[key] = passages_of_words(text for _, text in bucket)
        frequency.update(known[key] if key in known else new[key])
    kept.put_json(new)
    return TermStatistics(texts, frequency)


def passages_read(passages: Sequence[tuple[str, str]], max_chars: int, kept: Kept | None = None) -> list[PassageRead]:
    """Sentences and words of passages.

    Args:
        passages: text and language of each.
        max_chars: longest sentence.
        kept: where they are kept; None: nowhere.
    """
    if kept is None:
        return [_read(text, language, max_chars) for text, language in passages]
    read: list[PassageRead] = []
    for start in range(0, len(passages), _AT_ONCE):
        part = passages[start : start + _AT_ONCE]
        keys = [kept.key(_version(), "sentences", str(max_chars), language, text) for text, language in part]
        known, new = kept.get_json(keys), {}
        for key, (text, language) in zip(keys, part, strict=True):
            if key in known:
                read.append(_of_json(known[key]))
            else:
                read.append(_read(text, language, max_chars))
                new[key] = _as_json(read[-1])
        kept.put_json(new)
    return read


def _version() -> str:
    return code_version("text", "sdg/offline")


def _read(text: str, language: str, max_chars: int) -> PassageRead:
    sentences = [
        Sentence(unit, same_text_key(unit), frozenset(word.form for word in words(unit) if len(word.form) > 1))
        for unit in units(text, language, max_chars)
    ]
    return PassageRead(sentences, counted_words(text))


def _as_json(read: PassageRead) -> list[Any]:
    sentences = [[one.text, one.key, sorted(one.forms)] for one in read.sentences]
    return [sentences, read.counted]


def _of_json(value: Any) -> PassageRead:
    sentences, counted = value
    return PassageRead(
        [Sentence(text, key, frozenset(forms)) for text, key, forms in sentences],
        counted,
    )
