"""What of a gold set the model was trained on: a verdict that rests on it should say so."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.prep.splits.leakage import NEAR_DUPLICATE, similar_texts
from embed_pipeline.prep.splits.repeats import Text, certain_duplicate, find_repeats, wording_of
from embed_pipeline.records import RetrievalSet, passage_text

SLICE = "in_training"
SHOWN_CHARS = 100


@dataclass(frozen=True)
class GoldOverlap:
    """What stands in the gold set and in the training data.

    Attributes:
        gold: the gold set.
        questions: gold question id -> the training question that asks the same.
        passages: relevant passages of the gold set that are, or repeat, the evidence of a training question.
        relevant: how many relevant passages the gold set has.
    """

    gold: RetrievalSet
    questions: Mapping[str, str]
    passages: frozenset[str]
    relevant: int

    def summary(self) -> dict[str, int]:
        """Plain numbers, under the name of the set."""
        name = self.gold.name
        return {
            f"{name}_questions_in_training": len(self.questions),
            f"{name}_passages_in_training": len(self.passages),
        }

    def lines(self) -> list[str]:
        """What the user should be told; nothing when there is nothing in common."""
        told, name = [], self.gold.name
        if self.questions:
            example = self.gold.queries[min(self.questions)][:SHOWN_CHARS]
            told.append(
                f"{name}: {len(self.questions)} of {len(self.gold.queries)} questions are training questions as well, "
                f"word for word or nearly (for example: {example}), so the verdict is too favourable; take them out "
                f"of eval.gold or of the training questions. The slice {SLICE}=no is about the others"
            )
        if self.passages:
            told.append(
                f"{name}: {len(self.passages)} of {self.relevant} relevant passages are evidence of training questions "
                "as well; so the verdict is about new questions, but not about new documents"
            )
        return told

    def sliced(self) -> RetrievalSet:
        """The gold set with a slice of the questions that were trained on, where there are any."""
        if not self.questions:
            return self.gold
        slices = {
            query: {**self.gold.query_slices.get(query, {}), SLICE: "yes" if query in self.questions else "no"}
            for query in self.gold.queries
        }
        return replace(self.gold, query_slices=slices)


def gold_overlap(
    gold: RetrievalSet,
    training_set: pl.DataFrame,
    passages: pl.DataFrame,
    encoder: Encoder,
    threshold: float = NEAR_DUPLICATE,
) -> GoldOverlap:
    """Look for gold questions and their relevant passages in the training data.

    Args:
        gold: the gold set, with its own passages or the pipeline's.
        training_set: rows of :class:`embed_pipeline.tables.TrainingSet`.
        passages: the pipeline's, rows of :class:`embed_pipeline.tables.Passages`.
        encoder: tells nearly identical questions, by a cosine above 0.951.
        threshold: corpus.near_duplicate_threshold; passages repeat one another as in the check of the splits.
    """
    trained = training_set["question"].unique().sort().to_list()
    positives = passages.filter(pl.col("passage_id").is_in(training_set["positive_id"].unique().implode()))
    evidence = [
        Text(name, passage_text(title, text), "evidence", asked=True)
        for name, title, text in positives.select("passage_id", "title", "text").iter_rows()
    ]
    relevant = sorted({name for judged in gold.qrels.values() for name in judged})
    asked = [Text(name, gold.passages[name], "gold", asked=True) for name in relevant]
    same = {wording_of(text.text) for text in evidence}
    repeated = {name for name, _ in find_repeats(asked, evidence, certain_duplicate(threshold))}
    repeated |= {text.name for text in asked if wording_of(text.text) in same}
    return GoldOverlap(gold, _repeated_questions(gold, trained, encoder), frozenset(repeated), len(relevant))


def _repeated_questions(gold: RetrievalSet, trained: list[str], encoder: Encoder) -> dict[str, str]:
    names = sorted(gold.queries)
    by_words = {wording_of(text): text for text in reversed(trained)}
    similar = similar_texts(trained, [gold.queries[name] for name in names], encoder)
    found = {names[asked]: trained[known] for known, asked in reversed(similar)}
    return found | {
        name: by_words[wording_of(gold.queries[name])] for name in names if wording_of(gold.queries[name]) in by_words
    }
