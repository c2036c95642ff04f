"""What `lever_runs.py` trains on and asks, as files that a machine without Polars can read.

    python benchmarks/gpu/lever_data.py FOLDER [--seeds 0,1,2] NAME=HOME:GOLD ...

One file a collection: passages, questions of people, generated validation questions reworded as the pipeline rewords
them (prep/rewording.py), what BM25 finds for both, and the training rows of every lever that changes rows. A home needs
its splits (`embed-pipeline run --to splits`).
"""

import argparse
import json
import lzma
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from levers import DEPTH, LEVERS, Lever, Measured
from training_quality import in_training, reference_rows, training_questions

from embed_pipeline.evaluation.lexical import answered_by_words, found_by_words
from embed_pipeline.files import write_bytes
from embed_pipeline.prep.rewording import reworded
from embed_pipeline.records import RetrievalSet, TrainingRow
from embed_pipeline.settings import EvalSettings

SEEDLESS = {"generated": Lever(mined=True), "people": LEVERS["people"]}
SEEDED = {"words": Lever(0.6), "names": Lever(names=0.5)}


class Texts:
    """Texts by number, each once."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._place: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        if text not in self._place:
            self._place[text] = len(self.all)
            self.all.append(text)
        return self._place[text]


def row_of(row: TrainingRow, texts: Texts) -> dict[str, Any]:
    found = asdict(row)
    found["positive"] = texts(row.positive)
    found["negatives"] = [texts(one) for one in row.negatives]
    return found


def set_of(test_set: RetrievalSet, texts: Texts) -> dict[str, Any]:
    """Queries in the order of their ids, passages in the order of the set; what BM25 finds as places and scores."""
    names = list(test_set.passages)
    place = {name: number for number, name in enumerate(names)}
    queries = sorted(test_set.queries)
    sparse = found_by_words(test_set, EvalSettings(), DEPTH)
    return {
        "passages": [texts(test_set.passages[name]) for name in names],
        "queries": [test_set.queries[query] for query in queries],
        "qrels": [{place[name]: value for name, value in test_set.qrels[query].items()} for query in queries],
        "sparse": [
            [[place[name], round(score, 6)] for name, score in sparse.get(query, {}).items()] for query in queries
        ],
    }


def plain_pairs(one: Measured, texts: Texts) -> list[list[Any]]:
    passages = dict(one.frame("passages").select("passage_id", "text").iter_rows())
    asked = training_questions(one).select("question", "passage_ids").iter_rows()
    return [[question, texts(passages[name])] for question, names in asked for name in names]


def data_of(one: Measured, seeds: Sequence[int]) -> dict[str, Any]:
    texts = Texts()
    written = one.written("validation")
    other = reworded(written, set(written.queries), one.base, answered_by_words(written.passages))
    rows = {name: one.rows(lever, 0) for name, lever in SEEDLESS.items()}
    rows |= {f"{name}~{seed}": one.rows(lever, seed) for name, lever in SEEDED.items() for seed in seeds}
    rows["reference"] = reference_rows(one)
    trained = in_training(one)
    return {
        "people": set_of(one.people, texts),
        "validation": set_of(other, texts),
        "in_training": [trained[query] for query in sorted(one.people.queries)],
        "corpus": [texts(text) for text in one.frame("passages")["text"]],
        "pairs": plain_pairs(one, texts),
        "rows": {name: [row_of(row, texts) for row in found] for name, found in rows.items()},
        "texts": texts.all,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("collections", nargs="+", metavar="NAME=HOME:GOLD", type=Measured.of)
    parser.add_argument("--seeds", default="0,1,2")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for one in chosen.collections:
        file = chosen.folder / f"{one.name}.json.xz"
        if not file.exists():
            found = data_of(one, [int(seed) for seed in chosen.seeds.split(",")])
            write_bytes(file, lzma.compress(json.dumps(found, ensure_ascii=False).encode()))
        print(f"{file}: {file.stat().st_size / 1e6:.2f} MB", flush=True)


if __name__ == "__main__":
    main()
