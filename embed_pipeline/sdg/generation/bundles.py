"""Bundles of related documents, for questions that need more than one of them.

Two documents are related by the cosine of their mean passage vectors and by the entities both name. A bundle
grows by joining pairs that are each other's closest: a bundle is decided by its own documents and their nearest
neighbours, so a change of one document leaves all other bundles as they are; and a document is in one bundle at
most, since bundled documents stay in one split and chains of them would tie the whole corpus together.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, zip_longest

import numpy as np
import polars as pl

from embed_pipeline.encoders.spec import Encoder, Vectors
from embed_pipeline.records import passage_text
from embed_pipeline.retrieval.search import top_k
from embed_pipeline.sdg.generation.windows import Window
from embed_pipeline.settings import SdgSettings
from embed_pipeline.text.forms import same_text_key

NEIGHBOURS = 16
BLOCK = 4096
MOST_DOCUMENTS = 20
"""An entity that more documents name relates nobody."""
PER_ENTITY, MOST_ENTITIES = 0.05, 4
TOO_CLOSE = 0.97
"""Cosine from which two documents say the same, so that nothing is gained by asking across them."""

Pairs = Mapping[tuple[str, str], float]


def bundle_windows(
    documents: pl.DataFrame,
    shown: pl.DataFrame,
    entities: Mapping[str, Iterable[str]],
    encoder: Encoder,
    settings: SdgSettings,
) -> list[Window]:
    """A window for every bundle: the passages of its documents that are closest to each other.

    Args:
        documents: :class:`embed_pipeline.tables.Documents`; near-duplicates (one ``group_id``) are never bundled.
        shown: see :func:`embed_pipeline.sdg.generation.windows.shown_passages`.
        entities: doc_id -> names found in it.
        encoder: the base model.
    """
    if settings.bundle_size < 2 or settings.max_hops < 2 or shown["doc_id"].n_unique() < 2:
        return []
    texts = [passage_text(title, text) for title, text in shown.select("title", "text").iter_rows()]
    vectors = _unit(encoder.encode(texts, "passage"))
    rows_of = _rows_of(shown)
    group_of = dict(documents.select("doc_id", "group_id").iter_rows())
    pairs = relatedness(rows_of, vectors, entities, group_of)
    bundles = group_related(pairs, settings.bundle_similarity, settings.bundle_size)
    return [_window(bundle, shown, rows_of, vectors, settings) for bundle in bundles]


def relatedness(
    rows_of: Mapping[str, Sequence[int]],
    vectors: Vectors,
    entities: Mapping[str, Iterable[str]],
    group_of: Mapping[str, str],
) -> dict[tuple[str, str], float]:
    """(doc_id, doc_id), the lower first -> relatedness, for near neighbours and for documents that share entities.

    Cosine of the mean passage vectors, plus 0.05 for each shared entity (four at most).

    Args:
        rows_of: doc_id -> rows of ``vectors`` [passages, d], of unit length.
        group_of: doc_id -> near-duplicate group.
    """
    names = sorted(rows_of)
    means = _unit(np.stack([vectors[list(rows_of[name])].mean(axis=0) for name in names]))
    place = {name: index for index, name in enumerate(names)}
    shared = _shared_entities({name: entities.get(name, ()) for name in names})
    near = {*shared, *_neighbours(names, means)}
    scores = {}
    for one, other in near:
        cosine = float(means[place[one]] @ means[place[other]])
        if cosine < TOO_CLOSE and group_of.get(one, one) != group_of.get(other, other):
            scores[(one, other)] = round(cosine + PER_ENTITY * min(shared.get((one, other), 0), MOST_ENTITIES), 6)
    return scores


def _neighbours(names: Sequence[str], means: Vectors) -> Iterator[tuple[str, str]]:
    for start in range(0, len(names), BLOCK):
        _, indices = top_k(means[start : start + BLOCK], means, NEIGHBOURS + 1)
        for row, closest in enumerate(indices, start):
            for other in closest:
                if other != row:
                    low, high = sorted((names[row], names[int(other)]))
                    yield low, high


def _shared_entities(entities: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], int]:
    users: dict[str, set[str]] = defaultdict(set)
    for doc_id, names in entities.items():
        for entity in names:
            users[same_text_key(entity)].add(doc_id)
    shared: dict[tuple[str, str], int] = defaultdict(int)
    for doc_ids in users.values():
        if 2 <= len(doc_ids) <= MOST_DOCUMENTS:
            for one, other in combinations(sorted(doc_ids), 2):
                shared[(one, other)] += 1
    return dict(shared)


def group_related(pairs: Pairs, least: float, size: int) -> list[tuple[str, ...]]:
    """Disjoint groups of two to ``size`` documents, sorted; every two of a group are related by ``least`` or more.

    Groups join when each is the other's closest (reciprocal nearest neighbours, complete linkage; Murtagh 1983,
    "A survey of recent advances in hierarchical clustering algorithms"), until none can.
    """
    names = sorted({name for pair in pairs for name in pair})
    links: dict[tuple[str, ...], dict[tuple[str, ...], float]] = {(name,): {} for name in names}
    for (one, other), score in pairs.items():
        if score >= least:
            links[(one,)][(other,)] = links[(other,)][(one,)] = score
    while joined := _closest_pairs(links, size):
        for pair in joined:
            _join(links, *pair)
    return sorted(group for group in links if len(group) > 1)


def _closest_pairs(
    links: Mapping[tuple[str, ...], Mapping[tuple[str, ...], float]], size: int
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    closest = {}
    for group, related in links.items():
        fitting = [(score, other) for other, score in related.items() if len(group) + len(other) <= size]
        if fitting:
            best = max(score for score, _ in fitting)
            closest[group] = min(other for score, other in fitting if score == best)
    return [(one, other) for one, other in closest.items() if one < other and closest.get(other) == one]


def _join(
    links: dict[tuple[str, ...], dict[tuple[str, ...], float]], one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    first, second = links.pop(one), links.pop(other)
    both = tuple(sorted((*one, *other)))
    links[both] = {}
    for third in (first.keys() | second.keys()) - {one, other}:
        links[third].pop(one, None)
        links[third].pop(other, None)
        if third in first and third in second:
            links[third][both] = links[both][third] = min(first[third], second[third])


def _rows_of(shown: pl.DataFrame) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, doc_id in enumerate(shown["doc_id"]):
        rows[doc_id].append(row)
    return dict(rows)


def _window(
    bundle: Sequence[str],
    shown: pl.DataFrame,
    rows_of: Mapping[str, Sequence[int]],
    vectors: Vectors,
    settings: SdgSettings,
) -> Window:
    ranked = [_closest_to_others(name, bundle, rows_of, vectors) for name in bundle]
    firsts = {rows[0] for rows in ranked}
    tokens = shown["token_count"]
    chosen: list[int] = []
    used = 0
    for turn in zip_longest(*ranked):
        for row in turn:
            if row is not None and (row in firsts or used + int(tokens[row]) <= settings.window_tokens):
                chosen.append(row)
                used += int(tokens[row])
    passages = shown[sorted(chosen)].to_dicts()
    return Window(f"bundle {' + '.join(bundle)}", passages, settings.questions_per_bundle)


def _closest_to_others(
    name: str, bundle: Sequence[str], rows_of: Mapping[str, Sequence[int]], vectors: Vectors
) -> list[int]:
    """The document's passages, those closest to any passage of the bundle's other documents first."""
    own = list(rows_of[name])
    others = [row for other in bundle if other != name for row in rows_of[other]]
    scores = (vectors[own] @ vectors[others].T).max(axis=1)
    return [own[int(place)] for place in np.argsort(-scores, kind="stable")]


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return unit
