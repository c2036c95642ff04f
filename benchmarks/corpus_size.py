"""What do the stages up to the splits cost? Processor time and peak memory of each, in a home that stays.

    python benchmarks/corpus_size.py --home HOME --corpus FOLDER [--to splits] [--set corpus.max_file_mb=300 ...]

Each stage runs in a process of its own, through the store as ``embed-pipeline run`` does; what importing takes is told
apart. Run it once more after a change of the corpus and only what changed is computed; a run that was stopped goes on.
``--projected`` fills the cache of embeddings before ``qa_pairs`` with random projections of the words, where the model
would take hours. ``--before TREE`` runs the code of another checkout. A table of Markdown is printed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

STAGES = ("corpus_manifest", "documents", "passages", "qa_candidates", "qa_pairs", "splits")


def run_one(home: Path, name: str, overrides: list[str]) -> dict[str, Any]:
    """Compute or reuse one stage here."""
    import datasketch  # noqa: F401
    import faiss  # noqa: F401
    import matplotlib.backends.backend_svg  # noqa: F401
    import polars  # noqa: F401
    import scipy.sparse.csgraph  # noqa: F401

    from embed_pipeline.settings.sources import load_settings
    from embed_pipeline.stages.graph import stages
    from embed_pipeline.stages.run import run_stage
    from embed_pipeline.store.artifacts import Store

    if name in ("qa_pairs", "splits"):
        import sentence_transformers  # noqa: F401

    settings = load_settings(None, None, overrides)
    home.mkdir(parents=True, exist_ok=True)
    store, declared = Store(home), stages(settings)[name]
    inputs = {one: found for one in declared.inputs if (found := store.current(one)) is not None}
    imports, began = cpu_seconds(), time.perf_counter()
    result = run_stage(declared, settings, store, inputs)
    store.point(result.artifact, result.key, result.outcome, result.seconds)
    own, workers = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "stage": name,
        "outcome": result.outcome,
        "cpu": cpu_seconds() - imports,
        "imports": imports,
        "seconds": time.perf_counter() - began,
        "own": own.ru_maxrss / 1024,
        "worker": workers.ru_maxrss / 1024,
    }


def cpu_seconds() -> float:
    """Of this process and those it started."""
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def project(home: Path, overrides: list[str]) -> None:
    """Vectors of all passages and candidates into the cache of embeddings."""
    import numpy as np

    from embed_pipeline.encoders.base_model import base_encoder_spec
    from embed_pipeline.encoders.cached_encoder import CachedEncoder
    from embed_pipeline.records import passage_text
    from embed_pipeline.settings.sources import load_settings
    from embed_pipeline.store.artifacts import Store
    from embed_pipeline.text.forms import words

    settings, store = load_settings(None, None, overrides), Store(home)
    spec = base_encoder_spec(settings.base_model, settings.encoder)
    width, known = spec.dimensions[0], {}

    class Projected:
        def __init__(self) -> None:
            self.spec = spec

        def encode(self, texts: Any, _role: Any) -> Any:
            found = np.zeros((len(texts), width), np.float32)
            for row, text in enumerate(texts):
                for word in words(text):
                    if word not in known:
                        known[word] = np.random.default_rng(zlib.crc32(word.encode())).standard_normal(width)
                    found[row] += known[word]
            return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)

    encoder = CachedEncoder(spec, Projected, home / "cache" / "embeddings")
    passages, candidates = store.current("passages"), store.current("qa_candidates")
    if passages is not None and candidates is not None:
        rows = passages.frame().select("title", "text").iter_rows()
        encoder.encode([passage_text(*row) for row in rows], "passage")
        encoder.encode(candidates.frame()["question"].to_list(), "query")


def main() -> None:
    """Measure the stages one after the other, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--to", choices=STAGES, default=STAGES[-1])
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SETTING=VALUE")
    parser.add_argument("--projected", action="store_true")
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    overrides = [f"corpus.path={chosen.corpus}", *chosen.overrides]
    if chosen.stage:
        print(json.dumps(run_one(chosen.home, chosen.stage, overrides)))
        return
    paths = {"PYTHONPATH": str(chosen.before)} if chosen.before else {}
    print("| stage | outcome | CPU seconds | of imports | seconds | peak MiB | largest worker |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    total = 0.0
    for name in STAGES[: STAGES.index(chosen.to) + 1]:
        if name == "qa_pairs" and chosen.projected:
            project(chosen.home, overrides)
        command = [sys.executable, __file__, *sys.argv[1:], "--stage", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | paths)
        row = json.loads(done.stdout.splitlines()[-1])
        total += row["cpu"]
        figures = (f"{row['cpu']:.1f}", f"{row['imports']:.1f}", f"{row['seconds']:.1f}", f"{row['own']:.0f}")
        print(f"| {' | '.join((name, row['outcome'], *figures, str(round(row['worker']))))} |", flush=True)
    print(f"| together | | **{total:.1f}** | | | | |")


if __name__ == "__main__":
    main()
