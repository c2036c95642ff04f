"""The tables of what `lever_runs.py` measured.

    python benchmarks/gpu/lever_table.py CELLS NAME=HOME:GOLD ... [--json OUT]

For every lever: nDCG@10 of the model / of it fused with BM25, the weight of each seed's fusion chosen on the reworded
validation questions as the pipeline chooses it, means over the seeds. Beside each figure whether it differs from the
profile's (paired by clusters, p below 0.05, not corrected): ``+`` or ``-``. ``--json`` writes the cells as
`benchmarks/levers.py table` and `benchmarks/training_quality.py --table` read them, levers
under the names they have there.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from lever_runs import LEVERS, WHOLE
from levers import Measured

from embed_pipeline.evaluation.compare import DECIDING_METRIC, compare
from embed_pipeline.evaluation.fusion_weight import WEIGHTS, weight_of
from embed_pipeline.evaluation.metrics import QueryScores
from embed_pipeline.files import write_json
from embed_pipeline.settings import EvalSettings

SHARE = "0.5"
ELSEWHERE = {"profile": "filled, crop", "random batches": "fast"}
"""Names of `benchmarks/levers.py`."""
KINDS = ("dense", "half", "chosen")
HEAD = "mean gain over base: dense / fused half and half / both chosen / chosen over base half and half"


def share_of(name: str) -> str:
    return "0.0" if name == "base" or name.startswith(WHOLE) else SHARE


def cell(file: Path, share: str, kept: "np.ndarray[Any, Any]") -> dict[str, Any]:
    """nDCG@10 question by question: of the model, fused half and half, and fused at the chosen weight."""
    with np.load(file) as found:
        people = found[f"people {share}"].astype(float)[:, kept]
        asked = found[f"validation {share}"].astype(float)
        weight = weight_of({one: asked[round(one * 10)] for one in WEIGHTS})
        steps, seconds = int(found["steps"]), float(found["seconds"])
    kinds = {"bm25": people[0], "dense": people[10], "half": people[5], "chosen": people[round(weight * 10)]}
    return {**kinds, "weight": weight, "steps": steps, "seconds": seconds, "validation": float(asked[10].mean())}


class Asked(Measured):
    """A collection without the questions left out."""

    left_out: frozenset[str] = frozenset()

    @cached_property
    def questions(self) -> tuple[str, ...]:
        return tuple(query for query in sorted(self.people.queries) if query not in self.left_out)

    @cached_property
    def kept(self) -> "np.ndarray[Any, Any]":
        return np.array([query not in self.left_out for query in sorted(self.people.queries)])


def runs(cells: Path, one: Asked, name: str, share: str | None = None) -> list[dict[str, Any]]:
    files = sorted((cells / one.name).glob(f"{name}~*.npz"))
    exact = [file for file in files if re.fullmatch(rf"{re.escape(name)}~\d+", file.stem)]
    return [cell(file, share or share_of(name), one.kept) for file in exact]


def mean_of(found: Sequence[dict[str, Any]], kind: str) -> Any:
    return np.mean([run[kind] for run in found], axis=0)


def scores(one: Asked, values: Any) -> QueryScores:
    return QueryScores(one.questions, (DECIDING_METRIC,), np.asarray(values)[:, None])


def p_of(one: Asked, before: Any, after: Any) -> float:
    clusters = {query: one.people.clusters[query] for query in one.questions if query in one.people.clusters}
    found = compare(scores(one, before), scores(one, after), EvalSettings(resamples=2000), clusters)
    return found[DECIDING_METRIC].p


def sign(one: Asked, before: Any, after: Any) -> str:
    if p_of(one, before, after) >= 0.05:
        return ""
    return "+" if after.mean() > before.mean() else "-"


def table(cells: Path, collections: Sequence[Asked], names: Sequence[str], against: str, share: str | None) -> None:
    print(f"| lever (marks: against {against}) | seeds |", " | ".join(one.name for one in collections), f"| {HEAD} |")
    print("| --- | ---: |" + " --- |" * (len(collections) + 1))
    base = {one.name: runs(cells, one, "base") for one in collections}
    other = {one.name: runs(cells, one, against) for one in collections}
    for name in ("base", *names):
        row, gains, seeds = [], {kind: [] for kind in (*KINDS, "over half")}, set()
        for one in collections:
            found = runs(cells, one, name, None if share is None or share_of(name) == "0.0" else share)
            if not found:
                row.append("")
                continue
            seeds.add(len(found))
            told = []
            for kind in ("dense", "chosen"):
                values = mean_of(found, kind)
                mark = "" if name == against else sign(one, mean_of(other[one.name], kind), values)
                told.append(f"{values.mean():.3f}{mark}")
            for kind in KINDS:
                gains[kind].append(mean_of(found, kind).mean() / mean_of(base[one.name], kind).mean() - 1)
            gains["over half"].append(mean_of(found, "chosen").mean() / mean_of(base[one.name], "half").mean() - 1)
            row.append(" / ".join(told))
        if seeds:
            mean = " / ".join(f"{np.mean(gains[kind]):+.1%}" for kind in gains)
            print(
                f"| {name} | {'-'.join(map(str, sorted({min(seeds), max(seeds)})))} |", " | ".join(row), f"| {mean} |"
            )


def fusion(cells: Path, collections: Sequence[Asked], name: str) -> None:
    """What people get of a lever's fusion, and its difference from what they could have without training."""
    print(
        "| collection | weights | BM25 | base half and half | base, weight chosen | tuned | against each of the three |"
    )
    print("| --- |" + " --- |" * 6)
    for one in collections:
        base, found = runs(cells, one, "base")[0], runs(cells, one, name)
        tuned = mean_of(found, "chosen")
        others = [base["bm25"], base["half"], base["chosen"]]
        told = [f"{tuned.mean() - other.mean():+.3f} (p {p_of(one, other, tuned):.3f})" for other in others]
        weights = ", ".join(f"{run['weight']:.1f}" for run in (base, *found))
        print(
            f"| {one.name} | {weights} |",
            " | ".join(f"{value.mean():.3f}" for value in (*others, tuned)),
            f"| {'; '.join(told)} |",
        )


def write_cells(cells: Path, collections: Sequence[Asked], names: Sequence[str], out: Path) -> None:
    for one in collections:
        base = runs(cells, one, "base")[0]
        parts = {"dense": base["dense"], "hybrid": base["half"], "stems": base["half"]}
        parts |= {"bm25 hybrid": base["bm25"], "bm25 stems": base["bm25"]}
        write_json(out / one.name / "base.json", {key: value.round(5).tolist() for key, value in parts.items()})
        for name in names:
            for seed, run in enumerate(runs(cells, one, name)):
                kinds = {"dense": run["dense"], "hybrid": run["half"], "stems": run["half"]}
                figures = {key: value.round(5).tolist() for key, value in kinds.items()}
                found = {"steps": run["steps"], "seconds": run["seconds"], "weights": {SHARE: figures}}
                write_json(out / one.name / f"{ELSEWHERE.get(name, name)}~{seed}.json", found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("collections", nargs="+", metavar="NAME=HOME:GOLD", type=Asked.of)
    parser.add_argument("--levers", default=";".join(LEVERS))
    parser.add_argument("--against", default="profile")
    parser.add_argument("--share", help="of the base model in the average: 0.3, 0.5, 0.7")
    parser.add_argument("--leave-out", default="", help="ids of questions, by ','")
    parser.add_argument("--fusion", action="store_true", help="of the lever --against, beside BM25 and both hybrids")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    Asked.left_out = frozenset(chosen.leave_out.split(","))
    names = chosen.levers.split(";")
    if chosen.json:
        write_cells(chosen.cells, chosen.collections, names, chosen.json)
    if chosen.fusion:
        fusion(chosen.cells, chosen.collections, chosen.against)
        return
    table(chosen.cells, chosen.collections, names, chosen.against, chosen.share)


if __name__ == "__main__":
    main()
