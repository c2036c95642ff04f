"""Do five million passages fit on one machine?

    python benchmarks/mining_large.py --folder DIR [--passages 5000000] [--ways exact,ivf,stage]

Passages of about 600 characters in the pipeline's own store of embeddings under DIR (vectors in memory-mapped shards,
3 kB a passage with the copy that is mined from), 20,000 questions, five negatives, margin 0.95; made-up vectors as in
mining.py. Each way runs in a process of its own:

- exact, ivf, hnsw: vectors from the store, index, search and rules;
- stage: the whole of ``mine_negatives`` with tables of passages, questions and splits, its encoder reading the store.

Memory is what the process holds besides mapped files (RssAnon), looked at every 50 ms: its highest, less what it was
before. A table of Markdown is printed.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
from mining import (
    NEGATIVES,
    PER_DOCUMENT,
    QUESTIONS,
    WIDTH,
    Memory,
    evidence,
    passage_vectors,
    question_text,
    unit,
)
from parts import question_table, split_table

from embed_pipeline.encoders.cached_encoder import CachedEncoder
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.retrieval.passage_index import PassageIndex
from embed_pipeline.settings import PrepSettings
from embed_pipeline.tables import Passages, validate

SPEC = EncoderSpec(model="given", content_sha256="0", max_query_length=64, max_passage_length=64, dimensions=(WIDTH,))
FILLER = " It goes on about this, that and the other thing, too." * 10
NEVER = 10**12


def passage_text(row: int) -> str:
    return evidence(row) + FILLER


def positives(passages: int) -> np.ndarray:
    return np.random.default_rng(1).choice(passages, QUESTIONS, replace=False)


class Dealt:
    """An encoder that deals out given vectors in their order."""

    spec = SPEC

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    def encode(self, texts, role):
        found, self._vectors = self._vectors[: len(texts)], self._vectors[len(texts) :]
        return found


def encoder(folder: Path, vectors: np.ndarray | None = None) -> CachedEncoder:
    """The store; it computes nothing without ``vectors``, which are those of the texts it does not hold."""

    def load():
        if vectors is None:
            raise SystemExit("something is missing in the store")
        return Dealt(vectors)

    return CachedEncoder(SPEC, load, folder / "embeddings")


def fill(folder: Path, passages: int) -> None:
    """The store, as a run that embedded everything leaves it."""
    asked, place = positives(passages), np.full(passages, -1)
    place[asked] = np.arange(QUESTIONS)
    rng = np.random.default_rng(0)
    began, done = time.monotonic(), 0
    for vectors in passage_vectors(passages, rng):
        rows = range(done, done + len(vectors))
        encoder(folder, vectors).encode([passage_text(row) for row in rows], "passage")
        about = [row for row in rows if place[row] >= 0]
        near = unit(
            vectors[[row - done for row in about]] + 0.03 * rng.standard_normal((len(about), WIDTH), np.float32)
        )
        encoder(folder, near).encode([question_text(int(place[row])) for row in about], "query")
        done += len(vectors)
    print(f"{passages:,} embeddings stored in {time.monotonic() - began:.0f} s", flush=True)


def passage_table(passages: int) -> pl.DataFrame:
    names = pl.Series([f"d{row // PER_DOCUMENT:07}#{row:07}" for row in range(passages)])
    frame = pl.DataFrame(
        {
            "passage_id": names,
            "doc_id": names.str.slice(0, 8),
            "position": pl.Series(np.arange(passages) % PER_DOCUMENT),
            "start": pl.Series(np.zeros(passages, np.int64)),
            "end": pl.Series(np.full(passages, 600)),
            "title": pl.Series([""]).new_from_index(0, passages),
            "text": pl.Series([passage_text(row) for row in range(passages)]),
            "token_count": pl.Series(np.full(passages, 120)),
            "group_id": names,
            "language": pl.Series(["und"]).new_from_index(0, passages),
        }
    )
    return validate(Passages, frame)


def tables(passages: int, asked: np.ndarray) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    cut = passage_table(passages)
    named = cut["passage_id"].gather(asked).to_list()
    questions = {f"q{row:07}": (question_text(row), [name]) for row, name in enumerate(named)}
    quoted = {name: evidence(place) for name, place in zip(questions, asked.tolist(), strict=True)}
    return question_table(questions, quoted), cut, split_table(questions, cut)


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[name] = time.monotonic() - began


def search(folder: Path, passages: int, kind: str) -> None:
    """Vectors from the store, index, search and rules."""
    from embed_pipeline.prep.mining.miner import mine
    from embed_pipeline.prep.mining.rules import Barred, Rules

    asked, home, nothing = positives(passages), np.arange(passages) // PER_DOCUMENT, [np.zeros(0, np.int64)] * QUESTIONS
    texts = [passage_text(row) for row in range(passages)]
    seconds: dict[str, float] = {}
    with Memory() as memory:
        with timed(seconds, "vectors"):
            queries = encoder(folder).encode([question_text(row) for row in range(QUESTIONS)], "query")
            vectors = encoder(folder).encode(texts, "passage")
        with timed(seconds, "index"):
            index = PassageIndex(vectors, NEVER if kind == "exact" else 0, "hnsw" if kind == "hnsw" else "ivf")
        with timed(seconds, "search"):
            barred = Barred(np.ones(passages, bool), home, home[asked], nothing, nothing)
            found = mine(queries, index, [np.array([row]) for row in asked], barred, Rules(NEGATIVES))
    recall = index.recall(queries, 32)
    tell(seconds, memory, sum(map(len, found.indices)), recall)


def stage(folder: Path, passages: int) -> None:
    """Everything."""
    from embed_pipeline.prep.mining.negatives import mine_negatives

    asked, seconds = positives(passages), {}
    given = tables(passages, asked)
    chosen = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0, approximate_above=NEVER)
    with Memory() as memory, timed(seconds, "stage"):
        mined = mine_negatives(*given, encoder(folder), chosen)
    print(f"before the stage: {memory.before:.2f} GiB", file=sys.stderr)
    tell(seconds, memory, int(mined.summary["negatives"]), None)


def tell(seconds: dict[str, float], memory: Memory, negatives: int, recall: float | None) -> None:
    print(json.dumps({"seconds": seconds, "gib": memory.highest - memory.before, "found": negatives, "recall": recall}))


def measured(folder: Path, passages: int, way: str) -> dict:
    command = [sys.executable, __file__, "--folder", str(folder.parent), "--passages", str(passages), "--one", way]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ended.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=5_000_000)
    parser.add_argument("--ways", default="exact,ivf,stage")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder, passages = arguments.folder / str(arguments.passages), arguments.passages
    if arguments.one:
        stage(folder, passages) if arguments.one == "stage" else search(folder, passages, arguments.one)
        return
    if not folder.is_dir():
        fill(folder, passages)
    print("| way | seconds | of these | GiB besides the mapped vectors | recall@32 | negatives |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for way in filter(None, arguments.ways.split(",")):
        found = measured(folder, passages, way)
        parts = ", ".join(f"{name} {value:.0f}" for name, value in found["seconds"].items())
        recall = "" if found["recall"] is None else f"{found['recall']:.3f}"
        print(f"| {way} | {sum(found['seconds'].values()):.0f} | {parts} | {found['gib']:.2f} | {recall} "
              f"| {found['found']:,} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
