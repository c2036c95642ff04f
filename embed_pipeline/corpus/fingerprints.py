"""By what near-duplicates are found: of each text a hash of what it says, and a MinHash signature of its words.

A signature is made of one stretch of the text after the other, and kept by content (``cache/fingerprints.sqlite`` of a
home), so that a text costs this once, however often the corpus changes around it.
"""

import hashlib
import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from embed_pipeline.files import sha256_json
from embed_pipeline.progress import task
from embed_pipeline.store.kept import Kept, library_versions
from embed_pipeline.text.forms import same_text_key
from embed_pipeline.text.scripts import UNSPACED

if TYPE_CHECKING:
    from datasketch import MinHash

PERMUTATIONS = 128
STRETCH = 1_000_000
"""Characters looked at together; a longer text is parted between its words."""
_VERSION = 1
_SEED = 42
_WORDS, _CHARACTERS = 3, 5
_SHINGLES_AT_ONCE = 4096
_TEXTS_AT_ONCE = 2048
_CHARACTERS_AT_ONCE = 8_000_000
_DIGEST = 32
_WORD = re.compile(r"\w+")
_LETTER = re.compile(r"[^\W\d_]")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_BLANK = re.compile(r"\s")
_MOSTLY = 0.3


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Of texts, in their order.

    Attributes:
        digests: uint8 [texts, 32]: equal for two texts that are the same
            (:func:`~embed_pipeline.text.forms.same_text_key`).
        signatures: uint32 [texts, 128]: MinHash signatures (Broder 1997) of the word 3-grams, or of the character
            5-grams in scripts written without spaces.
        with_words: bool [texts]: whether there is anything to compare.
    """

    digests: NDArray[np.uint8]
    signatures: NDArray[np.uint32]
    with_words: NDArray[np.bool_]


def fingerprints_of(texts: pl.Series, kept: Kept | None = None) -> Fingerprints:
    """The fingerprint of each text; those that are kept are not computed.

    Args:
        kept: where they are kept; None: nowhere.
    """
    digests = np.empty((len(texts), _DIGEST), np.uint8)
    signatures = np.empty((len(texts), PERMUTATIONS), np.uint32)
    with_words = np.empty(len(texts), np.bool_)
    with task("look for near-duplicates", len(texts)) as running:
        for start, part in _parts(texts):
            rows, stop = _rows_of(part, kept), start + len(part)
            digests[start:stop] = rows[:, :_DIGEST]
            signatures[start:stop] = np.ascontiguousarray(rows[:, _DIGEST:]).view("<u4")
            with_words[start:stop] = (signatures[start:stop] != np.uint32(2**32 - 1)).any(axis=1)
            running.advance(len(part))
    return Fingerprints(digests, signatures, with_words)


def _parts(texts: pl.Series) -> Iterator[tuple[int, list[str]]]:
    """The texts a few at a time, with the place of the first of them."""
    part: list[str] = []
    start = size = 0
    for place in range(len(texts)):
        text = texts[place]  # one at a time: to ask polars for all lengths copies all texts
        if part and (len(part) == _TEXTS_AT_ONCE or size + len(text) > _CHARACTERS_AT_ONCE):
            yield start, part
            part, start, size = [], place, 0
        part.append(text)
        size += len(text)
        del text
    if part:
        yield start, part


def _rows_of(texts: Sequence[str], kept: Kept | None) -> NDArray[np.uint8]:
    if kept is None:
        return _matrix([_fingerprint(text) for text in texts])
    keys = [kept.key(_version(), text) for text in texts]
    known: Mapping[bytes, bytes] = kept.get_many(keys)
    new = {key: _fingerprint(text) for key, text in zip(keys, texts, strict=True) if key not in known}
    kept.put_many(new)
    return _matrix([known[key] if key in known else new[key] for key in keys])


def _matrix(rows: Sequence[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), _DIGEST + 4 * PERMUTATIONS)


@cache
def _version() -> str:
    """Of everything but the text that decides a fingerprint."""
    sizes = [PERMUTATIONS, _SEED, _WORDS, _CHARACTERS, STRETCH]
    return sha256_json([_VERSION, sizes, unicodedata.unidata_version, library_versions(["datasketch"])])


def _fingerprint(text: str) -> bytes:
    sketch = _blank().copy()
    unspaced = _is_unspaced(text)
    grams = _character_grams(text) if unspaced else _word_grams(text)
    for some in grams:
        shingles = [gram.encode("utf-8", "surrogatepass") for gram in some]
        for start in range(0, len(shingles), _SHINGLES_AT_ONCE):
            sketch.update_batch(shingles[start : start + _SHINGLES_AT_ONCE])
    return _digest(text) + np.asarray(sketch.hashvalues, "<u4").tobytes()


@cache
def _blank() -> "MinHash":
    from datasketch import MinHash

    return MinHash(num_perm=PERMUTATIONS, seed=_SEED, hashfunc=zlib.crc32)


def _digest(text: str) -> bytes:
    keys = (same_text_key(stretch).encode("utf-8", "surrogatepass") for stretch in _stretches(text))
    digests = [hashlib.sha256(key).digest() for key in keys]
    return digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()


def _stretches(text: str) -> Iterator[str]:
    """A text in parts, each but the first beginning with blank space where there is some."""
    start = 0
    while len(text) - start > STRETCH:
        blank = _BLANK.search(text, start + STRETCH // 2, start + STRETCH)
        stop = blank.start() if blank else start + STRETCH
        yield text[start:stop]
        start = stop
    yield text[start:]


def _plain(text: str) -> Iterator[str]:
    return (unicodedata.normalize("NFKC", stretch).casefold() for stretch in _stretches(text))


def _is_unspaced(text: str) -> bool:
    """Whether a good part of its letters is of scripts that do not part words."""
    unspaced = letters = 0
    for stretch in _plain(text) if not text.isascii() else ():
        unspaced += len(_UNSPACED.findall(stretch))
        letters += len(_LETTER.findall(stretch))
    return unspaced > 0 and unspaced >= _MOSTLY * letters


def _word_grams(text: str) -> Iterator[set[str]]:
    """Distinct word 3-grams, stretch by stretch; a short text is one gram."""
    before: list[str] = []
    told = False
    for stretch in _plain(text):
        units = before + _WORD.findall(stretch)
        if len(units) >= _WORDS:
            told = True
            yield {"\x1f".join(gram) for gram in zip(units, units[1:], units[2:], strict=False)}
        before = units[-(_WORDS - 1) :]
    if before and not told:
        yield {"\x1f".join(before)}


def _character_grams(text: str) -> Iterator[set[str]]:
    """Distinct character 5-grams, stretch by stretch; a short text is one gram."""
    before = ""
    told = False
    for stretch in _plain(text):
        units = before + "".join(stretch.split())
        if len(units) >= _CHARACTERS:
            told = True
            yield {"\x1f".join(units[place : place + _CHARACTERS]) for place in range(len(units) - _CHARACTERS + 1)}
        before = units[-(_CHARACTERS - 1) :]
    if before and not told:
        yield {"\x1f".join(before)}
