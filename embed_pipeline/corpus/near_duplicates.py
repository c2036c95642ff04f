"""Texts that say the same: one group, so that no split and no negative can tear them apart."""

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from embed_pipeline.files import sha256_text
from embed_pipeline.progress import track
from embed_pipeline.tables import Documents, Passages, validate
from embed_pipeline.text.forms import same_text_key
from embed_pipeline.text.scripts import UNSPACED

if TYPE_CHECKING:
    from datasketch import MinHash

_PERMUTATIONS = 128
_SEED = 42
_WORDS, _CHARACTERS = 3, 5
_SHINGLES_AT_ONCE = 4096
_WORD = re.compile(r"\w+")
_LETTER = re.compile(r"[^\W\d_]")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_MOSTLY = 0.3
_RECALL = 0.99  # a missed pair hurts more than a candidate too many, which is verified anyway


def group_near_duplicates(passages: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Set ``group_id`` of passages: the lowest passage id among those connected by (near-)duplication.

    Args:
        passages: :class:`~embed_pipeline.tables.Passages`.
        threshold: in (0, 1], see :func:`near_duplicates`.
    """
    found = near_duplicates(passages["passage_id"].to_list(), passages["text"].to_list(), threshold)
    return validate(Passages, passages.with_columns(pl.Series("group_id", found, pl.String)))


def group_documents(documents: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Set ``group_id`` of documents: the lowest document id among those connected by (near-)duplication.

    Args:
        documents: :class:`~embed_pipeline.tables.Documents`; what stands in ``group_id`` does not matter.
        threshold: in (0, 1], see :func:`near_duplicates`.
    """
    found = near_duplicates(documents["doc_id"].to_list(), documents["text"].to_list(), threshold)
    return validate(Documents, documents.with_columns(pl.Series("group_id", found, pl.String)))


def near_duplicates(ids: Sequence[str], texts: Sequence[str], threshold: float) -> list[str]:
    """For each text the lowest id of its group; independent of the order of the texts.

    Exact duplicates are the same text (:func:`~embed_pipeline.text.forms.same_text_key`). Near-duplicates have an
    estimated Jaccard similarity of at least ``threshold`` between their sets of word 3-grams (character
    5-grams for scripts written without spaces); candidates come from locality-sensitive hashing of
    128-permutation MinHash signatures (Broder 1997; Leskovec, Rajaraman, Ullman, "Mining of Massive
    Datasets", ch. 3). Similarity is transitive here: a group is a connected component.

    Args:
        ids: unique.
        texts: one for each id.
        threshold: in (0, 1].
    """
    from scipy.cluster.hierarchy import DisjointSet

    groups = DisjointSet(ids)
    first_of: dict[str, str] = {}
    distinct: list[tuple[str, str]] = []
    for key, text in sorted(zip(ids, texts, strict=True)):
        first = first_of.setdefault(sha256_text(same_text_key(text)), key)
        groups.merge(first, key)
        if first == key:
            distinct.append((key, text))
    _merge_similar(distinct, threshold, groups)
    lowest = {member: min(group) for group in groups.subsets() for member in group}
    return [lowest[key] for key in ids]


def _merge_similar(distinct: Sequence[tuple[str, str]], threshold: float, groups: Any) -> None:
    """Merge the groups of every candidate pair whose estimated similarity reaches the threshold."""
    from datasketch import MinHashLSH

    index = MinHashLSH(num_perm=_PERMUTATIONS, params=_bands(threshold))
    known: dict[str, MinHash] = {}
    sketches = _sketches([text for _, text in distinct])
    pairs = zip((key for key, _ in distinct), sketches, strict=True)
    for key, sketch in track(pairs, "look for near-duplicates", len(distinct)):
        if sketch is None:
            continue
        for other in index.query(sketch):  # in any order: the components are the same
            if not groups.connected(key, other) and sketch.jaccard(known[other]) >= threshold:
                groups.merge(key, other)
        index.insert(key, sketch, check_duplication=False)
        known[key] = sketch


def _sketches(texts: Sequence[str]) -> "Iterator[MinHash | None]":
    """The MinHash signature of each text, None for a text without words; one text at a time is in memory."""
    from datasketch import MinHash

    blank = MinHash(num_perm=_PERMUTATIONS, seed=_SEED, hashfunc=zlib.crc32)
    for text in texts:
        shingles = _shingles(unicodedata.normalize("NFKC", text).casefold())
        sketch = blank.copy()
        for start in range(0, len(shingles), _SHINGLES_AT_ONCE):
            sketch.update_batch(shingles[start : start + _SHINGLES_AT_ONCE])
        yield sketch if shingles else None


def _bands(threshold: float) -> tuple[int, int]:
    """Bands b and rows r: the most rows with which a pair at the threshold is still found with 99 % chance.

    That chance is 1 - (1 - s^r)^b for a pair of similarity s ("Mining of Massive Datasets", section 3.4.2).
    """
    sizes = ((_PERMUTATIONS // rows, rows) for rows in range(_PERMUTATIONS // 2, 1, -1))
    found = ((bands, rows) for bands, rows in sizes if 1 - (1 - threshold**rows) ** bands >= _RECALL)
    return next(found, (_PERMUTATIONS, 1))


def _shingles(text: str) -> list[bytes]:
    """Distinct word 3-grams, or character 5-grams where words are not parted; a short text is one shingle."""
    unspaced = len(_UNSPACED.findall(text))
    units: Sequence[str]
    if unspaced and unspaced >= _MOSTLY * len(_LETTER.findall(text)):
        units, size = "".join(text.split()), _CHARACTERS
    else:
        units, size = _WORD.findall(text), _WORDS
    parts = [units[place:] for place in range(min(size, len(units)))]  # a short text is its only gram
    return [gram.encode("utf-8", "surrogatepass") for gram in {"\x1f".join(gram) for gram in zip(*parts, strict=False)}]
