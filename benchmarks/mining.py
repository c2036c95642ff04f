"""What does mining hard negatives cost?

    python benchmarks/mining.py speed [--repeat 3]
    python benchmarks/mining.py growth [--repeat 1]

speed: 20,000 questions, 100,000 passages, 384 dimensions, embeddings given, five negatives, margin 0.95: ours (the
search with its rules, and the whole stage with its tables), sentence-transformers' ``mine_hard_negatives`` with and
without faiss, and the matrix product alone, each in a process of its own. Memory is the highest resident set above
what stood before, embeddings included there. growth: ours with 100,000, 300,000 and 1,000,000 passages. Tables of
Markdown are printed.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MethodType

import numpy as np
import polars as pl
from parts import BASE, passage_table, question_table, split_table

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.spec import EncoderSpec, Vectors
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.settings import EncoderSettings, PrepSettings

QUESTIONS, PASSAGES, WIDTH, NEGATIVES = 20_000, 100_000, 384, 5
PER_DOCUMENT = 10
PER_TOPIC = 50


@dataclass
class Given:
    """Embeddings of made-up texts: passages of a topic lie close together. Question i asks for ``positive[i]``."""

    queries: Vectors
    passages: Vectors
    positive: np.ndarray


def given(passages: int) -> Given:
    """Unit vectors in topics of 50 passages, some of them so close that what is no positive is above the margin."""
    rng = np.random.default_rng(0)
    vectors = np.concatenate(list(passage_vectors(passages, rng)))
    positive = rng.choice(passages, QUESTIONS, replace=False)
    queries = unit(vectors[positive] + 0.03 * rng.standard_normal((QUESTIONS, WIDTH), np.float32))
    return Given(queries, vectors, positive)


def passage_vectors(passages: int, rng: np.random.Generator) -> Iterator[Vectors]:
    """The passages' vectors, 50,000 at a time."""
    centres = rng.standard_normal((passages // PER_TOPIC, WIDTH), np.float32)
    spread = rng.uniform(0.1, 0.9, len(centres)).astype(np.float32)
    for start in range(0, passages, 50_000):
        topic = np.arange(start, min(start + 50_000, passages)) // PER_TOPIC
        apart = spread[topic, None] * rng.standard_normal((len(topic), WIDTH), np.float32)
        yield unit(centres[topic] + apart)


def unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# --- ways to mine, each measured in a process of its own ---------------------------------------------------------


def product(data: Given) -> Callable[[], int]:
    """The inner products alone, in the fastest of the block sizes tried, into a block that is used again."""

    def run() -> int:
        block = np.empty((4096, 16_384), np.float32)
        for left in np.array_split(data.queries, -(-QUESTIONS // 4096)):
            for right in np.array_split(data.passages, -(-len(data.passages) // 16_384)):
                np.matmul(left, right.T, out=block[: len(left), : len(right)])
        return 0

    return run


def ours(data: Given) -> Callable[[], int]:
    """``prep.mine``: search and rules."""
    from embed_pipeline.prep.mining.miner import mine
    from embed_pipeline.prep.mining.rules import Barred, Rules

    count = len(data.passages)
    home = np.arange(count) // PER_DOCUMENT
    nothing = [np.zeros(0, np.int64)] * QUESTIONS
    barred = Barred(np.ones(count, bool), home, home[data.positive], nothing, nothing)
    positives = [np.array([row]) for row in data.positive]

    def run() -> int:
        return sum(map(len, mine(data.queries, data.passages, positives, barred, Rules(NEGATIVES)).indices))

    return run


def ours_stage(data: Given) -> Callable[[], int]:
    """``prep.mined``: with evidence, siblings, near-duplicate groups, the table of negatives and the audit."""
    from embed_pipeline.prep.mining.negatives import mine_negatives

    pairs, passages, splits = tables(len(data.passages), data.positive)
    encoder = Fixed({"query": data.queries, "passage": data.passages})
    chosen = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0)

    def run() -> int:
        return int(mine_negatives(pairs, passages, splits, encoder, chosen).summary["negatives"])

    return run


def theirs(data: Given, *, use_faiss: bool) -> Callable[[], int]:
    """``mine_hard_negatives``, with a model that returns the given embeddings."""
    from datasets import Dataset
    from sentence_transformers.util import mine_hard_negatives

    model = TorchEncoder.load(base_encoder_spec(BASE, EncoderSettings())).model
    model.encode_query = MethodType(lambda *_, **__: data.queries, model)
    model.encode_document = MethodType(lambda *_, **__: data.passages, model)
    pairs = Dataset.from_dict(
        {
            "anchor": [question_text(row) for row in range(QUESTIONS)],
            "positive": [passage_text(row) for row in data.positive],
        }
    )
    corpus = [passage_text(row) for row in range(len(data.passages))]

    def run() -> int:
        found = mine_hard_negatives(
            pairs, model, corpus=corpus, num_negatives=NEGATIVES, relative_margin=0.05, output_format="triplet",
            use_faiss=use_faiss, verbose=False,
        )  # fmt: skip
        return len(found)

    return run


WAYS: dict[str, Callable[[Given], Callable[[], int]]] = {
    "matrix product alone": product,
    "ours, search and rules": ours,
    "ours, the whole stage": ours_stage,
    "mine_hard_negatives": lambda data: theirs(data, use_faiss=False),
    "mine_hard_negatives, faiss": lambda data: theirs(data, use_faiss=True),
}


class Fixed:
    """An encoder whose embeddings are given."""

    def __init__(self, vectors: Mapping[str, Vectors]) -> None:
        self.spec = EncoderSpec(
            model="given", content_sha256="0", max_query_length=64, max_passage_length=64, dimensions=(WIDTH,)
        )
        self._vectors = vectors

    def encode(self, texts: Sequence[str], role: str) -> Vectors:
        assert len(texts) == len(self._vectors[role])
        return self._vectors[role]


def question_text(row: int) -> str:
    return f"question {row}"


def evidence(row: int) -> str:
    return f"Passage {row} holds what a question asks for."


def passage_text(row: int) -> str:
    """About 1,000 characters."""
    return evidence(row) + " It goes on about this, that and the other thing, too." * 18


def tables(count: int, positive: np.ndarray) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The stage's inputs; zero-padded names keep the rows in the order of the embeddings."""
    texts = {f"d{row // PER_DOCUMENT:07}#{row:07}": passage_text(row) for row in range(count)}
    names = list(texts)
    questions = {f"q{row:07}": (question_text(row), [names[place]]) for row, place in enumerate(positive.tolist())}
    quoted = {name: evidence(place) for name, place in zip(questions, positive.tolist(), strict=True)}
    passages = passage_table(texts)
    return question_table(questions, quoted), passages, split_table(questions, passages)


def measured(way: str, passages: int, repeat: int) -> dict[str, float]:
    """Seconds (best of ``repeat``) and GiB, from a process of its own."""
    command = [sys.executable, __file__, "one", "--way", way, "--passages", str(passages), "--repeat", str(repeat)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def one(way: str, passages: int, repeat: int) -> None:
    run = WAYS[way](given(passages))
    seconds, peak, found = [], 0.0, 0
    for _ in range(repeat):
        Path("/proc/self/clear_refs").write_text("5")  # the highest resident set counts from here
        before, began = resident("VmRSS"), time.monotonic()
        found = run()
        seconds.append(time.monotonic() - began)
        peak = max(peak, resident("VmHWM") - before)
    print(json.dumps({"seconds": min(seconds), "gib": peak, "found": found}))


def resident(name: str) -> float:
    """GiB, by Linux's account of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 2**20


class Memory:
    """The highest RssAnon while something is done, in GiB, and that of before."""

    def __init__(self) -> None:
        self.before = self.highest = resident("RssAnon")
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Memory":
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            self.highest = max(self.highest, resident("RssAnon"))


def speed(repeat: int) -> None:
    print("| way | seconds | GFLOP/s | of the product's rate | GiB beyond the embeddings | negatives |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    best = 0.0
    for way in WAYS:
        found = measured(way, PASSAGES, repeat)
        rate = 2 * QUESTIONS * PASSAGES * WIDTH / found["seconds"] / 1e9
        best = best or rate
        print(f"| {way} | {found['seconds']:.1f} | {rate:.0f} | {rate / best:.0%} | {found['gib']:.2f} "
              f"| {found['found']} |", flush=True)  # fmt: skip


def growth(repeat: int) -> None:
    print("| passages | seconds | seconds per 100,000 passages | GiB beyond the embeddings |")
    print("| ---: | ---: | ---: | ---: |")
    for passages in (100_000, 300_000, 1_000_000):
        found = measured("ours, search and rules", passages, repeat)
        print(f"| {passages:,} | {found['seconds']:.1f} | {found['seconds'] / passages * 1e5:.2f} "
              f"| {found['gib']:.2f} |", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "growth", "one"))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--way", choices=tuple(WAYS))
    parser.add_argument("--passages", type=int, default=PASSAGES)
    arguments = parser.parse_args()
    if arguments.what == "one":
        one(arguments.way, arguments.passages, arguments.repeat)
    else:
        {"speed": speed, "growth": growth}[arguments.what](arguments.repeat)


if __name__ == "__main__":
    main()
