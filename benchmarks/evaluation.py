"""What does an evaluation cost, embeddings given? Seconds and memory, on text of a chosen size.

    python benchmarks/evaluation.py ../shared/corpora/nvidia-docs/docs ../shared/corpora/nih-health-docs/docs

Passages are runs of words of the Markdown files of the folders, three words in ten exchanged for others; without a
folder, words drawn by Zipf's law. A question is some words of its passage. Vectors are drawn around 2,000 centres, a
question near its passage, after training nearer than before. Each step runs in a process of its own:

- bm25: the index, and its 100 best passages for every question;
- base, tuned: all of ``evaluate_base`` and ``evaluate_tuned`` in one process, with 10,000 resamples.

Memory is what the process holds besides mapped files (RssAnon), looked at every 20 ms. A table of Markdown is printed.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mining import Memory, resident

from embed_pipeline.encoders.spec import EncoderSpec, Role, Vectors
from embed_pipeline.records import RetrievalSet

WIDTH = 384
CENTRES = 2_000
WORDS = 110
QUESTION_WORDS = 9
PER_DOCUMENT = 20
CHANGED = 0.3
ZIPF_VOCABULARY = 200_000
GIB = 2**30
SPEC = EncoderSpec(model="given", content_sha256="0", max_query_length=64, max_passage_length=64, dimensions=(WIDTH,))


# -- a corpus with questions -------------------------------------------------------------------------------


def words_of(sources: Sequence[Path], rng: np.random.Generator, count: int) -> np.ndarray:
    """``count`` words in a row, [count]."""
    if not sources:
        drawn = rng.zipf(1.15, count) % ZIPF_VOCABULARY
        return np.char.add("w", drawn.astype(str))
    text = "\n".join(path.read_text("utf-8") for source in sources for path in sorted(source.rglob("*.md")))
    found = np.array([word for word in re.findall(r"\S+", text) if len(word) <= 20])
    once = np.unique(found)
    words = np.resize(found, count)
    changed = rng.random(count) < CHANGED
    words[changed] = once[rng.integers(0, len(once), int(changed.sum()))]
    return words


def write_set(sources: Sequence[Path], passages: int, queries: int, folder: Path) -> None:
    """passages.txt, one a line, and questions.json: [row of the passage, text]."""
    rng = np.random.default_rng(0)
    rows = words_of(sources, rng, passages * WORDS).reshape(passages, WORDS)
    with (folder / "passages.txt").open("w", encoding="utf-8") as file:
        file.writelines(" ".join(row) + "\n" for row in rows.tolist())
    asked = rng.choice(passages, queries, replace=False)
    places = [np.sort(rng.choice(WORDS, QUESTION_WORDS, replace=False)) for _ in asked]
    questions = [(int(row), " ".join(rows[row, place])) for row, place in zip(asked, places, strict=True)]
    (folder / "questions.json").write_text(json.dumps(questions), "utf-8")


def read_set(folder: Path) -> tuple[RetrievalSet, list[int]]:
    """The set, and the row of each question's passage."""
    texts = (folder / "passages.txt").read_text("utf-8").splitlines()
    ids = [f"page-{row // PER_DOCUMENT:06}.md#{row % PER_DOCUMENT:04}" for row in range(len(texts))]
    asked = json.loads((folder / "questions.json").read_text("utf-8"))
    queries = {f"q{number:05}": text for number, (_, text) in enumerate(asked)}
    rows = [row for row, _ in asked]
    qrels = {query: {ids[row]: 1} for query, row in zip(queries, rows, strict=True)}
    clusters = {query: ids[row].partition("#")[0] for query, row in zip(queries, rows, strict=True)}
    return RetrievalSet("gold", dict(zip(ids, texts, strict=True)), queries, qrels, clusters=clusters), rows


class Given:
    """An encoder that returns given vectors."""

    spec = SPEC

    def __init__(self, passages: int, rows: Sequence[int], noise: float) -> None:
        rng = np.random.default_rng(1)
        centres = rng.standard_normal((CENTRES, WIDTH), np.float32)
        self._passages = rng.standard_normal((passages, WIDTH), np.float32)
        self._passages += centres[rng.integers(0, CENTRES, passages)]
        self._queries = self._passages[rows] + noise * rng.standard_normal((len(rows), WIDTH), np.float32)
        for vectors in (self._passages, self._queries):
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        return self._passages if role == "passage" else self._queries


# -- steps, each in a process of its own -------------------------------------------------------------------


def now() -> np.ndarray:
    """Wall time and CPU time of this process, in seconds."""
    return np.array([time.monotonic(), time.process_time()])


def bm25(folder: Path) -> list[dict[str, object]]:
    from embed_pipeline.retrieval.word_index import word_index
    from embed_pipeline.settings import Bm25Settings

    test_set, rows = read_set(folder)
    texts = list(test_set.passages.values())
    began = now()
    with Memory() as memory:
        index = word_index(texts, [""] * len(texts), Bm25Settings())
    indexed, held = now(), resident("RssAnon")
    found = index.top_k(test_set.queries.values(), 100)
    answered = now()
    hits = np.mean([row in [place for place, _ in best[:10]] for row, best in zip(rows, found, strict=True)])
    each = GIB / len(test_set.passages)
    at_peak, kept = (memory.highest - memory.before) * each, (held - memory.before) * each
    return [
        {
            "step": "BM25: index",
            "seconds": list(indexed - began),
            "gib": memory.highest,
            "result": f"{at_peak / 1e3:.2f} kB a passage at the peak, {kept / 1e3:.2f} kB kept",
        },
        {
            "step": "BM25: 100 best of each question",
            "seconds": list(answered - indexed),
            "gib": resident("RssAnon"),
            "result": f"recall@10 {hits:.3f}",
        },
    ]


def evaluation(folder: Path) -> list[dict[str, object]]:
    from embed_pipeline.evaluation.evaluate import evaluate_base, evaluate_tuned
    from embed_pipeline.settings import EvalSettings

    test_set, rows = read_set(folder)
    base, tuned = (Given(len(test_set.passages), rows, noise) for noise in (5.5, 5.0))
    settings = EvalSettings()
    with Memory() as memory:
        began = now()
        before = evaluate_base([test_set], base, settings)
        between = now()
        after = evaluate_tuned([test_set], tuned, before, settings)
        ended = now()
    means = {name: scores["ndcg@10"] for name, scores in after.summary["test_sets"]["gold"].items()}
    shown = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
    figures = {"gib": memory.highest}
    return [
        {"step": "evaluate_base", "seconds": list(between - began), "result": "", **figures},
        {"step": "evaluate_tuned", "seconds": list(ended - between), "result": f"{after.summary['verdict']}: {shown}",
         **figures},
        {"step": "both", "seconds": list(ended - began), "result": "", **figures},
    ]  # fmt: skip


STEPS = {"bm25": bm25, "evaluation": evaluation}


def main() -> None:
    """Make the set, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", type=Path, help="folders with Markdown files")
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(STEPS[given.step](given.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_set(given.sources, given.passages, given.queries, Path(folder))
        print("| step | seconds | CPU seconds | GiB at the peak, texts and vectors included | |")
        print("| --- | ---: | ---: | ---: | --- |")
        for step in given.steps.split(","):
            command = [sys.executable, __file__, "--step", step, "--folder", folder]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            for row in json.loads(output.splitlines()[-1]):
                seconds = " | ".join(f"{value:.1f}" for value in row["seconds"])
                print(f"| {row['step']} | {seconds} | {row['gib']:.2f} | {row['result']} |", flush=True)


if __name__ == "__main__":
    main()
