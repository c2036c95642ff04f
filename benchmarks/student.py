"""What does a student with half of the layers keep of its base model's quality, and what does it cost to serve?

    python benchmarks/student.py CORPUS GOLD OUT [--questions 400] [--layers 3] [--epochs 2] [--seeds 1]

CORPUS is a folder of documents, GOLD a BEIR folder of human questions about it. Settings are those of the ``cpu``
profile but for what is named here; the offline generator writes the questions. Ways:

- whole: the base model, tuned as the profile does;
- alone: the student, InfoNCE;
- base: the student, taught by the untrained base model beside it;
- tuned: the student, taught by ``whole`` of the same seed beside it.

Students are not averaged with themselves before training (base_weight 0), which is nearly noise. Printed for each way:
nDCG@10 on GOLD alone and fused with BM25 at equal weights, the share of the base model's and of ``whole``'s that is
kept, parameters, passages a second. Each training lies in OUT and is not made again, so that a run can be interrupted.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from parts import BASE

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.model_facts import model_facts
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.candidates import passages_per_second
from embed_pipeline.evaluation.gold import load_gold
from embed_pipeline.evaluation.metrics import score_run
from embed_pipeline.evaluation.retrieve import bm25_run, dense_run
from embed_pipeline.files import write_json
from embed_pipeline.finetune.student import model_to_train
from embed_pipeline.finetune.train import finetune
from embed_pipeline.retrieval.fusion import convex
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.notebook import load_encoder, mine, read_documents, write_questions

WAYS = ("whole", "alone", "base", "tuned")
WEIGHT = 0.5
"""Of the teacher."""
DEPTH = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("gold", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    settings = load_settings(
        None, "cpu", [f"sdg.max_questions={arguments.questions}", f"finetune.epochs={arguments.epochs}"], {}
    )
    corpus = read_documents(arguments.corpus, settings)
    encoder = load_encoder(BASE, settings, arguments.out / "embeddings")
    data = mine(corpus, write_questions(corpus, encoder, settings), encoder, settings)
    gold = load_gold(arguments.gold, corpus.texts())
    print(f"{len(data.rows)} training rows, {len(gold.queries)} gold questions, {len(gold.passages)} passages")
    spec = base_encoder_spec(BASE, settings.encoder)
    cut = model_to_train(spec, settings.finetune.model_copy(update={"keep_layers": arguments.layers}), arguments.out)
    found = {"base model": [measured(spec, gold)], "student before training": [measured(cut, gold)]}
    for seed in range(arguments.seeds):
        for way in WAYS:
            folder = arguments.out / f"{way}-{seed}"
            if not (folder / "figures.json").is_file():
                chosen = settings_of(way, settings.finetune, arguments, seed)
                finetune(data.rows, data.validation, spec, chosen, folder / "model", folder / "work")
                write_json(folder / "figures.json", measured(EncoderSpec.load(folder / "model"), gold))
            found.setdefault(way, []).append(json.loads((folder / "figures.json").read_text("utf-8")))
            print(f"{way} seed {seed}: {found[way][-1]}", flush=True)
    report(found)


def settings_of(way, base, arguments, seed):
    """The settings of finetune."""
    if way == "whole":
        return base.model_copy(update={"seed": seed})
    student = {"seed": seed, "keep_layers": arguments.layers, "base_weight": 0.0}
    if way == "alone":
        return base.model_copy(update=student)
    teacher = BASE if way == "base" else str(arguments.out / f"whole-{seed}" / "model")
    return base.model_copy(update={**student, "teacher": teacher, "distillation_weight": WEIGHT})


def measured(spec, gold) -> dict[str, float]:
    encoder = TorchEncoder.load(spec)
    dense, sparse = dense_run(gold, encoder, DEPTH), bm25_run(gold, DEPTH)
    runs = {"dense": dense, "fused": convex(sparse, dense, DEPTH)}
    figures = {name: float(score_run(gold, run, (10,)).column("ndcg@10").mean()) for name, run in runs.items()}
    facts = model_facts(Path(spec.model))
    speed = passages_per_second(encoder, list(gold.passages.values()))
    return {**figures, "parameters": facts.parameters or 0, "passages_per_second": speed}


def report(found) -> None:
    print("| | nDCG@10 | of the base's | of whole's | fused with BM25 | parameters | passages/s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    mean = {way: {name: np.mean([one[name] for one in all_]) for name in all_[0]} for way, all_ in found.items()}
    for way, one in mean.items():
        shares = [f"{one['dense'] / mean[other]['dense']:.1%}" for other in ("base model", "whole")]
        print(f"| {way} | {one['dense']:.4f} | {' | '.join(shares)} | {one['fused']:.4f} | "
              f"{one['parameters'] / 1e6:.1f} M | {one['passages_per_second']:.0f} |")  # fmt: skip


if __name__ == "__main__":
    main()
