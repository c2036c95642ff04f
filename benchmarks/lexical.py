"""What stems, compound splitting, k1, b and the weight of titles do to BM25 and to the hybrid.

    python benchmarks/lexical.py people NAME=HOME:GOLD ...
    python benchmarks/lexical.py tuned NAME=HOME:GOLD ...
    python benchmarks/lexical.py validation NAME=HOME:GOLD ...

``people``: nDCG@10 of BM25, and of BM25 fused half and half with the base model, on people's questions.
``tuned``: the same with the model of the home's checkpoint, for a few of the ways.
``validation``: the same on generated validation questions, as they were written and reworded
(embed_pipeline/prep/rewording.py): would they choose what people's questions choose? A home needs its splits:
`embed-pipeline run --to splits`. Vectors are kept in the folder of --vectors, by collection.

A star marks a difference from the first row with p below 0.05 (paired, by clusters of questions, of each collection
alone).
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from generated_test import base_model
from parts import Collection
from Stemmer import Stemmer

from embed_pipeline.encoders.cached_encoder import CachedEncoder
from embed_pipeline.encoders.spec import Encoder, EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.compare import DECIDING_METRIC, compare
from embed_pipeline.evaluation.lexical import answered_by_words
from embed_pipeline.evaluation.metrics import QueryScores, score_run
from embed_pipeline.evaluation.retrieve import bm25_run, dense_run
from embed_pipeline.prep.rewording import reworded
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.bm25 import Analysis, Bm25Index, words_of
from embed_pipeline.retrieval.fusion import convex
from embed_pipeline.retrieval.stems import ALGORITHMS, WithStems, stemmed_languages
from embed_pipeline.settings import EvalSettings

DEPTH = 100
SYSTEMS = ("BM25", "BM25 and the model")
Analyser = Callable[[Sequence[str]], Analysis]
"""Texts of a corpus -> how its words are told."""
LINKS = ("", "s", "es", "n", "en", "er", "e")
"""What stands between the parts of a German compound."""
SHORTEST_PART = 4
SPLITS = ("de",)


def with_stems(texts: Sequence[str]) -> Analysis:
    return WithStems(stemmed_languages(texts))


def only_stems(texts: Sequence[str]) -> Analysis:
    stemmers = [Stemmer(ALGORITHMS[code]) for code in stemmed_languages(texts)[:1]]
    return lambda text: stemmers[0].stemWords(words_of(text)) if stemmers else words_of(text)


def words_and_stems(texts: Sequence[str]) -> Analysis:
    """Two fields of equal weight: a word that is its own stem counts twice."""
    stems = only_stems(texts)
    return lambda text: [*words_of(text), *(f"{stem}*" for stem in stems(text))]


def with_parts(texts: Sequence[str]) -> Analysis:
    """Stems, and the two parts of a compound beside it, where both are words of the corpus.

    Of several ways to split, that with the highest geometric mean of the passages that hold the parts, if it is
    higher than that of the whole word. Source: Koehn and Knight 2003, "Empirical Methods for Compound Splitting".
    """
    if not set(SPLITS) & set(stemmed_languages(texts)):
        return with_stems(texts)
    known = Counter(word for text in texts for word in set(words_of(text)))
    stems, found = with_stems(texts), dict[str, str]()

    def parts(word: str) -> str:
        if word not in found:
            ways = [(known[word] ** 2, ""), *_ways(word, known)]
            found[word] = max(ways)[1]
        return found[word]

    return lambda text: [*stems(text), *stems(" ".join(parts(word) for word in words_of(text)))]


def _ways(word: str, known: Counter[str]) -> Iterator[tuple[int, str]]:
    for place in range(SHORTEST_PART, len(word) - SHORTEST_PART + 1):
        second = word[place:]
        for link in LINKS if second in known else ():
            first = word[:place].removesuffix(link)
            if word[:place].endswith(link) and len(first) >= SHORTEST_PART and first in known:
                yield known[first] * known[second], f"{first} {second}"


@dataclass(frozen=True)
class Variant:
    """One way to compare words."""

    label: str
    analyser: Analyser
    k1: float
    b: float
    title_weight: int = 1

    def run(self, asked: RetrievalSet, analysis: Analysis) -> dict[str, dict[str, float]]:
        texts = list(asked.passages.values())
        titles = [asked.titles.get(passage, "") for passage in asked.passages]
        weighted = [text + f" {title}" * (self.title_weight - 1) for text, title in zip(texts, titles, strict=True)]
        return bm25_run(asked, DEPTH, index=Bm25Index(weighted, analysis, self.k1, self.b))


ANALYSERS: dict[str, Analyser] = {
    "words": lambda _: words_of,
    "stems": only_stems,
    "words, and stems as a second field": words_and_stems,
    "stems beside words": with_stems,
    "stems and parts of compounds beside words": with_parts,
}
SELDOM = (words_and_stems, with_parts)
SCALES = ((1.5, 0.75), (1.2, 0.75), (1.2, 0.4), (0.9, 0.4), (0.6, 0.5))
FEW = ((1.5, 0.75), (0.9, 0.4))
VARIANTS = [
    *(
        Variant(label, one, *scale)
        for label, one in ANALYSERS.items()
        for scale in SCALES
        if one not in SELDOM or scale in FEW
    ),
    *(Variant(f"stems beside words, titles {times} times", with_stems, 0.9, 0.4, times) for times in (2, 3)),
]
CHOSEN = [one for one in VARIANTS if (one.k1, one.b) in FEW and one.title_weight == 1 and one.analyser not in SELDOM]


def encoder_of(one: Collection, tuned: bool, vectors: Path | None) -> Encoder:
    spec = EncoderSpec.load(one.artifact("checkpoint").path) if tuned else base_model()
    folder = one.home / "cache" / "vectors" if vectors is None else vectors / one.name
    return CachedEncoder(spec, lambda: TorchEncoder.load(spec, "cpu"), folder)


def asked_by_people(one: Collection) -> RetrievalSet:
    people = one.people
    if any(people.titles.values()):
        return people
    titles = dict(one.artifact("passages").frame().select("passage_id", "title").iter_rows())
    return replace(people, titles=titles)


def table(sets: dict[str, tuple[RetrievalSet, Encoder]], variants: Sequence[Variant]) -> None:
    scores: dict[tuple[str, str, Variant], QueryScores] = {}
    for name, (asked, encoder) in sets.items():
        print(name, file=sys.stderr, flush=True)
        dense = dense_run(asked, encoder, DEPTH)
        texts = list(asked.passages.values())
        analyses = {one: cache(one(texts)) for one in dict.fromkeys(variant.analyser for variant in variants)}
        for variant in variants:
            sparse = variant.run(asked, analyses[variant.analyser])
            for system, run in zip(SYSTEMS, (sparse, convex(sparse, dense, DEPTH)), strict=True):
                scores[system, name, variant] = score_run(asked, run, (10,))
    for system in SYSTEMS:
        print(f"\n| {system} | k1, b | {' | '.join(sets)} | mean |")
        print(f"| --- | --- |{' ---: |' * (len(sets) + 1)}")
        for variant in variants:
            found = [(scores[system, name, variants[0]], scores[system, name, variant]) for name in sets]
            cells = [cell(*pair, asked) for pair, (asked, _) in zip(found, sets.values(), strict=True)]
            mean = np.mean([after.column(DECIDING_METRIC).mean() for _, after in found])
            print(f"| {variant.label} | {variant.k1:g}, {variant.b:g} | {' | '.join(cells)} | {mean:.4f} |", flush=True)


def cell(before: QueryScores, after: QueryScores, asked: RetrievalSet) -> str:
    settings = EvalSettings()
    found = compare(before, after, settings, asked.clusters)[DECIDING_METRIC]
    if before is after:
        return f"{found.tuned:.3f}"
    star = "*" if found.p < settings.alpha else ""
    return f"{found.tuned:.3f} ({found.delta:+.3f}{star})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["people", "tuned", "validation"])
    parser.add_argument("collections", nargs="+", metavar="NAME=HOME:GOLD", type=Collection.of)
    parser.add_argument("--vectors", type=Path, help="folder for vectors; not given: cache/vectors of each home")
    chosen = parser.parse_args()
    encoders = {one: encoder_of(one, chosen.what == "tuned", chosen.vectors) for one in chosen.collections}
    if chosen.what != "validation":
        variants = VARIANTS if chosen.what == "people" else CHOSEN
        table({one.name: (asked_by_people(one), encoder) for one, encoder in encoders.items()}, variants)
        return
    written = {one: one.written("validation") for one in encoders}
    print("As they were written:")
    table({one.name: (asked, encoders[one]) for one, asked in written.items()}, CHOSEN)
    print("\nReworded:")
    other = {
        one: reworded(asked, set(asked.queries), encoders[one], answered_by_words(asked.passages))
        for one, asked in written.items()
    }
    table({one.name: (asked, encoders[one]) for one, asked in other.items()}, CHOSEN)


if __name__ == "__main__":
    main()
