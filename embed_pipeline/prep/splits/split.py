"""Train, validation and test, so that nothing a test question asks about is seen in training.

Documents that say the same (near-duplicates), share text (near-duplicate passages), evidence (one question,
several documents) or questions (near-identical ones) form a component; a component lies in one split. Which one
is decided by a hash of seed and component, then balanced (:mod:`embed_pipeline.prep.splits.balance`). A growing corpus
keeps its documents where they are by what was decided before: see ``previous`` of :func:`split_items`.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from embed_pipeline.encoders.spec import Encoder, Vectors
from embed_pipeline.errors import InputError
from embed_pipeline.prep.splits.balance import PRIORITY, Component, assign, least_components
from embed_pipeline.prep.splits.shared_texts import shared_text_keys
from embed_pipeline.progress import say
from embed_pipeline.retrieval.search import top_k
from embed_pipeline.settings import PrepSettings
from embed_pipeline.tables import Splits, validate
from embed_pipeline.text.forms import same_text_key

BOILERPLATE_SHARE = 0.1
"""A repeated passage without any question in more than this share of the documents is boilerplate."""
BOILERPLATE_MINIMUM = 3
SIMILAR_QUESTION = 0.95
"""Cosine above which two questions must not stand on both sides of the split."""


def boilerplate_limit(documents: int) -> float:
    """Documents up to which a repeated passage without any question still joins them.

    A footer that stands in every file would otherwise make the whole corpus one group that cannot be split;
    since nobody asks about it, it gives no answer away.
    """
    return max(BOILERPLATE_MINIMUM, BOILERPLATE_SHARE * documents)


STRATA = ("query_type", "hop_count")
Edge = tuple[str, str]


def split_items(
    qa_pairs: pl.DataFrame,
    passages: pl.DataFrame,
    encoder: Encoder,
    settings: PrepSettings,
    documents: pl.DataFrame | None = None,
    previous: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Assign every document and every question to a split.

    Without ``previous`` the result is a pure function of corpus, questions and settings. With it, documents stay
    in the split they were in and only new components are placed, so that a growing corpus never moves a document
    from test to train. A component that joins documents of several splits goes to test if one of them was there,
    else to validation. Documents that were in training without a question to train on count as new.

    Args:
        qa_pairs: rows of :class:`embed_pipeline.tables.QaPairs`.
        passages: rows of :class:`embed_pipeline.tables.Passages`.
        encoder: its query vectors tell near-identical questions (cosine above 0.95).
        settings: ratios of questions, and the seed.
        documents: rows of :class:`embed_pipeline.tables.Documents`, whose near-duplicate groups stay together;
            without them only the passages tell which documents say the same.
        previous: what this function returned before, for the same seed and ratios. Documents it names need not
            exist any more. Splits of ratio 0 in it are ignored. When so many documents are gone that too few are
            left to train on, all are split anew, and a line says so.

    Returns:
        A table :class:`embed_pipeline.tables.Splits`, sorted by type and id.

    Raises:
        InputError: a question names an unknown passage or document; or there are fewer independent groups of
            documents than the splits need (two for training, one for each other split), in all or outside the
            previous test split.
    """
    documents_of = _documents_of_questions(qa_pairs, passages)
    names = sorted(passages["doc_id"].unique().to_list())
    edges = [
        *_group_edges(documents, names),
        *_passage_edges(qa_pairs, passages),
        *((docs[0], doc) for docs in documents_of.values() for doc in docs[1:]),
        *_question_edges(qa_pairs, documents_of, encoder),
    ]
    component_of = _components(names, edges)
    question_component = {question: component_of[docs[0]] for question, docs in documents_of.items()}
    before = _earlier(previous)
    components = describe(component_of, question_component, qa_pairs, before, settings.seed)
    split_of = _assign(components, settings, len(names), gone=not before.keys() <= component_of.keys())
    rows = [("document", doc, component_of[doc], split_of[component_of[doc]]) for doc in names]
    rows += [("question", name, group, split_of[group]) for name, group in sorted(question_component.items())]
    frame = pl.DataFrame(rows, schema=["item_type", "item_id", "component", "split"], orient="row")
    return validate(Splits, frame.sort("item_type", "item_id"))


def _documents_of_questions(qa_pairs: pl.DataFrame, passages: pl.DataFrame) -> dict[str, list[str]]:
    doc_of = dict(passages.select("passage_id", "doc_id").iter_rows())
    known = set(doc_of.values())
    found, unknown = {}, []
    for question, passage_ids, doc_ids in qa_pairs.select("question_id", "passage_ids", "doc_ids").iter_rows():
        unknown += [name for name in passage_ids if name not in doc_of] + [
            name for name in doc_ids if name not in known
        ]
        found[question] = sorted({doc_of[name] for name in passage_ids if name in doc_of} | set(doc_ids))
    if unknown:
        raise InputError(
            f"{len(unknown)} passages or documents named by questions are not in the corpus, for example "
            f"{', '.join(sorted(set(unknown))[:3])}. Import questions that belong to this corpus."
        )
    return found


def _group_edges(documents: pl.DataFrame | None, names: Sequence[str]) -> list[Edge]:
    """Documents that are near-duplicates of each other."""
    if documents is None:
        return []
    known = documents.filter(pl.col("doc_id").is_in(names)).sort("doc_id")
    first: dict[str, str] = {}
    return [(first.setdefault(group, doc), doc) for doc, group in known.select("doc_id", "group_id").iter_rows()]


def _passage_edges(qa_pairs: pl.DataFrame, passages: pl.DataFrame) -> list[Edge]:
    """Documents that hold the same passage, word for word or as a near-duplicate, boilerplate excepted."""
    evidence = {name for names in qa_pairs["passage_ids"] for name in names}
    documents: dict[str, set[str]] = defaultdict(set)
    asked_about: set[str] = set()
    rows = passages.select("passage_id", "doc_id", "group_id").iter_rows()
    for (passage, doc, group), same in zip(rows, shared_text_keys(passages["text"]), strict=True):
        for key in (f"group {group}", *(() if same is None else (f"text {same}",))):
            documents[key].add(doc)
            if passage in evidence:
                asked_about.add(key)
    limit = boilerplate_limit(passages["doc_id"].n_unique())
    edges = []
    for key in sorted(documents):
        holders = sorted(documents[key])
        if key in asked_about or len(holders) <= limit:
            edges += [(holders[0], holder) for holder in holders[1:]]
    return edges


def _question_edges(qa_pairs: pl.DataFrame, documents_of: Mapping[str, Sequence[str]], encoder: Encoder) -> list[Edge]:
    """Documents whose questions are nearly the same."""
    ordered = qa_pairs.sort("question_id")
    names, texts = ordered["question_id"].to_list(), ordered["question"].to_list()
    first: dict[str, str] = {}
    edges = []
    for name, text in zip(names, texts, strict=True):
        edges.append((documents_of[first.setdefault(same_text_key(text), name)][0], documents_of[name][0]))
    for left, right in _similar(encoder.encode(texts, "query")):
        edges.append((documents_of[names[left]][0], documents_of[names[right]][0]))
    return edges


def _similar(vectors: Vectors) -> list[tuple[int, int]]:
    """Every pair of rows with a cosine above 0.95; more neighbours are asked for until none is left."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.where(length > 0, length, 1)).astype(np.float32)
    pairs = []
    pending, k = np.arange(len(unit)), 8
    while len(pending):
        scores, indices = top_k(unit[pending], unit, k)
        full = (scores[:, -1] > SIMILAR_QUESTION) & (k < len(unit))
        for row in np.flatnonzero(~full):
            close = indices[row][scores[row] > SIMILAR_QUESTION]
            pairs += [(int(pending[row]), int(other)) for other in close if other != pending[row]]
        pending, k = pending[full], k * 4
    return pairs


def _components(documents: Sequence[str], edges: Iterable[Edge]) -> dict[str, str]:
    """Document -> representative of its connected component: the member with the lowest hash.

    A new document becomes it no more often than any other member, whatever its name.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place = {doc: index for index, doc in enumerate(documents)}
    ends = np.array([(place[a], place[b]) for a, b in edges], np.int64).reshape(-1, 2)
    size = len(documents)
    graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    label_of = dict(zip(documents, labels.tolist(), strict=True))
    lowest: dict[int, str] = {}
    for doc in sorted(documents, key=_hash):
        lowest.setdefault(label_of[doc], doc)
    return {doc: lowest[label] for doc, label in label_of.items()}


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def _earlier(previous: pl.DataFrame | None) -> dict[str, str]:
    """Document -> split it must not leave: held out, or trained on with questions of its component."""
    if previous is None:
        return {}
    asked = previous.filter(pl.col("item_type") == "question")["component"].unique().to_list()
    bound = (pl.col("split") != "train") | pl.col("component").is_in(asked)
    documents = previous.filter((pl.col("item_type") == "document") & bound)
    return dict(documents.select("item_id", "split").iter_rows())


def describe(
    component_of: Mapping[str, str],
    question_component: Mapping[str, str],
    qa_pairs: pl.DataFrame,
    before: Mapping[str, str],
    seed: int,
) -> list[Component]:
    """Each component with its questions in all and per stratum, and the split it was in."""
    kinds = {row[0]: row[1:] for row in qa_pairs.select("question_id", *STRATA).iter_rows()}
    counted: dict[str, Counter[tuple[int, object]]] = {name: Counter() for name in component_of.values()}
    for question, name in question_component.items():
        counted[name].update([(-1, ""), *enumerate(kinds[question])])
    features = [(-1, ""), *sorted({pair for values in kinds.values() for pair in enumerate(values)})]
    were: dict[str, set[str]] = defaultdict(set)
    for doc in before.keys() & component_of.keys():
        were[component_of[doc]].add(before[doc])
    return [
        Component(
            name,
            _hash(f"{seed}\n{name}") / 2**64,
            tuple(counts[feature] for feature in features),
            next((split for split in PRIORITY if split in were[name]), None),
        )
        for name, counts in counted.items()
    ]


def _assign(components: Sequence[Component], settings: PrepSettings, documents: int, gone: bool) -> dict[str, str]:
    """Component -> split; ``gone``: whether documents that were placed before do not exist any more."""
    ratios = {"test": settings.test_ratio, "validation": settings.validation_ratio}
    shares = {name: ratio for name, ratio in ratios.items() if ratio > 0}
    _require(sum(component.counts[0] > 0 for component in components), documents, shares)
    split_of = assign(components, shares)
    if split_of is None and gone:
        say("splits: of the documents that were trained on too few are left; all documents are split anew")
        split_of = assign([replace(component, before=None) for component in components], shares)
    if split_of is None:
        raise InputError(
            "Of the independent groups of documents so few are outside the test split that nothing could be trained "
            "on: documents added since the last split join those of training and test (they share text, evidence or "
            "questions). Add other documents, or change prep.seed to split all of them anew."
        )
    return split_of


def _require(groups: int, documents: int, shares: Mapping[str, float]) -> None:
    needed = sum(least_components(shares).values())
    if groups >= needed:
        return
    advice = " and ".join(f"prep.{name}_ratio" for name in sorted(shares, reverse=True))
    raise InputError(
        f"The questions refer to {groups} independent group(s) of documents (the corpus has {documents} document(s); "
        f"those that share text, evidence or questions are one group), but the splits need {needed}: two to train on"
        f"{''.join(f', one for {name}' for name in sorted(shares, reverse=True))}. Add documents"
        + (f", or set {advice} to 0 and prep.train_ratio so that the three make 1." if shares else " with questions.")
    )
