"""Test questions reworded: in other words than their passage's.

A question made of its passage's own words is answered by looking the words up: BM25 does so at an nDCG@10 of 0.98,
against 0.53 to 0.97 on what people ask. Here the rarest of the words that a question shares with its passage give way
to those words of near passages that mean most nearly the same, by the base model's vectors::

    question ─ words of its passage, rarest first ─ share of them ─┐
    passage ─ near passages ─ words that it does not have ─────────┴─ nearest word each ─ reworded question

How many give way is calibrated for each corpus: as many as it takes until BM25 answers the questions about as well as
it answers those of people, which the corpus itself tells, without any judgement: see :func:`people_answered`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from embed_pipeline.encoders.spec import Encoder, Vectors
from embed_pipeline.files import sha256_text
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.search import top_k
from embed_pipeline.text.words import TermStatistics, Word, words

NEAR_PASSAGES = 10
MOST_REPLACED = 0.9
HALVINGS = 6
CALIBRATED_ON = 300
"""Questions, at most."""
ALIKE, HARD = 0.42, 0.3
DIFFERENT, EASY = 0.6, 0.93
"""BM25's nDCG@10 on people's questions, of corpora whose near passages are as alike as that; between them a line."""

Measure = Callable[[RetrievalSet], float]
"""How well words alone answer a set's questions: BM25's mean nDCG@10."""


@dataclass(frozen=True)
class _Plan:
    """How one question may be reworded.

    Attributes:
        text: the question.
        parts: its words.
        shared: places of the words it shares with its passage, rarest first.
        others: what may stand there.
        apart: share of the content words of its passage that none of the near passages has.
        lot: in [0, 1), by the question's id.
    """

    text: str
    parts: list[Word]
    shared: list[int]
    others: list[str]
    apart: float
    lot: float


def reworded(test_set: RetrievalSet, questions: Collection[str], encoder: Encoder, measure: Measure) -> RetrievalSet:
    """The set with ``questions`` reworded; the others, judgements and passages stay as they are.

    Deterministic. A question of whose passage no near passage has other words stays as it is, too.

    Args:
        questions: ids of those to reword.
        encoder: the base model.
        measure: of sets with these passages.
    """
    chosen = [question for question in test_set.queries if question in questions]
    if not chosen:
        return test_set
    statistics = TermStatistics(test_set.passages.values())
    plans = dict(zip(chosen, _plans(test_set, chosen, encoder, statistics), strict=True))
    vector_of = _word_vectors(plans.values(), encoder)

    def asked(names: Sequence[str], share: float) -> dict[str, str]:
        return {name: _replaced(plans[name], share, vector_of) for name in names}

    some = sorted(chosen, key=lambda name: (_lot(name), name))[:CALIBRATED_ON]
    judgements = {name: test_set.qrels[name] for name in some}
    wanted = people_answered(float(np.mean([plan.apart for plan in plans.values()])))
    share = share_to_replace(
        lambda tried: measure(replace(test_set, queries=asked(some, tried), qrels=judgements)), wanted
    )
    return replace(test_set, queries={**test_set.queries, **asked(chosen, share)})


def people_answered(apart: float) -> float:
    """BM25's nDCG@10 that questions of people would have.

    People who ask name the thing. Where near passages speak of other things, as articles do, the word for it stands
    in one passage alone, and BM25 finds it; where they speak of the same, as clauses of contracts do, it does not. Read
    off eight collections with questions of people (docs/verdict.md).

    Args:
        apart: share of the content words of a passage that none of its ten nearest passages has, mean.
    """
    return float(np.interp(apart, (ALIKE, DIFFERENT), (HARD, EASY)))


def share_to_replace(answered: Callable[[float], float], wanted: float) -> float:
    """The share of the shared words that have to give way, 0 to 0.9, found by halving.

    Args:
        answered: share -> BM25's nDCG@10 then; falls as the share grows.
        wanted: what it should be.
    """
    low, high = 0.0, MOST_REPLACED
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if answered(middle) > wanted else (low, middle)
    return (low + high) / 2


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
        near_words = [word for index in others for word in statistics.content_words(texts[index])]
        pool = {word.form for word in near_words if not word.is_number}
        parts = words(test_set.queries[question])
        shared = [
            index for index, word in enumerate(parts) if word.form in own and word.form not in statistics.function_words
        ]
        rarest_first = sorted(shared, key=lambda index: (-statistics.idf(parts[index].form), index))
        content = {word.form for index in places for word in statistics.content_words(texts[index])}
        apart = len(content - {word.form for word in near_words}) / max(1, len(content))
        yield _Plan(test_set.queries[question], parts, rarest_first, sorted(pool - own), apart, _lot(question))


def _lot(name: str) -> float:
    """In [0, 1), the same in every process."""
    return int(sha256_text(f"lot {name}")[:13], 16) / 16**13


def _word_vectors(plans: Collection[_Plan], encoder: Encoder) -> Mapping[str, Vectors]:
    needed = {form for plan in plans for form in plan.others}
    needed |= {plan.parts[index].form for plan in plans for index in plan.shared}
    ordered = sorted(needed)
    return dict(zip(ordered, encoder.encode(ordered, "query"), strict=True))


def _replaced(plan: _Plan, share: float, vector_of: Mapping[str, Vectors]) -> str:
    """The question with the nearest other word at each place that gives way, none of them twice.

    What stands between the words stays. Parts of a word are rounded up for some questions and down for others, by their
    hashes, so that of many questions with as many shared words the share gives way.
    """
    left, new = list(plan.others), {}
    for index in plan.shared[: int(share * len(plan.shared) + plan.lot)]:
        if not left:
            break
        nearness = np.array([vector_of[form] for form in left]) @ vector_of[plan.parts[index].form]
        new[index] = left.pop(int(nearness.argmax()))
    text = plan.text
    for index in sorted(new, reverse=True):
        start, end = plan.parts[index].start, plan.parts[index].end
        text = text[:start] + new[index] + text[end:]
    return text
