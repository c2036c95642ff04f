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
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
from mining import NEGATIVES, PER_DOCUMENT, QUESTIONS, WIDTH, evidence, passage_vectors, question_text, unit
from parts import question_table

from embed_pipeline.cached_encoder import CachedEncoder, key_of
from embed_pipeline.encoder import EncoderSpec
from embed_pipeline.passage_index import PassageIndex
from embed_pipeline.settings import PrepSettings
from embed_pipeline.tables import Passages, Splits, validate
from embed_pipeline.vector_cache import VectorCache

SPEC = EncoderSpec(model="given", content_sha256="0", max_query_length=64, max_passage_length=64, dimensions=(WIDTH,))
FILLER = " It goes on about this, that and the other thing, too." * 10
NEVER = 10**12


def passage_text(row: int) -> str:
    return evidence(row) + FILLER


def positives(passages: int) -> np.ndarray:
    return np.random.default_rng(1).choice(passages, QUESTIONS, replace=False)


def encoder(folder: Path) -> CachedEncoder:
    def load():
        raise SystemExit("something is missing in the store")

    return CachedEncoder(SPEC, load, folder / "embeddings")


def fill(folder: Path, passages: int) -> None:
    """The store, as a run that embedded everything leaves it."""
    store = VectorCache(folder / "embeddings" / SPEC.version()[:32], WIDTH)
    asked, place = positives(passages), np.full(passages, -1)
    place[asked] = np.arange(QUESTIONS)
    rng = np.random.default_rng(0)
    began, done = time.monotonic(), 0
    for vectors in passage_vectors(passages, rng):
        rows = range(done, done + len(vectors))
        store.add([key_of("passage", passage_text(row)) for row in rows], vectors)
        about = [row for row in rows if place[row] >= 0]
        near = unit(
            vectors[[row - done for row in about]] + 0.03 * rng.standard_normal((len(about), WIDTH), np.float32)
        )
        store.add([key_of("query", question_text(int(place[row]))) for row in about], near)
        done += len(vectors)
    store.close()
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


def split_table(passages: int, asked: np.ndarray) -> pl.DataFrame:
    documents = [f"d{row:07}" for row in range(passages // PER_DOCUMENT)]
    rows = [("document", doc, doc, "train") for doc in documents]
    rows += [("question", f"q{row:07}", documents[place // PER_DOCUMENT], "train") for row, place in enumerate(asked)]
    return validate(Splits, pl.DataFrame(rows, schema=["item_type", "item_id", "component", "split"], orient="row"))


def questions(asked: np.ndarray) -> pl.DataFrame:
    named = {f"q{row:07}": place for row, place in enumerate(asked.tolist())}
    return question_table(
        {
            name: (question_text(row), [f"d{place // PER_DOCUMENT:07}#{place:07}"])
            for row, (name, place) in enumerate(named.items())
        },
        {name: evidence(place) for name, place in named.items()},
    )


class Memory:
    """The highest RssAnon, in GiB, beyond that of the start."""

    def __init__(self) -> None:
        self.before = self.highest = self._now()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Memory":
        self._watch.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            self.highest = max(self.highest, self._now())

    @staticmethod
    def _now() -> float:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) / 2**20


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[name] = time.monotonic() - began


def search(folder: Path, passages: int, kind: str) -> None:
    """Vectors from the store, index, search and rules."""
    from embed_pipeline.prep.mine import mine
    from embed_pipeline.prep.rules import Barred, Rules

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
    from embed_pipeline.prep.mined import mine_negatives

    asked, seconds = positives(passages), {}
    tables = questions(asked), passage_table(passages), split_table(passages, asked)
    chosen = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0, approximate_above=NEVER)
    with Memory() as memory, timed(seconds, "stage"):
        mined = mine_negatives(*tables, encoder(folder), chosen)
    print(f"tables before the stage: {memory.before:.2f} GiB", file=sys.stderr)
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
