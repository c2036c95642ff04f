"""Whether a generated test may say ``ship``.

Training and generated test ask in the same way, so a model that learned this way of asking and nothing else passes the
test, and fails people. Some things that need no judgements tell such a model from one that became better:

=============  ===========================================================  ==================================
kept           share of the gain on the questions as they were written      training rewards copied words
               that is left when they are reworded
headings       change of nDCG@10 where headings ask for their passages      nothing like them was trained on
agreement      how many of the ten passages that the tuned model finds for  a new ranking of everything is no
               reworded questions, for headings, and for queries of a log,  better ranking
               the base model finds, too
drift          cosine of base and tuned vectors of general texts            they have nothing to do with training
=============  ===========================================================  ==================================

The bounds were set on tuned models and on models damaged on purpose, with people's questions beside
(benchmarks/generated_test.py, docs/verdict.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from embed_pipeline.encoders.spec import Encoder, Vectors
from embed_pipeline.evaluation.metrics import mean_ndcg
from embed_pipeline.evaluation.probes import Probes
from embed_pipeline.evaluation.retrieve import bm25_run, dense_run, encode_set
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import Run, Scores, ranked, rrf

DEPTH = 10
LEAST_REWORDED = 0.5
LEAST_KEPT = 2 / 3
MOST_HEADINGS_LOST = 0.1
"""Of the base model's nDCG@10."""
LEAST_AGREEMENT = 0.5
LEAST_COSINE = 0.9
ASKED = {"reworded": "reworded questions", "headings": "headings", "log": "queries of your log"}
"""What base and tuned have to agree on, in words."""


@dataclass(frozen=True)
class Trust:
    """Whether a generated test may say ``ship``.

    Attributes:
        earned: whether it may.
        reasons: what spoke against it, as sentences.
        evidence: the figures, as in ``show metrics --json``.
    """

    earned: bool
    reasons: tuple[str, ...] = ()
    evidence: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As in ``show metrics --json``."""
        return {"earned": self.earned, "reasons": list(self.reasons), "evidence": dict(self.evidence)}


def look(probes: Probes, base: Encoder, tuned: Encoder, general: RetrievalSet) -> dict[str, float]:
    """The figures that :func:`judge` decides by, and others beside them.

    Args:
        probes: with at least one question.
        general: texts that have nothing to do with the corpus.

    Returns:
        For each of ``written``, ``reworded`` and ``headings``: ``_base`` and ``_tuned`` nDCG@10; for each of
        ``reworded``, ``headings`` and ``log``: ``_agreement`` (with the base model), ``_agreement_bm25`` and
        ``_agreement_hybrid``; ``reworded_share`` of the questions; ``cosine`` of general texts. What cannot be told,
        for lack of headings or of a log, is not there.
    """
    asked = _together([probes.written, probes.reworded, probes.headings, probes.log])
    before, after = dense_run(asked, base, DEPTH), dense_run(asked, tuned, DEPTH)
    sparse = bm25_run(asked, DEPTH)
    others = {"": before, "_bm25": sparse, "_hybrid": rrf([before, sparse], DEPTH)}
    found: dict[str, float] = {}
    for one in (probes.written, probes.reworded, probes.headings):
        if one.queries:
            found[f"{one.name}_base"] = mean_ndcg(one, _of(one, before), DEPTH)
            found[f"{one.name}_tuned"] = mean_ndcg(one, _of(one, after), DEPTH)
    for one in (probes.reworded, probes.headings, probes.log):
        if one.queries:
            found |= {f"{one.name}_agreement{which}": _shared(one, run, after) for which, run in others.items()}
    written, reworded = probes.written.queries, probes.reworded.queries
    found["reworded_share"] = float(np.mean([written[name] != reworded[name] for name in written]))
    found["cosine"] = _cosine(encode_set(general, base).passages, encode_set(general, tuned).passages)
    return {name: round(value, 6) for name, value in found.items()}


def judge(evidence: Mapping[str, float]) -> Trust:
    """Refuse the generated test's ``ship`` for each figure beyond its bound, or no number.

    Args:
        evidence: as :func:`look` returns it.
    """
    written, reworded = _gains(evidence)
    reasons = []
    if not evidence["reworded_share"] >= LEAST_REWORDED:
        reasons.append(
            f"Only {evidence['reworded_share']:.0%} of the questions could be reworded, where {LEAST_REWORDED:.0%} are "
            "asked for, so nothing tells whether the words alone were learned."
        )
    if not (reworded > 0 and reworded >= LEAST_KEPT * written):
        kept = f", {reworded / written:.0%} of it" if written > 0 and reworded > 0 else ""
        reasons.append(
            f"Questions made of their passages' words gain {written:+.3f}. Reworded they gain {reworded:+.3f}{kept}, "
            f"where {LEAST_KEPT:.0%} is asked for: what was learned may be the words."
        )
    if "headings_base" in evidence:
        before, after = evidence["headings_base"], evidence["headings_tuned"]
        if not after >= (1 - MOST_HEADINGS_LOST) * before:
            reasons.append(
                f"Headings find their passages less well than before (nDCG@10 {before:.3f} to {after:.3f}), by more "
                f"than {MOST_HEADINGS_LOST:.0%}."
            )
    for kind, name in ASKED.items():
        agreement = evidence.get(f"{kind}_agreement")
        if agreement is not None and not agreement >= LEAST_AGREEMENT:
            reasons.append(
                f"For {name} the tuned model finds other passages than the base model: of ten {10 * agreement:.1f} are "
                f"the same, where {10 * LEAST_AGREEMENT:g} are asked for, and nobody judged them."
            )
    if not evidence["cosine"] >= LEAST_COSINE:
        reasons.append(
            f"Texts that have nothing to do with your documents moved far: cosine {evidence['cosine']:.3f} with what "
            f"they were, where {LEAST_COSINE:g} is asked for."
        )
    return Trust(not reasons, tuple(reasons), evidence)


def looked_at(evidence: Mapping[str, float]) -> str:
    """What was looked at, with its figures and bounds, in a sentence."""
    written, reworded = _gains(evidence)
    told = [f"gain reworded {reworded:+.3f} (as written {written:+.3f}; {LEAST_KEPT:.0%} of it needed)"]
    if evidence.get("headings_base"):
        change = evidence["headings_tuned"] / evidence["headings_base"] - 1
        told.append(f"headings {change:+.0%} (at worst -{MOST_HEADINGS_LOST:.0%})")
    shared = [
        f"{name} {evidence[f'{kind}_agreement']:.2f}" for kind, name in ASKED.items() if f"{kind}_agreement" in evidence
    ]
    told.append(f"passages in common with the base model: {', '.join(shared)} ({LEAST_AGREEMENT:g} needed)")
    told.append(f"cosine of general texts {evidence['cosine']:.3f} ({LEAST_COSINE:g} needed)")
    return f"Looked at besides the generated questions: {'; '.join(told)}."


def _cosine(before: Vectors, after: Vectors) -> float:
    """Mean cosine of two vectors of one text; NaN where the two models differ in dimensions."""
    if before.shape != after.shape:
        return float("nan")
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    return float((np.einsum("pd,pd->p", before, after) / lengths).mean())


def _gains(evidence: Mapping[str, float]) -> tuple[float, float]:
    """Of the questions as they were written, and reworded."""
    written, reworded = (evidence[f"{kind}_tuned"] - evidence[f"{kind}_base"] for kind in ("written", "reworded"))
    return written, reworded


def _together(sets: Sequence[RetrievalSet]) -> RetrievalSet:
    """One set of all their queries, so that the passages are encoded and indexed once."""
    queries = {_id(one, query): text for one in sets for query, text in one.queries.items()}
    return RetrievalSet("probes", sets[0].passages, queries, {})


def _of(one: RetrievalSet, run: Run) -> Run:
    return {query: run[_id(one, query)] for query in one.queries}


def _id(one: RetrievalSet, query: str) -> str:
    return f"{one.name} {query}"


def _shared(asked: RetrievalSet, one: Run, other: Run) -> float:
    """Share of the first ten of ``other`` that are among the first ten of ``one``, mean over the questions."""
    ids = [_id(asked, query) for query in asked.queries]
    return float(np.mean([_share(one[query], other[query]) for query in ids]))


def _share(one: Scores, other: Scores) -> float:
    left, right = (set(list(ranked(found))[:DEPTH]) for found in (one, other))
    return len(left & right) / max(1, len(right))
