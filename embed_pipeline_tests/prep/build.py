"""Small tables and an encoder whose vectors can be checked by hand."""

import hashlib
import re
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.tables import Passages, QaPairs, validate


class WordEncoder:
    """Bag of hashed words, normalised: equal words give cosine 1, no common word about 0."""

    def __init__(self, size: int = 256) -> None:
        self.spec = EncoderSpec(
            model="words", content_sha256="0", max_query_length=64, max_passage_length=64, dimensions=(size,)
        )

    def encode(self, texts: Sequence[str], role: str) -> np.ndarray:
        vectors = np.zeros((len(texts), self.spec.dimensions[0]), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row, _place(word, vectors.shape[1])] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def _place(word: str, size: int) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big") % size


def passages_of(
    texts: Mapping[str, Sequence[str]], groups: Mapping[str, str] | None = None, title: str = ""
) -> pl.DataFrame:
    """``{document: [passage, ...]}`` as the table Passages; ids are ``<document>#<position>``."""
    rows = []
    for doc, parts in texts.items():
        for position, text in enumerate(parts):
            name = f"{doc}#{position}"
            rows.append(
                {
                    "passage_id": name,
                    "doc_id": doc,
                    "position": position,
                    "start": 0,
                    "end": len(text),
                    "title": title,
                    "text": text,
                    "token_count": len(text.split()),
                    "group_id": (groups or {}).get(name, name),
                    "language": "en",
                }
            )
    return validate(Passages, pl.DataFrame(rows))


def pairs_of(
    questions: Mapping[str, tuple[str, Sequence[str]]],
    masked: Mapping[str, str] | None = None,
    negatives: Mapping[str, Sequence[str]] | None = None,
) -> pl.DataFrame:
    """``{question id: (text, positives)}`` as the table QaPairs.

    ``masked`` maps ids to the evidence to cut, ``negatives`` to given negatives.
    """
    rows = []
    for name, (text, positives) in questions.items():
        evidence = (masked or {}).get(name, "")
        rows.append(
            {
                "question_id": name,
                "question": text,
                "answer": "a",
                "query_type": "inverse_cloze" if evidence else "contextual",
                "reasoning_type": "factual",
                "complexity": 2,
                "hop_count": len(positives),
                "hops": [
                    {"hop_number": place + 1, "passage_id": positive, "evidence": evidence, "summary": ""}
                    for place, positive in enumerate(positives)
                ],
                "passage_ids": list(positives),
                "doc_ids": sorted({positive.rpartition("#")[0] for positive in positives}),
                "negative_ids": list((negatives or {}).get(name, ())),
                "mask_evidence": bool(evidence),
                "generator": "imported",
                "relevance": None,
                "accuracy": None,
                "context_support": None,
                "clarity": None,
                "score": None,
                "judgement": None,
                "closed_book": None,
            }
        )
    return validate(QaPairs, pl.DataFrame(rows, schema_overrides={"score": pl.Float64}))


def corpus(
    documents: int, passages: int = 3, questions: int = 2, footer: str | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Documents that share nothing, each with its own questions."""
    texts = {f"doc{d:03d}": [f"alpha{d} beta{d}p{p} gamma{d}x{p}" for p in range(passages)] for d in range(documents)}
    for parts in texts.values():
        parts += [footer] if footer else []
    asked = {
        f"q{d:03d}_{q}": (f"where is delta{d}n{q} of epsilon{d}m{q} zeta{d}k{q}", [f"doc{d:03d}#{q % passages}"])
        for d in range(documents)
        for q in range(questions)
    }
    return pairs_of(asked), passages_of(texts)


def grouped(passages: pl.DataFrame, groups: Mapping[str, str]) -> pl.DataFrame:
    """The columns of the table Documents that tell near-duplicates; others are groups of their own."""
    names = passages["doc_id"].unique().sort()
    return pl.DataFrame({"doc_id": names, "group_id": [groups.get(name, name) for name in names]})
