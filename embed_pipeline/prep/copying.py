"""Training questions that copy less: some of the words that a question shares with its passage are left out.

A question made of its passage's own sentence shares nearly all its words with it, so that matching words is all there
is to learn from it, and BM25 does that already. With some of them gone, the rest has to be told by meaning.
"""

from collections.abc import Collection
from random import Random

import polars as pl

from embed_pipeline.records import passage_text
from embed_pipeline.text.words import TermStatistics, words

_SHOWN = ("passage_id", "title", "text")
LEFT_AT_LEAST = 2
"""Content words; a question that would keep fewer keeps more of the shared ones."""


def copying_less(
    question: str, passages: Collection[str], share: float, statistics: TermStatistics, rng: Random
) -> str:
    """The question without ``share`` of the content words that stand in one of its passages, drawn at random.

    What stands between the words stays. Parts of a word are rounded up for some questions and down for others, so that
    of many questions with as many shared words the share is left out.

    Args:
        share: 0 to 1.
        statistics: of the passages; its function words are never left out.
    """
    own = {word.form for text in passages for word in words(text)}
    parts = words(question)
    content = [word for word in parts if word.form not in statistics.function_words]
    shared = [word for word in content if word.form in own]
    most = max(0, len(content) - LEFT_AT_LEAST)
    left_out = rng.sample(shared, min(most, int(share * len(shared) + rng.random())))
    text = question
    for word in sorted(left_out, key=lambda one: -one.start):
        text = text[: word.start] + text[word.end :]
    return " ".join(text.split())


def less_copied(
    qa_pairs: pl.DataFrame, passages: pl.DataFrame, chosen: Collection[str], share: float, seed: int = 0
) -> pl.DataFrame:
    """The table with the questions ``chosen`` (ids) copying less; see :func:`copying_less`. Deterministic."""
    texts = {name: passage_text(title, text) for name, title, text in passages.select(_SHOWN).iter_rows()}
    statistics = TermStatistics(texts.values())
    questions = [
        copying_less(question, [texts[name] for name in names], share, statistics, Random(f"{seed}/{question_id}"))  # noqa: S311 - reproducible, not secret
        if question_id in chosen
        else question
        for question_id, question, names in qa_pairs.select("question_id", "question", "passage_ids").iter_rows()
    ]
    return qa_pairs.with_columns(question=pl.Series(questions, dtype=pl.String))
