"""Training questions that name their document, as people's do: "Corio hosting licence: may it be passed on?".

A passage is one of many of its document, and seldom says whose it is. People who search a folder of documents say so,
because they know what they look for; a question made of the passage's own words never does.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from random import Random

import polars as pl

from embed_pipeline.text.words import Word, join, words

NAMES = 8
"""Of a document's most telling words, those drawn from."""
SHORTEST_NAME = 3


def document_names(passages: pl.DataFrame) -> dict[str, list[Word]]:
    """Per document its most telling words, best first: often in it, and in few others (tf-idf over documents)."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    shown: dict[str, Word] = {}
    for document, title, text in passages.select("doc_id", "title", "text").iter_rows():
        for word in words(f"{title} {text}"):
            if not word.is_number and len(word.form) >= SHORTEST_NAME:
                counted[document][word.form] += 1
                shown.setdefault(word.form, word)
    documents = Counter(form for forms in counted.values() for form in forms)

    def weight(document: str, form: str) -> float:
        return math.log(counted[document][form]) * math.log(len(counted) / documents[form])

    return {
        document: [shown[form] for form in sorted(forms, key=lambda one: (-weight(document, one), one))[:NAMES]]
        for document, forms in counted.items()
    }


def naming(question: str, names: list[Word], rng: Random) -> str:
    """The question behind one or two names of its document that it does not have."""
    own = {word.form for word in words(question)}
    left = [word for word in names if word.form not in own]
    chosen = sorted(rng.sample(range(len(left)), min(len(left), rng.choice((1, 2)))))
    return f"{' '.join(join([left[place]]) for place in chosen)} {question}".strip()


def named(
    qa_pairs: pl.DataFrame, passages: pl.DataFrame, chosen: Collection[str], share: float, seed: int = 0
) -> pl.DataFrame:
    """The table with ``share`` of the questions ``chosen`` (ids) naming their document. Deterministic."""
    names: Mapping[str, list[Word]] = document_names(passages)
    questions = []
    for question_id, question, documents in qa_pairs.select("question_id", "question", "doc_ids").iter_rows():
        rng = Random(f"{seed}/names/{question_id}")  # noqa: S311 - reproducible, not secret
        asked = question_id in chosen and len(set(documents)) == 1 and rng.random() < share
        questions.append(naming(question, names[documents[0]], rng) if asked else question)
    return qa_pairs.with_columns(question=pl.Series(questions, dtype=pl.String))
