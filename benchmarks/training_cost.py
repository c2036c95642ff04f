"""What does a training step cost, in seconds and in memory?

    python benchmarks/training_cost.py speed DIR [--repeat 2]
    python benchmarks/training_cost.py memory DIR

DIR is a BEIR folder; 320 of its questions train (again and again, so that ours does not scale the batch down), each
with four mined negatives, all texts cut at 128 tokens. Compared are ``embed_pipeline.finetune.finetune`` and
sentence-transformers' trainer used plainly (``MultipleNegativesRankingLoss``; in memory also its
``CachedMultipleNegativesRankingLoss``) on the same rows.

speed: batch 32; the seconds of 6 steps less those of 2, so that loading and saving do not count; whole trainings
alternate. memory: one step of batch 128; the highest resident set above what stood before. Each in a process of its
own. Tables of Markdown are printed.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from mining import resident
from parts import BASE, passage_table, question_table, split_table

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.finetune.job import read_training_rows
from embed_pipeline.finetune.train import finetune
from embed_pipeline.formats.beir import read_retrieval_set
from embed_pipeline.prep.mining.negatives import mine_negatives
from embed_pipeline.prep.training_set import unroll
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import EncoderSettings, FinetuneSettings, PrepSettings

NEGATIVES, TOKENS = 4, 128
FEW, MANY = 2, 6
QUESTIONS = 320


def training_rows(folder: Path) -> list[TrainingRow]:
    """Rows with all their negatives; those with fewer are left out, since a plain data set has no gaps."""
    gold = read_retrieval_set(folder, "test", "gold")
    questions = {name: (text, sorted(gold.qrels[name])[:1]) for name, text in sorted(gold.queries.items())[:QUESTIONS]}
    passages, pairs = passage_table(gold.passages), question_table(questions)
    splits = split_table(questions, passages)
    chosen = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0, hard_negatives=NEGATIVES)
    mined = mine_negatives(pairs, passages, splits, TorchEncoder.load(spec()), chosen)
    with tempfile.TemporaryDirectory() as work:
        unroll(pairs, mined.table, passages, splits).write_parquet(Path(work) / "table.parquet")
        rows = read_training_rows(Path(work))
    return [row for row in rows if len(row.negatives) == NEGATIVES]


def spec() -> EncoderSpec:
    return base_encoder_spec(BASE, EncoderSettings(max_query_length=TOKENS, max_passage_length=TOKENS))


def ours(grad_cache: str) -> Callable[[Sequence[TrainingRow], int, int, Path], None]:
    def train(rows: Sequence[TrainingRow], batch: int, steps: int, work: Path) -> None:
        chosen = FinetuneSettings(
            batch_size=batch, max_steps=steps, hard_negatives=NEGATIVES, grad_cache=grad_cache, epochs=20,
            max_query_length=TOKENS, max_passage_length=TOKENS,
        )  # fmt: skip
        report = finetune(rows, None, spec(), chosen, work / "model", work / "work")
        assert (report.steps, report.batch_size) == (steps, batch)

    return train


def theirs(loss: str) -> Callable[[Sequence[TrainingRow], int, int, Path], None]:
    def train(rows: Sequence[TrainingRow], batch: int, steps: int, work: Path) -> None:
        from datasets import Dataset
        from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
        from sentence_transformers.sentence_transformer import losses

        columns = {"anchor": [row.question for row in rows], "positive": [row.positive for row in rows]}
        columns |= {f"negative_{place}": [row.negatives[place] for row in rows] for place in range(NEGATIVES)}
        model = TorchEncoder.load(spec()).model
        model.max_seq_length = TOKENS
        arguments = SentenceTransformerTrainingArguments(
            output_dir=str(work), max_steps=steps, per_device_train_batch_size=batch, use_cpu=True,
            dataloader_pin_memory=False, save_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(columns), loss=getattr(losses, loss)(model)
        )
        trainer.train()
        model.save_pretrained(str(work / "model"), create_model_card=False)

    return train


WAYS = {
    "ours": ours("off"),
    "ours, grad_cache": ours("on"),
    "sentence-transformers": theirs("MultipleNegativesRankingLoss"),
    "sentence-transformers, cached": theirs("CachedMultipleNegativesRankingLoss"),
}


def one(file: Path, way: str, batch: int, steps: int) -> None:
    known = [TrainingRow(**row) for row in json.loads(file.read_text(encoding="utf-8"))]
    again = range(-(-8 * batch // len(known)))
    rows = [replace(row, question_id=f"{row.question_id}/{turn}") for turn in again for row in known]
    Path("/proc/self/clear_refs").write_text("5")  # the highest resident set counts from here
    before, began = resident("VmRSS"), time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        WAYS[way](rows, batch, steps, Path(work))
    print(json.dumps({"seconds": time.monotonic() - began, "gib": resident("VmHWM") - before, "rows": len(rows)}))


def measured(file: Path, way: str, batch: int, steps: int) -> dict[str, float] | None:
    """Seconds and GiB; None where the process was killed, as it is for want of memory."""
    command = [sys.executable, __file__, "one", str(file), "--way", way]
    command += ["--batch", str(batch), "--steps", str(steps)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if ended.returncode == -signal.SIGKILL:
        return None
    ended.check_returncode()
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def speed(file: Path, repeat: int) -> None:
    batch = 32
    print("| way | questions per second, each time | best |\n| --- | --- | ---: |")
    rates: dict[str, list[float]] = {"ours": [], "sentence-transformers": []}
    for _ in range(repeat):
        for way, found in rates.items():
            few, many = measured(file, way, batch, FEW), measured(file, way, batch, MANY)
            assert few is not None
            assert many is not None
            found.append((MANY - FEW) * batch / (many["seconds"] - few["seconds"]))
    for way, found in rates.items():
        print(f"| {way} | {', '.join(f'{rate:.2f}' for rate in found)} | {max(found):.2f} |")


def memory(file: Path, _: int) -> None:
    print("| way | GiB at batch 128 | seconds for one step, loading and saving |\n| --- | ---: | ---: |")
    for way in WAYS:
        found = measured(file, way, 128, 1)
        cells = f"{found['gib']:.2f} | {found['seconds']:.0f}" if found is not None else "killed |"
        print(f"| {way} | {cells} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory", "one"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--way", choices=tuple(WAYS))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=FEW)
    given = parser.parse_args()
    if given.what == "one":
        one(given.folder, given.way, given.batch, given.steps)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            kept = Path(scratch) / "rows.json"
            kept.write_text(json.dumps([asdict(row) for row in training_rows(given.folder)]), encoding="utf-8")
            {"speed": speed, "memory": memory}[given.what](kept, given.repeat)
