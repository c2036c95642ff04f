"""Train, validation and test, so that nothing a test question asks about is seen in training.

Documents that say the same (near-duplicates), share text (near-duplicate passages), evidence (one question,
several documents) or questions (near-identical ones) form a component; a component lies in one split. Which one
is decided by a hash of seed and component, so that a growing corpus keeps its documents where they are.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from embed_pipeline.encoder import Encoder, Vectors
from embed_pipeline.errors import InputError
from embed_pipeline.prep.text import SIMILAR_QUESTION, boilerplate_limit, normalise
from embed_pipeline.search import top_k
from embed_pipeline.settings import PrepSettings
from embed_pipeline.tables import Splits, validate

MIN_TRAIN_COMPONENTS = 2  # hard negatives come from other components, so one alone cannot be trained on
Edge = tuple[str, str]


@dataclass(frozen=True)
class _Component:
    """Documents that stay together: lowest document id, questions, place in [0, 1)."""

    name: str
    questions: int
    place: float


def split_items(
    qa_pairs: pl.DataFrame,
    passages: pl.DataFrame,
    encoder: Encoder,
    settings: PrepSettings,
    documents: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Assign every document and every question to a split.

    Args:
        qa_pairs: rows of :class:`embed_pipeline.tables.QaPairs`.
        passages: rows of :class:`embed_pipeline.tables.Passages`.
        encoder: its query vectors tell near-identical questions (cosine above 0.95).
        settings: ratios of questions, and the seed.
        documents: rows of :class:`embed_pipeline.tables.Documents`, whose near-duplicate groups stay together;
            without them only the passages tell which documents say the same.

    Returns:
        A table :class:`embed_pipeline.tables.Splits`, sorted by type and id.

    Raises:
        InputError: a question names an unknown passage or document, or there are fewer independent groups of
            documents than the splits need (two for training, one for each other split).
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
    components = _describe(component_of, question_component, settings.seed)
    split_of = _assign(components, settings, len(names))
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
    for passage, doc, group, text in passages.select("passage_id", "doc_id", "group_id", "text").iter_rows():
        for key in (f"group {group}", f"text {normalise(text)}"):
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
        edges.append((documents_of[first.setdefault(normalise(text), name)][0], documents_of[name][0]))
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
    """Document -> lowest document id of its connected component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place = {doc: index for index, doc in enumerate(documents)}
    ends = np.array([(place[a], place[b]) for a, b in edges], np.int64).reshape(-1, 2)
    size = len(documents)
    graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    lowest: dict[int, str] = {}
    return {doc: lowest.setdefault(int(label), doc) for doc, label in zip(documents, labels, strict=True)}


def _describe(component_of: Mapping[str, str], question_component: Mapping[str, str], seed: int) -> list[_Component]:
    counts = dict.fromkeys(component_of.values(), 0)
    for name in question_component.values():
        counts[name] += 1
    found = []
    for name, questions in counts.items():
        digest = hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogatepass")).digest()
        found.append(_Component(name, questions, int.from_bytes(digest[:8], "big") / 2**64))
    return sorted(found, key=lambda component: (component.place, component.name))


def _assign(components: Sequence[_Component], settings: PrepSettings, documents: int) -> dict[str, str]:
    """Component -> split; components nobody asks about go to training."""
    asked = [component for component in components if component.questions]
    ratios = {"test": settings.test_ratio, "validation": settings.validation_ratio}
    shares = {name: ratio for name, ratio in ratios.items() if ratio > 0}
    _require(len(asked), documents, shares)
    total = sum(component.questions for component in asked)
    targets = {name: ratio * total for name, ratio in shares.items()}
    members: dict[str, list[_Component]] = {"train": [], **{name: [] for name in shares}}
    for component in asked:
        members[_bucket(component, shares, targets)].append(component)
    _repair(members, targets)
    split_of = dict.fromkeys((component.name for component in components), "train")
    split_of.update({component.name: split for split, group in members.items() for component in group})
    return split_of


def _require(groups: int, documents: int, shares: Mapping[str, float]) -> None:
    needed = MIN_TRAIN_COMPONENTS + len(shares) if shares else 1
    if groups >= needed:
        return
    advice = " and ".join(f"prep.{name}_ratio" for name in sorted(shares, reverse=True))
    raise InputError(
        f"The questions refer to {groups} independent group(s) of documents (the corpus has {documents} document(s); "
        f"those that share text, evidence or questions are one group), but the splits need {needed}: two to train on"
        f"{''.join(f', one for {name}' for name in sorted(shares, reverse=True))}. Add documents"
        + (f", or set {advice} to 0 and prep.train_ratio so that the three make 1." if shares else " with questions.")
    )


def _bucket(component: _Component, shares: Mapping[str, float], targets: Mapping[str, float]) -> str:
    """The split whose stretch of [0, 1) the hash falls into; groups far too large for it go to training."""
    edge = 0.0
    for name, share in shares.items():
        edge += share
        if component.place < edge:
            return name if component.questions <= 2 * targets[name] else "train"
    return "train"


def _repair(members: dict[str, list[_Component]], targets: Mapping[str, float]) -> None:
    """Small corpora: no split may be empty, and none may hold less than half its questions if that can be helped."""
    least = {"train": MIN_TRAIN_COMPONENTS, **dict.fromkeys(targets, 1)} if targets else {"train": 1}
    for split in members:
        while len(members[split]) < least[split]:
            donor = max(members, key=lambda name: (len(members[name]) - least[name], name == "train"))
            pick = max if split == "train" else min
            moved = pick(members[donor], key=lambda component: (component.questions, component.place))
            members[donor].remove(moved)
            members[split].append(moved)
    for split, target in targets.items():
        have = sum(component.questions for component in members[split])
        for component in list(members["train"]):
            room = len(members["train"]) > MIN_TRAIN_COMPONENTS and have < target / 2
            if room and have + component.questions <= 1.5 * target:
                members["train"].remove(component)
                members[split].append(component)
                have += component.questions
