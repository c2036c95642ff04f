"""The profile `cpu` as it ships against the reference recipe's training and plain sentence-transformers.

    python benchmarks/training_quality.py --out OUT [--seeds 0,1,2] [--ways reference,plain] [--fast] NAME=HOME:GOLD ...
    python benchmarks/training_quality.py --table --out OUT NAME=HOME:GOLD ...

All train on the same generated questions of HOME (`embed-pipeline run --to splits`) from the same base model and are
asked what people asked (GOLD, a BEIR folder), about documents that were in training and about others, apart:

- profile: what ships (the lever `filled, crop` of `levers.py`, whose figures in OUT are used);
- reference: the recipe's miner (all passages, margin 0.95, refilled from what the margin removed) and its loss (each
  question against its own positive and four negatives, temperature 0.02), learning rate 1e-5, five steps of warm-up;
- plain: sentence-transformers' `mine_hard_negatives` with one negative and `MultipleNegativesRankingLoss` under its
  trainer, learning rate 2e-5, as its documentation trains.

Equal compute: as many steps as read the tokens that the profile reads in its one epoch of 32 questions and passages a
step. `WAY steps=N` and `WAY learning_rate=X` change that. Lengths (48 and 96 tokens), batch size (32), and precision
(bf16 where the CPU has AMX) are the same for all. What is done is kept in OUT, so a run that was stopped goes on.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from levers import BEFORE, FAST, Measured, measure, measure_base, systems
from parts import reference_negatives

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.compare import DECIDING_METRIC, compare
from embed_pipeline.evaluation.metrics import QueryScores
from embed_pipeline.evaluation.retrieve import encode_set
from embed_pipeline.files import write_json
from embed_pipeline.finetune.job import read_training_rows
from embed_pipeline.finetune.train import finetune
from embed_pipeline.prep.training_set import unroll
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import EvalSettings, FinetuneSettings

PROFILE = "filled, crop"
NEGATIVES = {"reference": 4, "plain": 1}
REFERENCE = {"objective": "group", "temperature": 0.02, "hard_negatives": 4, "learning_rate": 1e-5, "warmup_steps": 5}
GROUPS = {"all": None, "in training": True, "not in training": False}


def texts_read(negatives: int) -> int:
    """Tokens of a question, its positive and its negatives, at most."""
    return int(BEFORE["max_query_length"] + (1 + negatives) * BEFORE["max_passage_length"])


def equal_steps(way: str, profile_steps: int) -> int:
    return round(profile_steps * texts_read(0) / texts_read(NEGATIVES[way]))


def training_questions(one: Measured) -> pl.DataFrame:
    splits, pairs = one.frame("splits"), one.frame("qa_pairs")
    train = splits.filter((pl.col("item_type") == "question") & (pl.col("split") == "train"))["item_id"]
    return pairs.filter(pl.col("question_id").is_in(train.implode()))


def reference_rows(one: Measured) -> list[TrainingRow]:
    """With the negatives of the recipe's miner, over all passages."""
    passages, pairs = one.frame("passages"), training_questions(one)
    names = passages["passage_id"].to_list()
    place = {name: row for row, name in enumerate(names)}
    vectors = one.base.encode(list(one.written("train").passages.values()), "passage")
    asked = one.base.encode(pairs["question"].to_list(), "query")
    mined = [
        {
            "question_id": question,
            "negative_ids": [
                names[row] for row in reference_negatives(vectors @ vector, [place[name] for name in positives], 4)
            ],
        }
        for vector, (question, positives) in zip(
            asked, pairs.select("question_id", "passage_ids").iter_rows(), strict=True
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        table = unroll(one.frame("qa_pairs"), pl.DataFrame(mined), passages, one.frame("splits"))
        table.write_parquet(Path(folder) / "table.parquet")
        return read_training_rows(Path(folder))


def train_reference(one: Measured, seed: int, steps: int, changes: Mapping[str, Any], work: Path) -> TorchEncoder:
    rows = reference_rows(one)
    epochs = -(-steps * BEFORE["batch_size"] // len(rows))
    given = {**BEFORE, **FAST, **REFERENCE, "epochs": max(1, epochs), "max_steps": steps, "seed": seed, **changes}
    finetune(rows, None, one.spec, FinetuneSettings.model_validate(given), work / "model", work / "work", "cpu")
    return TorchEncoder.load(EncoderSpec.load(work / "model"), "cpu")


def train_plain(one: Measured, seed: int, steps: int, changes: Mapping[str, Any], work: Path) -> TorchEncoder:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.util import mine_hard_negatives

    texts = dict(one.frame("passages").select("passage_id", "text").iter_rows())
    pairs = [
        (question, texts[passage])
        for question, passages in training_questions(one).select("question", "passage_ids").iter_rows()
        for passage in passages
    ]
    model = TorchEncoder.load(one.spec, "cpu").model
    model.max_seq_length = BEFORE["max_passage_length"]
    told = Dataset.from_dict({"anchor": [one for one, _ in pairs], "positive": [other for _, other in pairs]})
    with torch.autocast("cpu", torch.bfloat16):
        mined = mine_hard_negatives(told, model, corpus=list(texts.values()), num_negatives=1, verbose=False)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(work), max_steps=steps, per_device_train_batch_size=int(BEFORE["batch_size"]), bf16=True,
        learning_rate=changes.get("learning_rate", 2e-5), warmup_ratio=0.1, seed=seed, save_strategy="no",
        report_to="none", disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False,
    )  # fmt: skip
    loss = MultipleNegativesRankingLoss(model)
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=mined, loss=loss).train()
    return TorchEncoder(one.spec, model)


TRAIN = {"reference": train_reference, "plain": train_plain}


def measure_way(one: Measured, way: str, seed: int, out: Path, fast: bool) -> None:
    file = out / one.name / f"{way}~{seed}.json"
    if file.exists():
        return
    name, *words = way.split()
    changes = {key: json.loads(value) for key, value in (word.split("=") for word in words)}
    profile = json.loads((out / one.name / f"{PROFILE}~0.json").read_text())
    steps = int(changes.pop("steps", 0)) or equal_steps(name, profile["steps"])
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work, torch.autocast("cpu", torch.bfloat16) if fast else nullcontext():
        tuned = TRAIN[name](one, seed, steps, changes, Path(work))
        seconds = time.monotonic() - began
        found = systems(one, encode_set(one.people, tuned))
    write_json(file, {"steps": steps, "seconds": round(seconds, 1), "weights": {"0.5": found}})
    told = " / ".join(f"{np.mean(found[kind]):.3f}" for kind in ("dense", "stems"))
    print(time.strftime("%H:%M:%S"), one.name, way, seed, f"{seconds:.0f} s", steps, told, flush=True)


def in_training(one: Measured) -> dict[str, bool]:
    """Question of people -> whether a document that answers it was in training."""
    splits = one.frame("splits")
    train = set(splits.filter((pl.col("item_type") == "document") & (pl.col("split") == "train"))["item_id"])
    document = dict(one.frame("passages").select("passage_id", "doc_id").iter_rows())
    train |= {Path(name).stem for name in train}  # a gold set with a corpus of its own names them without a suffix

    def trained(passage: str) -> bool:
        return document.get(passage, passage.rpartition("#")[0]) in train

    return {query: any(map(trained, found)) for query, found in one.people.qrels.items()}


def chosen(one: Measured, values: Sequence[float], inside: bool | None) -> QueryScores:
    queries, trained = sorted(one.people.queries), in_training(one)
    kept = [place for place, query in enumerate(queries) if inside is None or trained[query] == inside]
    return QueryScores([queries[place] for place in kept], [DECIDING_METRIC], np.array(values)[kept, None])


def ways_of(one: Measured, out: Path) -> dict[str, list[dict[str, Any]]]:
    names = [
        PROFILE,
        *sorted({file.name.rpartition("~")[0] for way in TRAIN for file in (out / one.name).glob(f"{way}*~*")}),
    ]
    found = {
        name: [json.loads(file.read_text()) for file in sorted((out / one.name).glob(f"{name}~*.json"))]
        for name in names
    }
    return {name: runs for name, runs in found.items() if runs}


def table(one: Measured, out: Path) -> None:
    base, ways = measure_base(one, out), ways_of(one, out)
    print(f"\n| {one.name} | seeds | steps | " + " | ".join(f"dense, {group}" for group in GROUPS) + " | fused, all |")
    print("| --- | ---: | ---: |" + " --- |" * (len(GROUPS) + 1))
    kinds = [*(("dense", inside) for inside in GROUPS.values()), ("stems", None)]
    cells = [chosen(one, base[kind], inside) for kind, inside in kinds]
    counts = [len(cell.query_ids) for cell in cells]
    print(
        "| base | | | "
        + " | ".join(f"{mean(cell):.3f} ({count})" for cell, count in zip(cells, counts, strict=True))
        + " |"
    )
    for name, runs in ways.items():
        row = [
            cell_of(one, base[kind], [run["weights"]["0.5"][kind] for run in runs], inside) for kind, inside in kinds
        ]
        label = "profile" if name == PROFILE else name
        print(f"| {label} | {len(runs)} | {runs[0]['steps']} | " + " | ".join(row) + " |", flush=True)


def mean(cell: QueryScores) -> float:
    return float(cell.column(DECIDING_METRIC).mean()) if cell.query_ids else float("nan")


def cell_of(one: Measured, base: Sequence[float], runs: Sequence[Sequence[float]], inside: bool | None) -> str:
    """Mean over the seeds, the interval of its difference from the base model, and each seed's value."""
    before, after = chosen(one, base, inside), chosen(one, np.mean(runs, axis=0).tolist(), inside)
    if not before.query_ids:
        return ""
    clusters = {query: one.people.clusters[query] for query in before.query_ids if query in one.people.clusters}
    found = compare(before, after, EvalSettings(resamples=2000), clusters)[DECIDING_METRIC]
    mark = "" if found.p >= 0.05 else "+" if found.delta > 0 else "-"
    each = ", ".join(f"{mean(chosen(one, run, inside)):.3f}" for run in runs)
    return f"{found.tuned:.3f}{mark} ({found.ci95[0]:+.3f} to {found.ci95[1]:+.3f}; {each})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="+", metavar="NAME=HOME:GOLD", type=Measured.of)
    parser.add_argument("--out", type=Path, default=Path("levers"))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--ways", default="reference,plain")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    for seed in [] if asked.table else list(map(int, asked.seeds.split(","))):
        for one in asked.collections:
            measure(one, PROFILE, seed, asked.out, asked.fast, (0.5,))
            for way in asked.ways.split(","):
                measure_way(one, way, seed, asked.out, asked.fast)
    for one in asked.collections:
        table(one, asked.out)


if __name__ == "__main__":
    main()
