"""How few questions of people already help beside generated ones?

    python benchmarks/imported_questions.py --out OUT NAME=HOME:GOLD ... [--counts 0,50,200,600] [--seeds 3]
        [--alone] [--set prep.imported_weight=3 ...] [--test-share 0.4]

Of each collection HOME gives documents and passages (`embed-pipeline run --to passages`), GOLD (a BEIR folder with
qrels/test.tsv) what people asked about them. The documents that people asked about are divided once by a hash:
questions about ``--test-share`` of them test, against every passage; of the others so many as ``--counts`` says are
imported beside generated ones (``sdg.import_from``, ``sdg.also_generate``). A larger count holds every smaller one with
the same seed; a question that shares a judged passage with a test question is never imported. Generated questions are
about all documents, as in a run with a gold set: nobody knows before which ones people will ask about.

What follows is what the pipeline does: filters, splits (a tenth validates, nothing is held out for a generated test),
mining, training, all with the profile ``cpu`` and what ``--set`` changes. With ``--alone`` every count is trained on
without generated questions as well.

Printed: nDCG@10 of base, BM25 and tuned, and of both models fused with BM25 by scores half and half; means over the
seeds, with the interval and p of the difference to the base model (evaluation/compare.py, by documents). Each
training's figures are kept in OUT under a name that says what it was, so a run that was stopped goes on.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from parts import Collection

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.cached_encoder import CachedEncoder
from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.compare import DECIDING_METRIC, compare
from embed_pipeline.evaluation.metrics import QueryScores, score_run
from embed_pipeline.evaluation.retrieve import bm25_run, dense_run
from embed_pipeline.evaluation.systems import DEPTH
from embed_pipeline.files import sha256_json, write_json, write_jsonl, write_text
from embed_pipeline.formats.beir import CORPUS, QUERIES, qrels_path, read_passages
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import convex
from embed_pipeline.settings import EvalSettings, Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages import notebook

FIXED = ("prep.train_ratio=0.9", "prep.validation_ratio=0.1", "prep.test_ratio=0", "sdg.min_questions=1")
SYSTEMS = ("dense", "hybrid")


@dataclass(frozen=True)
class Questions:
    """What people asked, divided: ids of the test questions, and of those that may be imported."""

    people: RetrievalSet
    test: RetrievalSet
    pool: Sequence[str]


def divide(people: RetrievalSet, share: float) -> Questions:
    """By the documents asked about; a question of the pool shares no judged passage with a test question."""
    cluster = {query: people.clusters.get(query, query) for query in people.queries}
    tested = [query for query, document in cluster.items() if place(document) < share]
    judged = {passage for query in tested for passage in people.qrels[query]}
    chosen = set(tested)
    pool = [query for query in people.queries if query not in chosen and not judged & people.qrels[query].keys()]
    test = RetrievalSet(
        "gold",
        people.passages,
        {query: people.queries[query] for query in tested},
        {query: people.qrels[query] for query in tested},
        clusters={query: cluster[query] for query in tested},
    )
    return Questions(people, test, pool)


def place(name: str) -> float:
    """From 0 to 1, by a hash."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


def write_import(asked: Questions, names: Sequence[str], gold: Path, folder: Path) -> Path:
    """The questions as sdg.import_from reads them.

    Pairs of question and text where the gold set has passages of its own, which are looked up in those of the home;
    else a BEIR folder, whose judgements name passages of the home.
    """
    asked_of = {name: (asked.people.queries[name], list(asked.people.qrels[name])) for name in names}
    if (gold / CORPUS).is_file():
        texts = {one.passage_id: one.text for one in read_passages(gold / CORPUS)}
        pairs = ({"anchor": text, "positive": texts[one]} for text, judged in asked_of.values() for one in judged)
        write_jsonl(folder / "pairs.jsonl", pairs)
        return folder / "pairs.jsonl"
    write_jsonl(folder / QUERIES, ({"_id": name, "text": text} for name, (text, _) in asked_of.items()))
    judgements = qrels_path(folder, "train")
    judgements.parent.mkdir()
    rows = [f"{name}\t{passage}\t1" for name, (_, judged) in asked_of.items() for passage in judged]
    write_text(judgements, "\n".join(["query-id\tcorpus-id\tscore", *rows, ""]))
    return folder


def trained(
    one: Collection, asked: Questions, count: int, seed: int, alone: bool, settings: Settings, work: Path
) -> dict[str, Any]:
    """Train beside (or on) ``count`` questions of people; nDCG@10 of each test question, and what it was trained on."""
    corpus, began = notebook.Corpus(one.frame("documents"), one.frame("passages"), pl.DataFrame()), time.monotonic()
    encoder = base_encoder(settings, one.home)
    names = sorted(asked.pool, key=lambda query: place(f"{seed}/{query}"))[:count]
    changed: dict[str, Any] = {"also_generate": not alone, "import_from": None}
    with tempfile.TemporaryDirectory() as scratch:
        if names:
            changed["import_from"] = write_import(asked, names, one.gold, Path(scratch))
        chosen = settings.model_copy(
            update={
                "sdg": settings.sdg.model_copy(update=changed),
                "finetune": settings.finetune.model_copy(update={"seed": seed}),
            }
        )
        questions = notebook.write_questions(corpus, encoder, chosen, work)
        data = notebook.mine(corpus, questions, encoder, chosen)
        notebook.train(data, Path(scratch) / "model", chosen)
        figures = measured(asked.test, notebook.load_encoder(Path(scratch) / "model"))
    training = {row.question_id for row in data.rows}
    imported = questions.filter(pl.col("question_id").is_in(list(training)) & (pl.col("generator") == "imported"))
    return figures | {
        "asked_for": count,
        "imported": imported.height,
        "questions": len(training),
        "rows": len(data.rows),
        "seconds": round(time.monotonic() - began),
    }


def base_encoder(settings: Settings, home: Path) -> Encoder:
    spec = base_encoder_spec(settings.base_model, settings.encoder)
    return CachedEncoder(spec, lambda: TorchEncoder.load(spec, "cpu"), home / "cache" / "vectors")


def measured(test: RetrievalSet, encoder: Encoder) -> dict[str, Any]:
    """nDCG@10 of each test question, of the model alone and fused with BM25 by scores."""
    dense, sparse = dense_run(test, encoder, DEPTH), bm25_run(test, DEPTH)
    runs = {"dense": dense, "hybrid": convex(sparse, dense, DEPTH), "bm25": sparse}
    return {name: by_query(score_run(test, run, (10,))) for name, run in runs.items()}


def by_query(scores: QueryScores) -> dict[str, float]:
    return dict(zip(scores.query_ids, scores.column(DECIDING_METRIC).tolist(), strict=True))


def kept(file: Path, make: Any) -> dict[str, Any]:
    """What the file holds, else what ``make`` gives, stored there."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, make())
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def rows_of(one: Collection, chosen: argparse.Namespace) -> Iterator[str]:
    """The lines of a collection's table, each as soon as it is known."""
    settings = load_settings(
        None, "cpu", [*chosen.overrides, *FIXED, f"eval.gold={one.gold}", f"sdg.import_from={one.gold}"]
    )
    asked = divide(one.people, chosen.test_share)
    if not asked.test.queries or not asked.pool:
        raise SystemExit(
            f"{one.name}: {len(asked.test.queries)} test questions and {len(asked.pool)} others are too few"
        )
    folder = chosen.out / one.name / sha256_json([chosen.overrides, chosen.test_share])[:8]
    base = kept(folder / "base.json", lambda: measured(asked.test, base_encoder(settings, one.home)))
    documents = len(set(asked.test.clusters.values()))
    yield (
        f"\n{one.name}: {len(asked.test.queries)} test questions, {documents} documents; {len(asked.pool)} others; "
        f"BM25 {mean(base['bm25']):.3f}, base {mean(base['dense']):.3f}, hybrid with it {mean(base['hybrid']):.3f}\n\n"
        "| of people | generated | rows | dense | against base | hybrid | against that with base | seconds |\n"
        "| ---: | ---: | ---: | ---: | --- | ---: | --- | ---: |"
    )
    for alone in (False, True) if chosen.alone else (False,):
        for count in chosen.counts:
            if alone and not count:
                continue
            results = [
                kept(
                    folder / f"{'alone' if alone else 'beside'}-{count}-{seed}.json",
                    lambda count=count, seed=seed, alone=alone: trained(
                        one, asked, count, seed, alone, settings, chosen.out / "llm"
                    ),
                )
                for seed in range(chosen.seeds)
            ]
            yield line(base, results, asked.test.clusters)


def line(base: Mapping[str, Any], results: Sequence[Mapping[str, Any]], clusters: Mapping[str, str]) -> str:
    """A row of the table, means over the seeds."""
    imported, questions, rows, seconds = (
        round(np.mean([one[name] for one in results])) for name in ("imported", "questions", "rows", "seconds")
    )
    cells = [f"{imported} of {results[0]['asked_for']}", str(questions - imported), str(rows)]
    for system in SYSTEMS:
        average = {query: float(np.mean([one[system][query] for one in results])) for query in base[system]}
        found = compare(scores(base[system]), scores(average), EvalSettings(), clusters)[DECIDING_METRIC]
        low, high = found.ci95
        cells += [f"{found.tuned:.3f}", f"{found.delta:+.3f} ({low:+.3f} to {high:+.3f}), p {found.p:.4f}"]
    return f"| {' | '.join([*cells, str(seconds)])} |"


def scores(values: Mapping[str, float]) -> QueryScores:
    return QueryScores(tuple(values), (DECIDING_METRIC,), np.array(list(values.values()))[:, None])


def mean(values: Mapping[str, float]) -> float:
    return float(np.mean(list(values.values())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="+", metavar="NAME=HOME:GOLD", type=Collection.of)
    parser.add_argument("--out", type=Path, default=Path("imported_questions"))
    parser.add_argument("--counts", type=lambda text: [int(one) for one in text.split(",")], default=[0, 50, 200, 600])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="train on the questions of people alone as well")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SETTING=VALUE")
    parser.add_argument("--test-share", type=float, default=0.4)
    chosen = parser.parse_args()
    for one in chosen.collections:
        for text in rows_of(one, chosen):
            print(text, flush=True)


if __name__ == "__main__":
    main()
