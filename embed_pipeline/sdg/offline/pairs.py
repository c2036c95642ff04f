"""Questions that need two passages: linked by rare terms that both use, preferably in different documents."""

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

from embed_pipeline.sdg.candidates import Candidate, Hop
from embed_pipeline.sdg.offline.recipes import View
from embed_pipeline.text.words import Word, join, words

MAX_LINK_PASSAGES = 6
MIN_SHARED_TERMS = 2
PARTNERS = 3
TERMS_OF_EACH = 2
SHARED_TERMS = 2


def linked_passages(views: Sequence[View], doc_of: Mapping[str, str]) -> dict[str, list[str]]:
    """For each passage its best partners: those sharing rare terms with it, the other document first.

    A term links passages when two to ``MAX_LINK_PASSAGES`` of them use it; a link needs two such terms and
    weighs their summed idf. A document is linked to one other at most: questions over two documents keep
    both in one split, and chains of them would tie the whole corpus together.

    Returns:
        passage id -> up to ``PARTNERS`` passage ids, best first; passages without a partner are absent.
    """
    weights = _weights(views)
    partner_of = _document_pairs(weights, doc_of)
    partners = {}
    for first, linked in weights.items():
        document = doc_of[first]
        allowed = sorted(
            (doc_of[second] == document, -weight, second)
            for second, weight in linked.items()
            if doc_of[second] in (document, partner_of.get(document))
        )
        if allowed:
            partners[first] = [second for _, _, second in allowed[:PARTNERS]]
    return partners


def _weights(views: Sequence[View]) -> dict[str, dict[str, float]]:
    users: dict[str, list[str]] = defaultdict(list)
    for view in views:
        for form in (word.form for word in view.rarest if not word.is_number):
            users[form].append(view.passage_id)
    shared: dict[tuple[str, str], list[float]] = defaultdict(list)
    for ids in users.values():
        if 2 <= len(ids) <= MAX_LINK_PASSAGES:
            weight = math.log(1 + len(views) / len(ids))
            for pair in combinations(ids, 2):
                shared[pair].append(weight)
    weights: dict[str, dict[str, float]] = defaultdict(dict)
    for (first, second), terms in shared.items():
        if len(terms) >= MIN_SHARED_TERMS:
            weights[first][second] = weights[second][first] = sum(terms)
    return weights


def _document_pairs(weights: Mapping[str, Mapping[str, float]], doc_of: Mapping[str, str]) -> dict[str, str]:
    """Each document with one other, the strongest single links first."""
    links = sorted(
        (-weight, first, second)
        for first, linked in weights.items()
        for second, weight in linked.items()
        if doc_of[first] < doc_of[second]
    )
    partner_of: dict[str, str] = {}
    for _, first, second in links:
        one, other = doc_of[first], doc_of[second]
        if one not in partner_of and other not in partner_of:
            partner_of.update({one: other, other: one})
    return partner_of


def two_passages(first: View, second: View, rng: random.Random) -> Candidate | None:
    """The terms two passages share, with the most telling other terms of each."""
    shared = [word for word in first.rarest if word.form in second.forms][:SHARED_TERMS]
    own = [_telling(view, other, rng) for view, other in ((first, second), (second, first))]
    if not shared or not all(own):
        return None
    text = join([*own[0], *shared, *own[1]])
    hops = tuple(
        Hop(view.passage_id, _evidence(view, shared), join(terms))
        for view, terms in zip((first, second), own, strict=True)
    )
    return Candidate(
        question=text,
        answer=" ".join(hop.evidence for hop in hops).strip(),
        query_type="multi_hop",
        reasoning_type="relational",
        complexity=3,
        hops=hops,
        mask_evidence=False,
        generator="offline/two_passages",
    )


def _telling(view: View, other: View, rng: random.Random) -> list[Word]:
    pool = [word for word in view.rarest if word.form not in other.forms][:8]
    return rng.sample(pool, min(TERMS_OF_EACH, len(pool)))


def _evidence(view: View, shared: Sequence[Word]) -> str:
    forms = {word.form for word in shared}
    return next((unit for unit in view.units if forms & {word.form for word in words(unit)}), "")
