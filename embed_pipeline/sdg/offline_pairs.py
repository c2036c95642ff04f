"""Questions that need two passages: linked by rare terms that both use, preferably in different documents."""

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import permutations

from embed_pipeline.sdg.candidates import Candidate, Hop
from embed_pipeline.sdg.offline_recipes import View
from embed_pipeline.sdg.offline_text import Word, join, words

MAX_LINK_PASSAGES = 6
PARTNERS = 3
TERMS_OF_EACH = 2
SHARED_TERMS = 2


def linked_passages(views: Sequence[View], doc_of: Mapping[str, str]) -> dict[str, list[str]]:
    """For each passage its best partners: those sharing rare terms with it, other documents first.

    A term links passages when two to ``MAX_LINK_PASSAGES`` of them use it; a link weighs the summed idf of
    its terms.

    Returns:
        passage id -> up to ``PARTNERS`` passage ids, best first; passages without a partner are absent.
    """
    users: dict[str, list[str]] = defaultdict(list)
    for view in views:
        for form in sorted({word.form for word in view.statistics.content_words(view.text) if not word.is_number}):
            users[form].append(view.passage_id)
    weights: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for ids in users.values():
        if 2 <= len(ids) <= MAX_LINK_PASSAGES:
            for first, second in permutations(ids, 2):
                weights[first][second] += math.log(1 + len(views) / len(ids))
    return {
        first: sorted(found, key=lambda second: (doc_of[second] == doc_of[first], -found[second], second))[:PARTNERS]
        for first, found in weights.items()
    }


def two_passages(first: View, second: View, rng: random.Random) -> Candidate | None:
    """The terms two passages share, with the most telling other terms of each."""
    statistics = first.statistics
    theirs = {word.form for word in words(second.text)}
    content = statistics.rarest(first.text, len(first.text))
    shared = [word for word in content if word.form in theirs][:SHARED_TERMS]
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
    theirs = {word.form for word in words(other.text)}
    pool = [word for word in view.statistics.rarest(view.text, 16) if word.form not in theirs][:8]
    return rng.sample(pool, min(TERMS_OF_EACH, len(pool)))


def _evidence(view: View, shared: Sequence[Word]) -> str:
    forms = {word.form for word in shared}
    return next((unit for unit in view.units if forms & {word.form for word in words(unit)}), "")
