"""Test questions in other words than their passage's.

A question made of its passage's own words is answered by looking the words up: BM25 does so at an nDCG@10 of 0.98,
against 0.53 to 0.97 on what people ask. Here the rarest of the words that a question shares with its passage give way
to those words of near passages that mean most nearly the same, by the base model's vectors::

    question ─ words of its passage, rarest first ─ share of them ─┐
    passage ─ near passages ─ words that it does not have ─────────┴─ nearest word each ─ reworded question

How many give way is told by the corpus itself, without any judgement: see :func:`share_to_replace`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from embed_pipeline.encoders.spec import Encoder, Vectors
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.search import top_k
from embed_pipeline.text.words import TermStatistics, Word, join, words

NEAR_PASSAGES = 10
OWN_WORD_PASSAGES = 2
"""A word that no more passages use is one of a passage's own."""
LEAST, MOST = 0.45, 0.65
SLOPE = 0.5
"""``MOST + 0.05 - SLOPE · own words``: BM25's nDCG@10 then came within 0.1 of that on questions of people on the four
collections it was set on: manuals (0.12 own words), German, Chinese and Arabic articles (0.47, 0.43, 0.41). On a fifth,
medical abstracts (0.19), it came 0.29 too low: in a large corpus of one field a word is seldom a passage's own."""


@dataclass(frozen=True)
class _Plan:
    """A question, the places of the words it shares with its passage, rarest first, and what may stand there."""

    parts: list[Word]
    shared: list[int]
    others: list[str]


def reworded(test_set: RetrievalSet, questions: Collection[str], encoder: Encoder) -> RetrievalSet:
    """The set with ``questions`` in other words; the others, judgements and passages stay as they are.

    Deterministic. A question of whose passage no near passage has other words stays as it is, too.

    Args:
        questions: ids of those to reword.
        encoder: the base model.
    """
    chosen = [question for question in test_set.queries if question in questions]
    if not chosen:
        return test_set
    statistics = TermStatistics(test_set.passages.values())
    share = share_to_replace(test_set.passages.values(), statistics)
    plans = dict(zip(chosen, _plans(test_set, chosen, encoder, statistics), strict=True))
    vector_of = _word_vectors(plans.values(), encoder)
    texts = {question: _replaced(plan, share, vector_of) for question, plan in plans.items()}
    return replace(test_set, queries={**test_set.queries, **texts})


def share_to_replace(passages: Collection[str], statistics: TermStatistics) -> float:
    """Which share of the words that a question has from its passage give way, 0.45 to 0.65.

    People who ask name the thing. Where passages have many words of their own, as articles about different things
    have, a question of people holds one of them; where all speak of the same things, as manuals do, it cannot. So the
    share falls as a passage's own words (those of at most two passages) grow among its content words.
    """
    shares = []
    for text in passages:
        forms = {word.form for word in statistics.content_words(text)}
        if forms:
            shares.append(sum(statistics.frequency[form] <= OWN_WORD_PASSAGES for form in forms) / len(forms))
    own = float(np.mean(shares)) if shares else 0.0
    return min(MOST, max(LEAST, MOST + 0.05 - SLOPE * own))


def _plans(
    test_set: RetrievalSet, questions: Sequence[str], encoder: Encoder, statistics: TermStatistics
) -> Iterator[_Plan]:
    passage_ids, texts = list(test_set.passages), list(test_set.passages.values())
    place = {name: index for index, name in enumerate(passage_ids)}
    vectors = encoder.encode(texts, "passage")
    positives = [sorted(place[name] for name in test_set.qrels[question]) for question in questions]
    most = max(len(places) for places in positives)
    _, near = top_k(vectors[[places[0] for places in positives]], vectors, NEAR_PASSAGES + most)
    for question, places, found in zip(questions, positives, near.tolist(), strict=True):
        own = {word.form for index in places for word in words(texts[index])}
        others = [index for index in found if index not in places][:NEAR_PASSAGES]
        pool = {word.form for index in others for word in statistics.content_words(texts[index]) if not word.is_number}
        parts = words(test_set.queries[question])
        shared = [
            index for index, word in enumerate(parts) if word.form in own and word.form not in statistics.function_words
        ]
        rarest_first = sorted(shared, key=lambda index: (-statistics.idf(parts[index].form), index))
        yield _Plan(parts, rarest_first, sorted(pool - own))


def _word_vectors(plans: Collection[_Plan], encoder: Encoder) -> Mapping[str, Vectors]:
    needed = {form for plan in plans for form in plan.others}
    needed |= {plan.parts[index].form for plan in plans for index in plan.shared}
    ordered = sorted(needed)
    return dict(zip(ordered, encoder.encode(ordered, "query"), strict=True))


def _replaced(plan: _Plan, share: float, vector_of: Mapping[str, Vectors]) -> str:
    """The question with the nearest other word at each place that gives way, none of them twice."""
    parts, left = list(plan.parts), list(plan.others)
    for index in plan.shared[: round(share * len(plan.shared))]:
        if not left:
            break
        nearness = np.array([vector_of[form] for form in left]) @ vector_of[parts[index].form]
        parts[index] = parts[index]._replace(surface=left.pop(int(nearness.argmax())))
    return join(parts)
