"""Passages that say the same: one group, so that no split and no negative can tear them apart."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import polars as pl

from embed_pipeline.files import sha256_text
from embed_pipeline.progress import track
from embed_pipeline.tables import Passages, validate

_PERMUTATIONS = 128
_SEED = 42
_WORDS, _CHARACTERS = 3, 5
_WORD = re.compile(r"\w+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
_MOSTLY = 0.3
_RECALL = 0.99  # a missed pair hurts more than a candidate too many, which is verified anyway


def group_near_duplicates(passages: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Set ``group_id``: the lowest passage id among those connected by (near-)duplication.

    Exact duplicates have the same text but for case, width and blank space. Near-duplicates have an
    estimated Jaccard similarity of at least ``threshold`` between their sets of word 3-grams (character
    5-grams for scripts written without spaces); candidates come from locality-sensitive hashing of
    128-permutation MinHash signatures (Broder 1997; Leskovec, Rajaraman, Ullman, "Mining of Massive
    Datasets", ch. 3). Similarity is transitive here: a group is a connected component.

    Args:
        passages: :class:`~embed_pipeline.tables.Passages`.
        threshold: in (0, 1].
    """
    from scipy.cluster.hierarchy import DisjointSet

    ordered = passages.select("passage_id", "text").sort("passage_id")
    ids, texts = ordered["passage_id"].to_list(), [_canonical(text) for text in ordered["text"]]
    groups = DisjointSet(ids)
    first_of: dict[str, str] = {}
    for passage_id, text in zip(ids, texts, strict=True):
        groups.merge(first_of.setdefault(sha256_text(text), passage_id), passage_id)
    representatives = set(first_of.values())
    distinct = [(key, text) for key, text in zip(ids, texts, strict=True) if key in representatives]
    _merge_similar(distinct, threshold, groups)
    lowest = {member: min(group) for group in groups.subsets() for member in group}
    found = pl.Series("group_id", [lowest[key] for key in passages["passage_id"]], dtype=pl.String)
    return validate(Passages, passages.with_columns(found))


def _merge_similar(distinct: Sequence[tuple[str, str]], threshold: float, groups: Any) -> None:
    """Merge the groups of every candidate pair whose estimated similarity reaches the threshold."""
    from datasketch import MinHash, MinHashLSH

    shingled = [(key, shingles) for key, text in distinct if (shingles := _shingles(text))]
    sketches = MinHash.generator([s for _, s in shingled], num_perm=_PERMUTATIONS, seed=_SEED)
    index = MinHashLSH(num_perm=_PERMUTATIONS, params=_bands(threshold))
    known: dict[str, Any] = {}
    pairs = zip(shingled, sketches, strict=True)
    for (key, _), sketch in track(pairs, "look for near-duplicates", len(shingled)):
        for other in index.query(sketch):  # in any order: the components are the same
            if not groups.connected(key, other) and sketch.jaccard(known[other]) >= threshold:
                groups.merge(key, other)
        index.insert(key, sketch, check_duplication=False)
        known[key] = sketch


def _bands(threshold: float) -> tuple[int, int]:
    """Bands b and rows r: the most rows with which a pair at the threshold is still found with 99 % chance.

    That chance is 1 - (1 - s^r)^b for a pair of similarity s ("Mining of Massive Datasets", section 3.4.2).
    """
    sizes = ((_PERMUTATIONS // rows, rows) for rows in range(_PERMUTATIONS // 2, 1, -1))
    found = ((bands, rows) for bands, rows in sizes if 1 - (1 - threshold**rows) ** bands >= _RECALL)
    return next(found, (_PERMUTATIONS, 1))


def _canonical(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _shingles(text: str) -> list[bytes]:
    """Distinct word 3-grams, or character 5-grams where words are not parted; a short text is one shingle."""
    letters = sum(character.isalpha() for character in text)
    if letters and len(_UNSPACED.findall(text)) >= _MOSTLY * letters:
        units, size = list("".join(text.split())), _CHARACTERS
    else:
        units, size = _WORD.findall(text), _WORDS
    grams = {"\x1f".join(units[start : start + size]) for start in range(max(len(units) - size + 1, 1))}
    return [gram.encode("utf-8") for gram in sorted(grams) if gram]
