"""How much should the dense side weigh in the fusion, and who may say so?

    python benchmarks/fusion_weight.py --models DIR [--seed 0] NAME=HOME:GOLD ...

For each collection, the base model and the tuned one that `benchmarks/levers.py train --models DIR` kept: nDCG@10 of
the convex fusion with BM25 at every weight of the dense side, on questions of people, on generated validation questions
as they were written, and on the same reworded until BM25 answers them as it would people's (prep/rewording.py). What is
done is kept in DIR, so a run that was stopped goes on.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from levers import DEPTH, Measured, ndcg
from safetensors.torch import load_file

from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.lexical import answered_by_words, found_by_words
from embed_pipeline.evaluation.retrieve import encode_set, nearest
from embed_pipeline.files import write_json
from embed_pipeline.prep.rewording import reworded
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import convex
from embed_pipeline.settings import EvalSettings

WEIGHTS = tuple(round(tenth / 10, 1) for tenth in range(11))
KINDS = ("people", "reworded", "as written")


def asked(one: Measured) -> dict[str, RetrievalSet]:
    """The sets by kind."""
    written = one.written("validation")
    other = reworded(written, set(written.queries), one.base, answered_by_words(written.passages))
    return {"people": one.people, "reworded": other, "as written": written}


def curve(test_set: RetrievalSet, encoder: Encoder) -> dict[str, list[float]]:
    """nDCG@10 query by query at every weight."""
    sparse = found_by_words(test_set, EvalSettings(), DEPTH)
    dense = nearest(test_set, encode_set(test_set, encoder), DEPTH)
    return {str(weight): ndcg(test_set, convex(sparse, dense, DEPTH, weight)) for weight in WEIGHTS}


def curves(one: Measured, models: Path, name: str, seed: int) -> dict[str, Any]:
    """Of base and tuned, kind by kind."""
    file = models / one.name / f"curves {name}~{seed}.json"
    if not file.exists():
        tuned = TorchEncoder.load(one.spec, "cpu")
        tuned.model.load_state_dict(load_file(models / one.name / f"{name}~{seed}~0.5.safetensors"))
        sets = asked(one)
        found: dict[str, Any] = {"base": {kind: curve(test_set, one.base) for kind, test_set in sets.items()}}
        with torch.autocast("cpu", torch.bfloat16):
            found["tuned"] = {kind: curve(test_set, tuned) for kind, test_set in sets.items()}
        write_json(file, found)
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def best(curve_of: dict[str, list[float]]) -> float:
    """The weight with the best mean; of equal ones the nearest to the half."""
    return max(WEIGHTS, key=lambda weight: (np.mean(curve_of[str(weight)]), -abs(weight - 0.5)))


def table(name: str, found: dict[str, Any]) -> None:
    for system, kinds in found.items():
        for kind in KINDS:
            means = [float(np.mean(kinds[kind][str(weight)])) for weight in WEIGHTS]
            chosen = best(kinds[kind])
            cells = " | ".join(f"{value:.3f}" for value in means)
            got = float(np.mean(kinds["people"][str(chosen)]))
            print(
                f"| {name} | {system} | {kind} ({len(kinds[kind]['0.5'])}) | {cells} | {chosen} | {got:.3f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="+", metavar="NAME=HOME:GOLD", type=Measured.of)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--lever", default="filled, crop")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    header(WEIGHTS)
    for one in chosen.collections:
        table(one.name, curves(one, chosen.models, chosen.lever, chosen.seed))


def header(weights: Sequence[float]) -> None:
    print("| collection | system | questions |", " | ".join(map(str, weights)), "| best | people's there |")
    print("| --- |" + " --- |" * (len(weights) + 4))


if __name__ == "__main__":
    main()
