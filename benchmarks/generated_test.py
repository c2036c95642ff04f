"""What may be believed of a generated test, measured where there are questions of people, too.

    python benchmarks/generated_test.py words NAME=HOME:GOLD ...
    python benchmarks/generated_test.py trust --out OUT NAME=HOME:GOLD ...

``words``: how well BM25 answers people's questions, generated ones as they were written, and reworded ones
(embed_pipeline/prep/rewording.py). A home needs its splits: `embed-pipeline run --to splits`.

``trust``: does a generated test that earned its say ever say ship where people's questions say regress? The tuned
model and models made worse on purpose (twice and three times as far from the base model as training went, random noise
in the weights) are judged by people's questions, by the generated test alone, and by what was looked at beside it
(embed_pipeline/evaluation/trust.py). A home needs its checkpoint: `embed-pipeline run --to checkpoint`. What is done is
kept in OUT, so a run that was stopped goes on.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parts import Collection

from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.encoders.cached_encoder import CachedEncoder
from embed_pipeline.encoders.spec import Encoder, EncoderSpec, Role, Vectors
from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.compare import DECIDING_METRIC, compare
from embed_pipeline.evaluation.forgetting import general_set
from embed_pipeline.evaluation.lexical import answered_by_words
from embed_pipeline.evaluation.metrics import mean_ndcg, score_run
from embed_pipeline.evaluation.probes import build_probes
from embed_pipeline.evaluation.retrieve import bm25_run, dense_run
from embed_pipeline.evaluation.trust import judge, look
from embed_pipeline.files import write_json
from embed_pipeline.prep.rewording import reworded
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings
from embed_pipeline.settings.sources import load_settings

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
    """nDCG@10 before and after, and what it says."""
    settings = EvalSettings()
    before, after = (score_run(test_set, dense_run(test_set, one, 10), (10,)) for one in (base, tuned))
    found = compare(before, after, settings, test_set.clusters)[DECIDING_METRIC]
    says = "no difference" if found.p >= settings.alpha else "better" if found.delta > 0 else "worse"
    return {"base": found.base, "tuned": found.tuned, "p": found.p, "says": says}


def words_table(collections: Sequence[Collection]) -> None:
    print("| BM25, nDCG@10 | passages | questions of people | generated, as written | reworded | difference |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    spec = base_model()
    for one in collections:
        encoder = CachedEncoder(spec, lambda: TorchEncoder.load(spec, "cpu"), one.home / "cache" / "vectors")
        written = one.written("test")
        measure = answered_by_words(written.passages)
        people = mean_ndcg(one.people, bm25_run(one.people, 10))
        now = measure(reworded(written, set(written.queries), encoder, measure))
        print(
            f"| {one.name} | {len(written.passages):,} | {people:.3f} | {measure(written):.3f} | {now:.3f} "
            f"| {now - people:+.3f} |",
            flush=True,
        )


def trust_table(collections: Sequence[Collection], out: Path) -> None:
    print(
        "| collection | model | questions of people | | generated | reworded, of as written | headings "
        "| agreement (questions, headings) | cosine | believed |"
    )
    print("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for one in collections:
        for row in judged_models(one, out / one.name):
            print(line(row), flush=True)


def judged_models(one: Collection, folder: Path) -> Iterator[dict[str, Any]]:
    """The tuned model and the damaged ones: what people's questions, the generated test and the probes say."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = TorchEncoder.load(EncoderSpec.load(one.artifact("checkpoint").path), "cpu")
    tuned, base = weights_of(encoder), weights_of(TorchEncoder.load(base_model(), "cpu"))
    people, written, before = one.people, one.written("test"), Kept(encoder, base, folder / "base.npz")
    other = reworded(written, set(written.queries), before, answered_by_words(written.passages))
    probes = build_probes(written, other, one.artifact("passages").frame())
    for label, weights in models(base, tuned):
        file = folder / f"{label}.json"
        if not file.exists():
            after = Kept(encoder, weights, folder / f"{label}.npz")
            row = {
                "people": judged(people, before, after),
                "generated": judged(other, before, after),
                "evidence": look(probes, before, after, general_set()),
            }
            write_json(file, row)
        yield {"collection": one.name, "model": label, **json.loads(file.read_text(encoding="utf-8"))}


def base_model() -> EncoderSpec:
    """What the profile `cpu` starts from."""
    settings = load_settings(None, "cpu")
    return base_encoder_spec(settings.base_model, settings.encoder)


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    people, generated, told = row["people"], row["generated"], row["evidence"]
    gains = [told[f"{kind}_tuned"] - told[f"{kind}_base"] for kind in ("reworded", "written")]
    headings = f"{told['headings_tuned'] / told['headings_base'] - 1:+.0%}" if "headings_base" in told else "none"
    agreement = [told.get(f"{kind}_agreement") for kind in ("reworded", "headings")]
    return (
        f"| {row['collection']} | {row['model']} | {people['base']:.3f} → {people['tuned']:.3f} | {people['says']} "
        f"| {generated['base']:.3f} → {generated['tuned']:.3f} | {gains[0]:+.3f} of {gains[1]:+.3f} | {headings} "
        f"| {', '.join('none' if one is None else f'{one:.2f}' for one in agreement)} | {told['cosine']:.3f} "
        f"| {'yes' if judge(told).earned else 'no'} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["words", "trust"])
    parser.add_argument("collections", nargs="+", metavar="NAME=HOME:GOLD", type=Collection.of)
    parser.add_argument("--out", type=Path, default=Path("generated_test"))
    chosen = parser.parse_args()
    if chosen.what == "words":
        words_table(chosen.collections)
    else:
        trust_table(chosen.collections, chosen.out)


if __name__ == "__main__":
    main()
