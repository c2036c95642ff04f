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
from levers import DEPTH, Measured, ndcg, scores
from safetensors.torch import load_file

from embed_pipeline.encoders.spec import Encoder
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.compare import DECIDING_METRIC, compare
from embed_pipeline.evaluation.fusion_weight import WEIGHTS as CHOICES
from embed_pipeline.evaluation.fusion_weight import weight_of
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


def chosen_by(curve_of: dict[str, list[float]]) -> float:
    """The weight that the pipeline takes."""
    return weight_of({weight: np.array(curve_of[str(weight)]) for weight in CHOICES})


def table(one: Measured, found: dict[str, Any]) -> None:
    for system, kinds in found.items():
        for kind in KINDS:
            means = [float(np.mean(kinds[kind][str(weight)])) for weight in WEIGHTS]
            weight = chosen_by(kinds[kind])
            got = float(np.mean(kinds["people"][str(weight)]))
            cells = " | ".join(f"{value:.3f}" for value in means)
            print(
                f"| {one.name} | {system} | {kind} ({len(kinds[kind]['0.5'])}) | {cells} | {weight} | {got:.3f} |",
                flush=True,
            )


def summary(collections: Sequence[Measured], every: Sequence[dict[str, Any]]) -> None:
    """What people get at the half and at the chosen weights, and against BM25."""
    print(
        "\n| collection | BM25 | base, half | base, chosen | tuned, half | tuned, chosen "
        "| against base, half | base, chosen | BM25 |"
    )
    print("| --- |" + " --- |" * 8)
    gains: dict[str, list[float]] = {"half": [], "base half": [], "base chosen": []}
    for one, found in zip(collections, every, strict=True):
        people = {system: kinds["people"] for system, kinds in found.items()}
        weight = {system: str(chosen_by(kinds["reworded"])) for system, kinds in found.items()}
        words, base, tuned = people["base"]["0.0"], people["base"][weight["base"]], people["tuned"][weight["tuned"]]
        against = [difference(one, other, tuned) for other in (people["base"]["0.5"], base, words)]
        cells = [
            f"{np.mean(people[system]['0.5']):.3f} | {np.mean(people[system][weight[system]]):.3f} ({weight[system]})"
            for system in ("base", "tuned")
        ]
        print(f"| {one.name} | {np.mean(words):.3f} | {' | '.join(cells)} | {' | '.join(against)} |")
        gains["half"].append(np.mean(people["tuned"]["0.5"]) / np.mean(people["base"]["0.5"]) - 1)
        gains["base half"].append(np.mean(tuned) / np.mean(people["base"]["0.5"]) - 1)
        gains["base chosen"].append(np.mean(tuned) / np.mean(base) - 1)
    print("\nMean gain of the hybrid with tuned over that with base:",
          f"both half {np.mean(gains['half']):+.1%}; both chosen {np.mean(gains['base chosen']):+.1%};",
          f"chosen over the half with base {np.mean(gains['base half']):+.1%}")  # fmt: skip


def difference(one: Measured, before: Sequence[float], after: Sequence[float]) -> str:
    found = compare(
        scores(one, before, False), scores(one, after, False), EvalSettings(resamples=2000), one.people.clusters
    )
    row = found[DECIDING_METRIC]
    return f"{row.delta:+.3f}, p {row.p:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="+", metavar="NAME=HOME:GOLD", type=Measured.of)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--lever", default="filled, crop")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    header(WEIGHTS)
    for one in chosen.collections:
        table(one, curves(one, chosen.models, chosen.lever, chosen.seed))
    summary(chosen.collections, [curves(one, chosen.models, chosen.lever, chosen.seed) for one in chosen.collections])


def header(weights: Sequence[float]) -> None:
    print("| collection | system | questions |", " | ".join(map(str, weights)), "| best | people's there |")
    print("| --- |" + " --- |" * (len(weights) + 4))


if __name__ == "__main__":
    main()
