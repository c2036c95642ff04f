"""Does it matter how negatives are mined and which loss is used? Three ways on the same questions.

    python benchmarks/mining_and_loss.py DIR [DIR ...] [--rows 256] [--seeds 3] [--out DIR] [--ways ours,plain]

Each DIR is a BEIR folder (corpus.jsonl, queries.jsonl, qrels/test.tsv) with human questions. Its documents are
divided once by a hash: questions about one half train (``--rows`` of them), questions about the other half test,
against every passage. No test document has a question in training.

- ours: negatives of ``prep.mine`` (training documents only, margin 0.95), in-batch InfoNCE at temperature 0.05 with
  the best of them;
- reference: the reference recipe's mining (all passages, margin 0.95, refilled from what the margin removed when it
  leaves too few) and its loss: each question against its own positive and four negatives, nothing from the batch,
  temperature 0.02;
- plain: sentence-transformers' ``mine_hard_negatives`` (no margin, three negatives) and
  ``MultipleNegativesRankingLoss`` under its trainer, both with their defaults (temperature 0.05).

Base model, batch size, learning rate and lengths are the same for all; the seeds change order and dropout. Every pair
of question and positive is seen three times: plain's data set holds each three times, once with every negative, so
that one epoch of it is three of the others'. A step of ours and of plain therefore costs the same, one of the
reference two and a half times as much.

Printed: nDCG@10, mean over the seeds, each seed's value, and paired bootstrap intervals of the difference over the
test questions (their mean over seeds). A way may be followed by settings of finetune that are changed for it, as in
``--ways "ours,ours temperature=0.02"``. ``--out`` keeps each training's scores, so that a run can be interrupted and
its ways measured one after the other.
"""

import argparse
import hashlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from parts import BASE, passage_table, question_table, reference_negatives, split_table

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.compare import compare
from embed_pipeline.evaluation.metrics import QueryScores, score_run
from embed_pipeline.evaluation.retrieve import dense_run
from embed_pipeline.finetune.train import finetune
from embed_pipeline.formats.beir import read_retrieval_set
from embed_pipeline.prep.mining.negatives import mine_negatives
from embed_pipeline.prep.training_set import unroll
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EncoderSettings, EvalSettings, FinetuneSettings, PrepSettings

LENGTHS = {"max_query_length": 48, "max_passage_length": 128}
COMMON = {"batch_size": 32, "learning_rate": 2e-5, **LENGTHS}
PASSES = 3
EVALUATION = EvalSettings(ks=(1, 10, 100))
WAYS = ("ours", "reference", "plain")
OBJECTIVES = {
    "ours": {"temperature": 0.05, "hard_negatives": 1},
    "reference": {"objective": "group", "temperature": 0.02, "hard_negatives": 4},
}


@dataclass
class Data:
    """Training questions as tables, and the test set."""

    pairs: pl.DataFrame
    passages: pl.DataFrame
    splits: pl.DataFrame
    test: RetrievalSet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder for the scores of each training")
    parser.add_argument("--ways", default=",".join(WAYS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for folder in arguments.folders:
            measure(folder, arguments, arguments.out or Path(scratch))


def measure(folder, arguments, out) -> None:
    spec = base_encoder_spec(BASE, EncoderSettings(**LENGTHS))
    data = divide(read_retrieval_set(folder, "test", "gold"), arguments.rows)
    encoder = TorchEncoder.load(spec)
    base = scores(data.test, encoder)
    print(f"\n## {folder}: {data.pairs.height} training questions, {len(data.test.queries)} test questions, "
          f"{data.passages.height} passages; base {base.column('ndcg@10').mean():.4f}", flush=True)  # fmt: skip
    found = {way: [] for way in arguments.ways.split(",")}
    prepared = {way: PREPARE[way.split()[0]](data, encoder) for way in found}
    for seed in range(arguments.seeds):
        for way, results in found.items():
            kept = out / f"{hashed(str(folder))}-{way}-{seed}.npy"
            if not kept.is_file():
                began = time.monotonic()
                with tempfile.TemporaryDirectory() as work:
                    result = scores(data.test, train(prepared[way], way, spec, seed, Path(work)))
                kept.parent.mkdir(parents=True, exist_ok=True)
                np.save(kept, result.values)
                print(f"{folder} {way} seed {seed}: {result.column('ndcg@10').mean():.4f} "
                      f"in {time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
            results.append(QueryScores(base.query_ids, base.metrics, np.load(kept)))
    report(base, found)


def report(base, found) -> None:
    mean = {way: averaged(results) for way, results in found.items()}
    print(
        "| | nDCG@10 by seed | mean | against base (95 %) | ours against it (95 %) |\n| --- | --- | --- | --- | --- |"
    )
    for way, results in found.items():
        seeds = ", ".join(f"{one.column('ndcg@10').mean():.4f}" for one in results)
        gain = compare(base, mean[way], EVALUATION)["ndcg@10"]
        other = (
            shown(compare(mean[way], mean["ours"], EVALUATION)["ndcg@10"]) if way != "ours" and "ours" in found else ""
        )
        print(f"| {way} | {seeds} | {gain.tuned:.4f} | {shown(gain)} | {other} |")


def shown(one) -> str:
    return f"{one.delta:+.4f} ({one.ci95[0]:+.4f} to {one.ci95[1]:+.4f}), p {one.p:.4f}"


def averaged(results) -> QueryScores:
    return QueryScores(results[0].query_ids, results[0].metrics, np.mean([one.values for one in results], axis=0))


def divide(gold, rows) -> Data:
    """Half of the documents train, the other half tests; by a hash of their names."""
    document = {name: name.partition("#")[0] for name in gold.passages}
    training = {doc for doc in document.values() if hashed(doc) % 2 == 0}
    about = {query: {document[name] for name in relevant} for query, relevant in gold.qrels.items()}
    train = sorted((query for query, docs in about.items() if docs <= training), key=hashed)[:rows]
    test = [query for query, docs in about.items() if not docs & training]
    passages = passage_table(gold.passages)
    questions = {query: (gold.queries[query], sorted(gold.qrels[query])) for query in train}
    held_out = set(document.values()) - training
    return Data(
        question_table(questions),
        passages,
        split_table(questions, passages, sorted(held_out)),
        RetrievalSet(
            "test",
            gold.passages,
            {name: gold.queries[name] for name in test},
            {name: gold.qrels[name] for name in test},
        ),
    )


def hashed(name) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def rows_ours(data, encoder):
    mined = mine_negatives(data.pairs, data.passages, data.splits, encoder, PrepSettings())
    return training_rows(data, mined.table)


def rows_reference(data, encoder):
    """The recipe's miner, over all passages."""
    names = data.passages["passage_id"].to_list()
    place = {name: row for row, name in enumerate(names)}
    vectors = encoder.encode(data.passages["text"].to_list(), "passage")
    rows = []
    for query in data.pairs.iter_rows(named=True):
        score = vectors @ encoder.encode([query["question"]], "query")[0]
        best = reference_negatives(score, [place[name] for name in query["passage_ids"]], 4)
        rows.append({"question_id": query["question_id"], "negative_ids": [names[row] for row in best]})
    return training_rows(data, pl.DataFrame(rows))


def training_rows(data, mined):
    from embed_pipeline.finetune.job import read_training_rows

    with tempfile.TemporaryDirectory() as folder:
        unroll(data.pairs, mined, data.passages, data.splits).write_parquet(Path(folder) / "table.parquet")
        return read_training_rows(Path(folder))


def train(prepared, way, spec, seed, work):
    return train_plain(prepared, spec, seed, work) if way == "plain" else train_rows(prepared, way, spec, seed, work)


def train_rows(rows, way, spec, seed, work):
    name, *changes = way.split()
    given = {"seed": seed, "epochs": PASSES, **COMMON, **OBJECTIVES[name]}
    chosen = FinetuneSettings.model_validate(given | dict(change.split("=") for change in changes))
    finetune(rows, None, spec, chosen, work / "model", work / "work")
    return TorchEncoder.load(EncoderSpec.load(work / "model"))


def triplets_plain(data, encoder):
    from datasets import Dataset
    from sentence_transformers.util import mine_hard_negatives

    texts = dict(data.passages.select("passage_id", "text").iter_rows())
    questions = [
        (row["question"], texts[name]) for row in data.pairs.iter_rows(named=True) for name in row["passage_ids"]
    ]
    pairs = Dataset.from_dict({"anchor": [one for one, _ in questions], "positive": [other for _, other in questions]})
    encoder.model.max_seq_length = encoder.spec.max_passage_length
    model = encoder.model
    return mine_hard_negatives(pairs, model, corpus=list(texts.values()), num_negatives=PASSES, verbose=False)


def train_plain(triplets, spec, seed, work):
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = TorchEncoder.load(spec).model
    model.max_seq_length = spec.max_passage_length
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(work), num_train_epochs=1, per_device_train_batch_size=COMMON["batch_size"],
        learning_rate=COMMON["learning_rate"], seed=seed, save_strategy="no", report_to="none", disable_tqdm=True,
        use_cpu=True, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=triplets, loss=MultipleNegativesRankingLoss(model)
    )
    trainer.train()
    return TorchEncoder(spec, model)


def scores(test, encoder) -> QueryScores:
    return score_run(test, dense_run(test, encoder, 100), EVALUATION.ks)


PREPARE = {"ours": rows_ours, "reference": rows_reference, "plain": triplets_plain}

if __name__ == "__main__":
    main()
