"""Looking at mined negatives without trusting how they were mined."""

import math
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import polars as pl

from embed_pipeline.settings import PrepSettings

LONG = 40
"""Letters and digits (NFKC) of an evidence that is looked for."""
SLACK = 1e-5
"""Rounding allowed between a stored score and the stored threshold."""


def check_negatives(
    mined: pl.DataFrame,
    qa_pairs: pl.DataFrame,
    passages: pl.DataFrame,
    splits: pl.DataFrame,
    rejected: pl.DataFrame | None = None,
    settings: PrepSettings | None = None,
) -> list[str]:
    """Broken invariants of mined negatives, one sentence each; empty when all hold.

    Checked: lists of equal length, finite scores, no positive and no near-duplicate of one, no question outside
    training, nothing that the audit says was rejected, not more than asked; for mined ones also no passage of a
    held-out document, none that holds the question's evidence word for word, no score above the threshold (slack
    1e-5), best first, the margins of the settings, and no passage of the question's own documents where they are
    excluded.

    Args:
        rejected: the audit, :class:`embed_pipeline.tables.RejectedNegatives`.
        settings: what was asked for.
    """
    lists = [mined["positive_ids"], mined["negative_ids"], qa_pairs["passage_ids"]]
    if rejected is not None:
        lists.append(rejected.filter(reason="relabelled")["passage_id"].implode())
    named = passages.filter(pl.col("passage_id").is_in(pl.concat([names.explode() for names in lists]).implode()))
    known = _Known(qa_pairs, named, splits, rejected, settings)
    broken = []
    for row in mined.iter_rows(named=True):
        broken += [f"{row['question_id']}: {line}" for line in known.faults(row)]
    return broken


class _Known:
    """What the tables say about questions, and the passages that they name."""

    def __init__(
        self,
        qa_pairs: pl.DataFrame,
        passages: pl.DataFrame,
        splits: pl.DataFrame,
        rejected: pl.DataFrame | None,
        settings: PrepSettings | None,
    ) -> None:
        self.settings = settings
        self.doc_of = dict(passages.select("passage_id", "doc_id").iter_rows())
        self.group_of = dict(passages.select("passage_id", "group_id").iter_rows())
        self.text_of = dict(passages.select("passage_id", "text").iter_rows())
        self.hops_of = dict(qa_pairs.select("question_id", "hops").iter_rows())
        self.positives_of = dict(qa_pairs.select("question_id", "passage_ids").iter_rows())
        self.docs_of = dict(qa_pairs.select("question_id", "doc_ids").iter_rows())
        training = splits.filter(pl.col("split") == "train")
        self.items = set(training.select("item_type", "item_id").iter_rows())
        self.rejected = set() if rejected is None else set(rejected.select("question_id", "passage_id").iter_rows())
        self.relabelled: dict[str, set[str]] = defaultdict(set)
        if rejected is not None:
            for name, passage in rejected.filter(reason="relabelled").select("question_id", "passage_id").iter_rows():
                self.relabelled[name].add(passage)

    def faults(self, row: Mapping[str, Any]) -> list[str]:
        """Of one question's negatives."""
        found = []
        name, negatives, scores = row["question_id"], row["negative_ids"], row["negative_scores"]
        if ("question", name) not in self.items:
            found.append("is not a training question.")
        if len(negatives) != len(scores) or len(row["positive_ids"]) != len(row["positive_scores"]):
            found.append("ids and scores differ in number.")
        if not all(math.isfinite(score) for score in (*scores, *row["positive_scores"], row["threshold"] or 0.0)):
            found.append("a score is not finite.")
        if len(set(negatives)) != len(negatives):
            found.append("a negative is listed twice.")
        if len(negatives) > row["asked"]:
            found.append(f"{len(negatives)} negatives, though {row['asked']} were asked for.")
        found += self._relabelled(name)
        positives = {*row["positive_ids"], *self.positives_of.get(name, []), *self.relabelled[name]}
        groups = {self.group_of.get(positive) for positive in positives}
        for negative in negatives:
            found += self._about(name, negative, positives, groups)
        return found + (self._mined(row) if row["source"] == "mined" else [])

    def _relabelled(self, name: str) -> list[str]:
        """Of the passages that became positives of a question: asked for, and of training documents."""
        found = []
        for passage in sorted(self.relabelled[name]):
            doc = self.doc_of.get(passage)
            if self.settings is not None and not self.settings.relabel:
                found.append(f"{passage} became a positive, though prep.relabel is false.")
            if doc is not None and ("document", doc) not in self.items:
                found.append(f"positive {passage} comes from the held-out document {doc}.")
        return found

    def _about(self, name: str, negative: str, positives: set[str], groups: set[str | None]) -> list[str]:
        if negative in positives:
            return [f"negative {negative} is a positive."]
        if negative not in self.doc_of:
            return [f"negative {negative} is not in the corpus."]
        if self.group_of[negative] in groups:
            return [f"negative {negative} is a near-duplicate of a positive."]
        if (name, negative) in self.rejected:
            return [f"negative {negative} was rejected, says the audit."]
        return []

    def _mined(self, row: Mapping[str, Any]) -> list[str]:
        found = []
        scores, limit = row["negative_scores"], row["threshold"]
        dense = self.settings is None or self.settings.mining_candidates == "dense"
        if dense and any(later > earlier + SLACK for earlier, later in pairwise(scores)):
            found.append("negatives are not best first.")
        expected = self._expected(row)
        if expected is not None and (limit is None or abs(limit - expected) > SLACK):
            found.append(f"the threshold is {limit}, but the settings ask for {expected}.")
        hops = self.hops_of.get(row["question_id"], [])
        quotes = [_spaced(hop["evidence"]) for hop in hops if _letters(hop["evidence"]) >= LONG]
        own = set(self.docs_of.get(row["question_id"], []))
        apart = self.settings is None or self.settings.exclude_same_document
        for negative, score in zip(row["negative_ids"], scores, strict=False):
            doc = self.doc_of.get(negative)
            if doc is not None and ("document", doc) not in self.items:
                found.append(f"negative {negative} comes from the held-out document {doc}.")
            text = _spaced(self.text_of.get(negative, ""))
            if any(quote in text for quote in quotes):
                found.append(f"negative {negative} holds the evidence of the question.")
            if apart and doc in own:
                found.append(f"negative {negative} comes from the question's own document {doc}.")
            if limit is not None and score > limit + SLACK:
                found.append(f"negative {negative} scores {score}, above the threshold {limit}.")
        return found

    def _expected(self, row: Mapping[str, Any]) -> float | None:
        """The threshold that the margins of the settings give for the stored positives."""
        if self.settings is None or not row["positive_scores"]:
            return None
        lowest = min(row["positive_scores"])
        relative, absolute = self.settings.hard_negative_margin, self.settings.hard_negative_absolute_margin
        limits = [] if relative is None else [lowest - (1 - relative) * abs(lowest)]
        limits += [] if absolute is None else [lowest - absolute]
        return min(limits, default=None)


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _letters(text: str) -> int:
    return sum(map(str.isalnum, unicodedata.normalize("NFKC", text)))
