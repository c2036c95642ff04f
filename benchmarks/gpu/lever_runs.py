"""Every lever of `benchmarks/levers.md`, three seeds, on the collections of `lever_data.py`, many at a time on a GPU.

    python benchmarks/gpu/lever_runs.py DATA OUT --model FOLDER [--workers 14] [--seconds 500] [--seeds 0,1,2]
        [--levers a;b] [--device cuda]

Each training is a file in OUT, ``COLLECTION/LEVER~SEED.npz``: nDCG@10 of people's questions and of the reworded
validation questions, for every weight of the dense side from 0 to 1 and every share of the base model. A cell that is
there is not done again; no cell is begun when the time is over. Trained in fp32. Needs neither Polars nor Dagster.
`lever_table.py` prints the tables.
"""

import argparse
import json
import lzma
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import EncoderSettings, FinetuneSettings

BEFORE = {
    "epochs": 1, "batch_size": 32, "learning_rate": 1e-4, "temperature": 0.05, "hard_negatives": 0,
    "max_query_length": 48, "max_passage_length": 96, "precision": "fp32", "processes": 1,
}  # fmt: skip
RANDOM = {"dropout": 0.0}
PROFILE = {**RANDOM, "same_document_share": 0.5, "crop": "evidence"}
REFERENCE = {"objective": "group", "temperature": 0.02, "hard_negatives": 4, "learning_rate": 1e-5, "warmup_steps": 5}
STUDENT = {**PROFILE, "keep_layers": 3, "base_weight": 0.0, "epochs": 2}
TEXTS = 48 + 96
SHARES = (0.3, 0.5, 0.7)
"""Of the base model in the average that is asked."""
DENSE = [tenth / 10 for tenth in range(11)]
DEPTH = 100

LEVERS: dict[str, dict[str, Any]] = {
    "profile": PROFILE,
    "reference": {**REFERENCE, "rows": "reference", "tokens": 48 + 5 * 96},
    "plain": {"plain": 2e-5, "tokens": 48 + 2 * 96},
    "before": {},
    "random batches": RANDOM,
    "filled": {**RANDOM, "same_document_share": 0.5},
    "crop": {**RANDOM, "crop": "evidence"},
    "filled 0.25": {**PROFILE, "same_document_share": 0.25},
    "filled 0.75": {**PROFILE, "same_document_share": 0.75},
    "learning rate 5e-5": {**PROFILE, "learning_rate": 5e-5},
    "learning rate 2e-4": {**PROFILE, "learning_rate": 2e-4},
    "1 mined negative": {**PROFILE, "hard_negatives": 1},
    "lexical share 0.3": {**PROFILE, "lexical_share": 0.3},
    "2 epochs": {**PROFILE, "epochs": 2},
    "3 epochs": {**PROFILE, "epochs": 3},
    "128 tokens": {**PROFILE, "max_passage_length": 128},
    "192 tokens": {**PROFILE, "max_passage_length": 192},
    "batches of 64": {**PROFILE, "batch_size": 64},
    "batches of 16": {**PROFILE, "batch_size": 16},
    "temperature 0.02": {**PROFILE, "temperature": 0.02},
    "temperature 0.1": {**PROFILE, "temperature": 0.1},
    "words": {**PROFILE, "rows": "words~{seed}"},
    "names": {**PROFILE, "rows": "names~{seed}"},
    "hybrid as teacher": {**PROFILE, "teacher": "hybrid", "distillation_weight": 0.5},
    "reference 1e-4": {**REFERENCE, "rows": "reference", "tokens": 48 + 5 * 96, "learning_rate": 1e-4},
    "plain 1e-4": {"plain": 1e-4, "tokens": 48 + 2 * 96},
    "people": {**RANDOM, "epochs": 3, "rows": "people"},
    "student": STUDENT,
    "student of base": {**STUDENT, "teacher": "base", "distillation_weight": 0.5},
    "student of tuned": {**STUDENT, "teacher": "tuned", "distillation_weight": 0.5},
}
WHOLE = ("reference", "plain", "student")
"""Levers whose model is asked as it is, not averaged with the base model, by the beginnings of their names."""


@dataclass(frozen=True)
class Asked:
    """Questions, passages as token ids, and judgements as matrices."""

    queries: list[list[int]]
    passages: list[list[int]]
    gains: "np.ndarray[Any, Any]"
    sparse: "np.ndarray[Any, Any]"

    @classmethod
    def of(cls, found: dict[str, Any], texts: Sequence[str], tokenizer: Any) -> "Asked":
        passages = [texts[one] for one in found["passages"]]
        shape = (len(found["queries"]), len(passages))
        gains, sparse = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for row, (relevant, scored) in enumerate(zip(found["qrels"], found["sparse"], strict=True)):
            for place, value in relevant.items():
                gains[row, int(place)] = value
            best = max((score for _, score in scored), default=0)
            for place, score in scored:
                sparse[row, place] = score / best if best > 0 else 0
        return cls(
            tokenizer(found["queries"], truncation=True, max_length=128)["input_ids"],
            tokenizer(passages, truncation=True, max_length=256)["input_ids"],
            gains,
            sparse,
        )


class Collection:
    """A file of `lever_data.py`."""

    def __init__(self, file: Path, spec: EncoderSpec) -> None:
        from transformers import AutoTokenizer

        self.name = file.name.partition(".")[0]
        self.found = json.loads(lzma.decompress(file.read_bytes()))
        self.texts: list[str] = self.found["texts"]
        tokenizer = AutoTokenizer.from_pretrained(spec.model)
        self.people = Asked.of(self.found["people"], self.texts, tokenizer)
        self.validation = Asked.of(self.found["validation"], self.texts, tokenizer)

    def rows(self, name: str) -> list[TrainingRow]:
        return [
            TrainingRow(**{**row, "positive": self.texts[row["positive"]],
                           "negatives": [self.texts[one] for one in row["negatives"]]})
            for row in self.found["rows"][name]
        ]  # fmt: skip

    @cached_property
    def steps(self) -> int:
        """Of the profile: one epoch."""
        return len(self.found["rows"]["generated"]) // BEFORE["batch_size"]


def vectors(model: Any, token_ids: Sequence[Sequence[int]], device: str) -> Any:
    """[texts, width], in their order."""
    import torch

    order = sorted(range(len(token_ids)), key=lambda place: -len(token_ids[place]))
    parts = []
    with torch.inference_mode():
        for start in range(0, len(order), 256):
            part = [torch.tensor(token_ids[place]) for place in order[start : start + 256]]
            padded = torch.nn.utils.rnn.pad_sequence(part, batch_first=True)  # [PAD] is 0
            mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(one) for one in part], batch_first=True)
            features = {"input_ids": padded.to(device), "attention_mask": mask.to(device)}
            parts.append(model(features)["sentence_embedding"].float())
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(parts)[back.to(device)]


def ndcg(scores: Any, gains: Any) -> Any:
    """nDCG@10 with the judgement as gain, as trec_eval counts it, [queries]."""
    import torch

    discount = 1 / torch.log2(torch.arange(2, 12, device=scores.device).float())
    wide = min(10, scores.shape[1])
    found = torch.gather(gains, 1, scores.topk(wide).indices) @ discount[:wide]
    best = gains.topk(wide).values @ discount[:wide]
    return found / best


def curves(model: Any, one: Collection, device: str) -> dict[str, "np.ndarray[Any, Any]"]:
    """Of both sets of questions, passages that are the same encoded once."""
    passages = vectors(model, one.people.passages, device)
    same = one.validation.passages == one.people.passages
    other = passages if same else vectors(model, one.validation.passages, device)
    return {
        "people": curve(vectors(model, one.people.queries, device) @ passages.T, one.people),
        "validation": curve(vectors(model, one.validation.queries, device) @ other.T, one.validation),
    }


def curve(cosines: Any, asked: Asked) -> "np.ndarray[Any, Any]":
    """nDCG@10 at every weight of the dense side (`embed_pipeline.retrieval.fusion.convex`), [11, queries]."""
    import torch

    device = cosines.device
    gains, sparse = torch.tensor(asked.gains, device=device), torch.tensor(asked.sparse, device=device)
    best = cosines.topk(min(DEPTH, cosines.shape[1]))
    low, high = best.values[:, -1:], best.values[:, :1]
    scaled = torch.where(cosines >= low, (cosines - low) / (high - low).clamp_min(1e-12), 0)
    found = [ndcg(weight * scaled + (1 - weight) * sparse, gains) for weight in DENSE]
    return torch.stack(found).cpu().numpy().astype(np.float16)


def trained(one: Collection, name: str, seed: int, given: argparse.Namespace, work: Path) -> tuple[Any, int]:
    """The model, and its steps."""
    from embed_pipeline.encoders.torch_encoder import TorchEncoder
    from embed_pipeline.finetune.train import finetune

    changed = dict(LEVERS[name])
    rows = one.rows(changed.pop("rows", "generated").format(seed=seed))
    spec = base_spec(given.model)
    if "tokens" in changed:
        changed["max_steps"] = max(1, round(one.steps * TEXTS / changed.pop("tokens")))
    if "plain" in changed:
        return plain(one, seed, changed["plain"], changed["max_steps"], given, work), changed["max_steps"]
    if changed.get("teacher") == "base":
        changed["teacher"] = given.model
    if changed.get("teacher") == "tuned":
        changed["teacher"] = str(given.kept / one.name / f"profile~{seed}")
    if "max_steps" in changed:
        changed["epochs"] = -(-changed["max_steps"] * BEFORE["batch_size"] // len(rows)) or 1
    settings = FinetuneSettings.model_validate({**BEFORE, **changed, "seed": seed})
    report = finetune(rows, None, spec, settings, work / "model", work / "work", given.device)
    return TorchEncoder.load(EncoderSpec.load(work / "model"), given.device).model, report.steps


def plain(one: Collection, seed: int, learning_rate: float, steps: int, given: argparse.Namespace, work: Path) -> Any:
    """As sentence-transformers' documentation trains, with one negative mined by it."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.util import mine_hard_negatives

    model = base_model(given)
    model.max_seq_length = BEFORE["max_passage_length"]
    pairs = one.found["pairs"]
    told = Dataset.from_dict({"anchor": [text for text, _ in pairs], "positive": [one.texts[at] for _, at in pairs]})
    corpus = [one.texts[at] for at in one.found["corpus"]]
    mined = mine_hard_negatives(told, model, corpus=corpus, num_negatives=1, verbose=False)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(work), max_steps=steps, per_device_train_batch_size=int(BEFORE["batch_size"]),
        learning_rate=learning_rate, warmup_ratio=0.1, seed=seed, save_strategy="no", report_to="none",
        disable_tqdm=True, use_cpu=given.device == "cpu", dataloader_pin_memory=False,
    )  # fmt: skip
    loss = MultipleNegativesRankingLoss(model)
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=mined, loss=loss).train()
    return model


def base_spec(folder: str) -> EncoderSpec:
    return base_encoder_spec(folder, EncoderSettings(max_query_length=128, max_passage_length=256))


def base_model(given: argparse.Namespace) -> Any:
    from embed_pipeline.encoders.torch_encoder import TorchEncoder

    return TorchEncoder.load(base_spec(given.model), given.device).model


def measure(one: Collection, name: str, seed: int, given: argparse.Namespace) -> str:
    """One cell; what to print of it."""
    from embed_pipeline.finetune.averaging import averaged

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        if name == "base":
            model, steps, seconds = base_model(given), 0, 0.0
        else:
            model, steps = trained(one, name, seed, given, Path(work))
            seconds = time.monotonic() - began
    model.eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    shares: Sequence[float] = (0.0,)
    if name != "base" and not name.startswith(WHOLE):
        shares = SHARES
        base = {key: value.clone() for key, value in base_model(given).state_dict().items()}
    found: dict[str, Any] = {"steps": steps, "seconds": seconds}
    for share in shares:
        if share:
            model.load_state_dict(averaged(base, state, share))
        found |= {f"{kind} {share}": scored for kind, scored in curves(model, one, given.device).items()}
        if name == "profile" and share == 0.5:
            keep(model, given.kept / one.name / f"profile~{seed}", given)
    file = given.out / one.name / f"{name}~{seed}.npz"
    np.savez_compressed(file.with_suffix(".part.npz"), **found)
    file.with_suffix(".part.npz").replace(file)
    whole = {share: found[f"people {share}"].astype(float).mean(1) for share in shares}
    told = ", ".join(f"{share}: {one[-1]:.3f} / {one[5]:.3f}" for share, one in whole.items())
    return f"{one.name} {name}~{seed} {steps} steps {seconds:.1f} s, {time.monotonic() - began:.1f} s in all; {told}"


def keep(model: Any, folder: Path, given: argparse.Namespace) -> None:
    """As a teacher."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    model.save(str(folder))
    base_spec(given.model).model_copy(update={"model": str(folder)}).save(folder)


def cells(names: Sequence[str], seeds: Sequence[int], collections: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    yield from (("base", 0, one) for one in collections)
    yield from ((name, seed, one) for seed in seeds for name in names for one in collections)


def claimed(given: argparse.Namespace, cell: tuple[str, int, str]) -> bool:
    name, seed, collection = cell
    if (given.out / collection / f"{name}~{seed}.npz").exists():
        return False
    try:
        os.close(os.open(given.claims / f"{collection}~{name}~{seed}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def worker(number: int, given: argparse.Namespace, files: Sequence[Path]) -> None:
    """Cells of its own collection first, then of others."""
    import torch

    torch.set_num_threads(1)
    names = [file.name.partition(".")[0] for file in files]
    known: dict[str, Collection] = {}
    own = names[number % len(names)]
    for wanted in [[own], names]:
        for cell in cells(given.levers, given.seeds, wanted):
            name, seed, collection = cell
            if time.monotonic() > given.until or not claimed(given, cell):
                continue
            try:
                if collection not in known:
                    known[collection] = Collection(files[names.index(collection)], base_spec(given.model))
                print(time.strftime("%H:%M:%S"), measure(known[collection], name, seed, given), flush=True)
            except Exception:  # one cell that fails is told, and the others go on
                print(f"FAILED {cell}\n{traceback.format_exc()[-1500:]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--levers", default=";".join(LEVERS))
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    given.until = time.monotonic() + given.seconds
    given.seeds, given.levers = [int(seed) for seed in given.seeds.split(",")], given.levers.split(";")
    given.model = str(Path(given.model).resolve())
    given.kept = given.out / "kept"
    files = sorted(given.data.glob("*.json.xz"))
    for file in files:
        (given.out / file.name.partition(".")[0]).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as claims:
        given.claims = Path(claims)
        context = multiprocessing.get_context("spawn")
        running = [context.Process(target=worker, args=(one, given, files)) for one in range(given.workers)]
        for one in running:
            one.start()
        for one in running:
            one.join()


if __name__ == "__main__":
    main()
