"""How many unlabelled positives does a miner take for negatives?

    python benchmarks/false_negatives.py DIR [DIR ...]

Each DIR is a BEIR folder whose queries name their answers (``metadata.answers``), as XQuAD's. For one question of
every passage, the passage is put into the corpus again, as part of other documents, in three ways that keep the
sentence with the answer word for word:

- light: one other sentence dropped;
- heavy: half of the other sentences dropped, two sentences of another document before and two after;
- moved: nothing but that sentence, two sentences of another document before and two after.

Nobody labels these copies, as happens with revised contracts and manuals; each one mined for its question is a false
negative. Evidence is known of questions that the pipeline wrote, and unknown of imported ones. Five negatives are
asked of every miner. Printed: of each kind the share that was mined, and the share of the questions that have at
least one among their negatives.
"""

import argparse
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from parts import BASE, passage_table, question_table, reference_negatives, split_table

from embed_pipeline.corpus.near_duplicates import group_near_duplicates
from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.formats.beir import read_retrieval_set
from embed_pipeline.prep.mining.negatives import mine_negatives
from embed_pipeline.settings import CorpusSettings, EncoderSettings, PrepSettings

KINDS = ("light", "heavy", "moved")
NEGATIVES = 5
SENTENCE = re.compile(r"(?<=[.!?。！？؟])\s*")
Mined = dict[str, list[str]]


@dataclass
class Planted:
    """A corpus with copies.

    Attributes:
        texts: passage id -> text. questions: id -> (text, ids of the labelled positives).
        copies: question id -> kind -> passage id. evidence: question id -> the sentence with the answer.
    """

    texts: dict[str, str]
    questions: dict[str, tuple[str, list[str]]]
    copies: dict[str, dict[str, str]]
    evidence: dict[str, str]


def plant(folder: Path) -> Planted:
    gold = read_retrieval_set(folder, "test", "gold")
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    answers = {row["_id"]: row["metadata"]["answers"][0] for row in map(json.loads, lines)}
    first: dict[str, str] = {}
    for query in sorted(gold.queries):
        first.setdefault(min(gold.qrels[query]), query)
    sentences = {name: [part for part in SENTENCE.split(text) if part] for name, text in gold.passages.items()}
    long_enough = [name for name in sorted(sentences) if len(sentences[name]) > 3]
    planted = Planted(dict(gold.passages), {}, {}, {})
    for passage, query in sorted(first.items()):
        luck = random.Random(query)
        own = sentences[passage]
        held = [place for place, part in enumerate(own) if answers[query] in part]
        strangers = [name for name in long_enough if document(name) != document(passage)]
        if not held or len(own) < 3:
            continue
        other = sentences[luck.choice(strangers)]
        rest = [place for place in range(len(own)) if place != held[0]]
        dropped = {"light": luck.sample(rest, 1), "heavy": luck.sample(rest, (len(rest) + 1) // 2), "moved": rest}
        planted.questions[query] = (gold.queries[query], sorted(gold.qrels[query]))
        planted.evidence[query] = own[held[0]]
        planted.copies[query] = {}
        for kind, gone in dropped.items():
            kept = [part for place, part in enumerate(own) if place not in gone]
            parts = kept if kind == "light" else [*other[:2], *kept, *other[2:4]]
            name = f"{kind} copy for {query}#0"
            planted.texts[name] = " ".join(parts)
            planted.copies[query][kind] = name
    return planted


def document(name: str) -> str:
    return name.partition("#")[0]


class Remembering:
    """An encoder that encodes every text once."""

    def __init__(self, encoder: TorchEncoder) -> None:
        self.spec, self._encoder = encoder.spec, encoder
        self._known: dict[tuple[str, str], np.ndarray] = {}

    def encode(self, texts: Sequence[str], role: str) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if (role, text) not in self._known]
        self._known |= {(role, text): row for text, row in zip(new, self._encoder.encode(new, role), strict=True)}
        return np.array([self._known[role, text] for text in texts])


class Miners:
    """Each the same questions, passages and embeddings."""

    def __init__(self, planted: Planted) -> None:
        self.planted = planted
        self.names = list(planted.texts)
        loaded = TorchEncoder.load(base_encoder_spec(BASE, EncoderSettings()))
        self.encoder, self.model = Remembering(loaded), loaded.model
        self.model.encode_query = lambda texts, **_: self.encoder.encode(texts, "query")
        self.model.encode_document = lambda texts, **_: self.encoder.encode(texts, "passage")
        self.passages = group_near_duplicates(passage_table(planted.texts), CorpusSettings().near_duplicate_threshold)
        self.vectors = self.encoder.encode(list(planted.texts.values()), "passage")
        self.queries = self.encoder.encode([text for text, _ in planted.questions.values()], "query")

    def ours(self, passages: pl.DataFrame | None = None, *, evidence: bool = False, **changes: object) -> Mined:
        chosen = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0, hard_negatives=NEGATIVES, **changes)
        questions = self.planted.questions
        found = passages if passages is not None else self.passages
        pairs = question_table(questions, self.planted.evidence if evidence else None)
        mined = mine_negatives(pairs, found, split_table(questions, found), self.encoder, chosen)
        return dict(mined.table.select("question_id", "negative_ids").iter_rows())

    def ours_without_groups(self) -> Mined:
        """What the margin does alone."""
        return self.ours(passage_table(self.planted.texts))

    def reference(self) -> Mined:
        place = {name: row for row, name in enumerate(self.names)}
        found: Mined = {}
        for vector, (query, (_, positives)) in zip(self.queries, self.planted.questions.items(), strict=True):
            rows = reference_negatives(self.vectors @ vector, [place[name] for name in positives], NEGATIVES)
            found[query] = [self.names[row] for row in rows]
        return found

    def theirs(self, **margin: float) -> Mined:
        """sentence-transformers' ``mine_hard_negatives``; its texts are mapped back to passages."""
        from datasets import Dataset
        from sentence_transformers.util import mine_hard_negatives

        texts, questions = self.planted.texts, self.planted.questions
        pairs = [(text, texts[name]) for text, positives in questions.values() for name in positives]
        triplets = mine_hard_negatives(
            Dataset.from_dict({"anchor": [one for one, _ in pairs], "positive": [other for _, other in pairs]}),
            self.model, corpus=list(texts.values()), num_negatives=NEGATIVES, verbose=False, **margin,
        )  # fmt: skip
        name_of = {text: name for name, text in texts.items()}
        query_of = {text: query for query, (text, _) in questions.items()}
        found: Mined = {query: [] for query in questions}
        for row in triplets:
            found[query_of[row["anchor"]]].append(name_of[row["negative"]])
        return found

    def all(self) -> Mapping[str, Callable[[], Mined]]:
        return {
            "ours, evidence known": lambda: self.ours(evidence=True),
            "ours, evidence unknown": self.ours,
            "the same without near-duplicate groups": self.ours_without_groups,
            "the same without margin": lambda: self.ours(hard_negative_margin=None),
            "mine_hard_negatives, defaults": self.theirs,
            "mine_hard_negatives, relative_margin 0.05": lambda: self.theirs(relative_margin=0.05),
            "reference (margin 0.95, refilled)": self.reference,
        }


def row(way: str, mined: Mined, planted: Planted) -> str:
    copies = planted.copies
    shares = [np.mean([copies[query][kind] in mined[query] for query in copies]) for kind in KINDS]
    hit = np.mean([bool(set(mined[query]) & set(kinds.values())) for query, kinds in copies.items()])
    cells = " | ".join(f"{share:.1%}" for share in (*shares, hit))
    return f"| {way} | {sum(map(len, mined.values()))} | {cells} |"


def main(folders: Sequence[Path]) -> None:
    for folder in folders:
        planted = plant(folder)
        print(f"\n{folder}: {len(planted.questions)} questions, {len(planted.texts)} passages\n")
        print("| way | negatives | light | heavy | moved | questions with one |\n" + "| --- " + "| ---: " * 5 + "|")
        for way, miner in Miners(planted).all().items():
            print(row(way, miner(), planted), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    main(parser.parse_args().folders)
