"""Texts that say the same: one group, so that no split and no negative can tear them apart."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from embed_pipeline.corpus.fingerprints import PERMUTATIONS, Fingerprints, fingerprints_of
from embed_pipeline.store.kept import Kept
from embed_pipeline.tables import Documents, Passages, validate, with_column

Places = NDArray[np.intp]
_PAIRS_AT_ONCE = 16_384
_ROWS_AT_ONCE = 65_536
_RECALL = 0.99  # a missed pair hurts more than a candidate too many, which is verified anyway
_SEED = 42


def group_near_duplicates(passages: pl.DataFrame, threshold: float, kept: Kept | None = None) -> pl.DataFrame:
    """Set ``group_id`` of passages: the lowest passage id among those connected by (near-)duplication.

    Args:
        passages: :class:`~embed_pipeline.tables.Passages`.
        threshold: in (0, 1], see :func:`near_duplicates`.
        kept: where fingerprints are kept.
    """
    found = _groups(passages["passage_id"], passages["text"], threshold, kept)
    return validate(Passages, with_column(passages, pl.Series("group_id", found, pl.String)))


def group_documents(documents: pl.DataFrame, threshold: float, kept: Kept | None = None) -> pl.DataFrame:
    """Set ``group_id`` of documents: the lowest document id among those connected by (near-)duplication.

    Args:
        documents: :class:`~embed_pipeline.tables.Documents`; what stands in ``group_id`` does not matter.
        threshold: in (0, 1], see :func:`near_duplicates`.
        kept: where fingerprints are kept.
    """
    found = _groups(documents["doc_id"], documents["text"], threshold, kept)
    return validate(Documents, with_column(documents, pl.Series("group_id", found, pl.String)))


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
    return _groups(pl.Series(ids, dtype=pl.String), pl.Series(texts, dtype=pl.String), threshold, None)


def _groups(ids: pl.Series, texts: pl.Series, threshold: float, kept: Kept | None) -> list[str]:
    names = ids.to_list()
    if not names:
        return []
    order = np.array(sorted(range(len(names)), key=names.__getitem__))  # as Python orders text, by code points
    found = fingerprints_of(texts, kept)
    lowest = _lowest(found, order, threshold)
    return [names[place] for place in lowest]


def _lowest(found: Fingerprints, order: Places, threshold: float) -> Places:
    """For each text the place of the first in ``order`` of its group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    digests = np.ascontiguousarray(found.digests[order]).view(np.dtype((np.void, found.digests.shape[1])))[:, 0]
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    alike = [np.stack([np.arange(len(order)), first[inverse]], axis=1)]  # each with the first that is the same text
    distinct = np.sort(first)
    distinct = distinct[found.with_words[order[distinct]]]
    alike += [distinct[pairs] for pairs in _similar(found.signatures, order[distinct], threshold)]
    edges = np.concatenate(alike)
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(len(order), len(order)))
    count, group = connected_components(graph, directed=False)
    firsts = np.full(count, len(order))
    np.minimum.at(firsts, group, np.arange(len(order)))
    lowest = np.empty(len(order), np.intp)
    lowest[order] = order[firsts[group]]
    return lowest


def _similar(signatures: NDArray[np.uint32], rows: Places, threshold: float) -> Iterator[Places]:
    """Pairs [n, 2] of ``rows`` whose signatures share a band and whose estimated similarity reaches the threshold.

    Of those that share a band not every pair is told, but so many that the same are connected. Pairs are places in
    ``rows``; the signatures, which fill the memory, are not copied.
    """
    least = np.ceil(threshold * PERMUTATIONS - 1e-9)
    bands, width = _bands(threshold)
    factors = np.random.default_rng(_SEED).integers(1, 2**63, width, np.uint64) * np.uint64(2) + np.uint64(1)
    for band in range(bands):
        columns = signatures[:, band * width : (band + 1) * width]
        order, starts, sizes = _buckets(_hashes(columns, rows, factors))
        twos = starts[sizes == 2]
        pairs = np.stack([order[twos], order[twos + 1]], axis=1)
        for start in range(0, len(pairs), _PAIRS_AT_ONCE):
            some = pairs[start : start + _PAIRS_AT_ONCE]
            equal = (signatures[rows[some[:, 0]]] == signatures[rows[some[:, 1]]]).sum(axis=1)
            yield some[equal >= least]
        for start, size in zip(starts[sizes > 2], sizes[sizes > 2], strict=True):
            members = order[start : start + size]
            yield _connected(members, signatures[rows[members]], least)


def _hashes(columns: NDArray[np.uint32], rows: Places, factors: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One hash of some columns for each of the rows."""
    found = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = columns[rows[start : start + _ROWS_AT_ONCE]].astype(np.uint64)
        found[start : start + len(part)] = (part * factors).sum(axis=1, dtype=np.uint64)
    return found


def _buckets(keys: NDArray[np.uint64]) -> tuple[Places, Places, Places]:
    """Order by key, and where the runs of equal keys begin and how long they are."""
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], in_order[1:] != in_order[:-1]])) if len(keys) else order
    return order, starts, np.diff(np.append(starts, len(keys)))


def _connected(members: Places, signatures: NDArray[np.uint32], least: float) -> Places:
    """Pairs that connect all members which chains of similar ones connect; ``signatures`` are theirs."""
    pairs: list[tuple[int, int]] = []
    left = np.arange(len(members))
    block = signatures
    waiting: list[int] = []
    while len(left):
        if not waiting:
            waiting.append(left[0])
            left, block = left[1:], block[1:]
        one = waiting.pop()
        near = (block == signatures[one]).sum(axis=1) >= least
        if near.any():
            waiting.extend(left[near])
            pairs.extend((one, other) for other in left[near])
            left, block = left[~near], block[~near]
    return members[np.array(pairs, np.intp).reshape(-1, 2)]


def _bands(threshold: float) -> tuple[int, int]:
    """Bands b and rows r: the most rows with which a pair at the threshold is still found with 99 % chance.

    That chance is 1 - (1 - s^r)^b for a pair of similarity s ("Mining of Massive Datasets", section 3.4.2).
    """
    sizes = ((PERMUTATIONS // rows, rows) for rows in range(PERMUTATIONS // 2, 1, -1))
    found = ((bands, rows) for bands, rows in sizes if 1 - (1 - threshold**rows) ** bands >= _RECALL)
    return next(found, (PERMUTATIONS, 1))
