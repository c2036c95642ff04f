"""How even are the splits, and what does the leak check cost?

    python benchmarks/splits.py
    python benchmarks/splits.py HOME …

First, components of documents with heavy-tailed sizes and mixtures of query types and hops of their own are placed
by the hash alone and with the balance; counted is how often a share or a stratum is out of tolerance. Second, the
leak check looks for planted repeats among passages of random words, a fifth of them held out, in a process of its
own. Tables of Markdown are printed.

With homes that have been run up to their splits: over how many groups of documents the test questions of each are
spread, placed anew with seed 42 by shares and strata alone ("before") and with the number of groups aimed for.
"""

import random
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from embed_pipeline.prep.splits.balance import LEAST_QUESTIONS, STRATUM_SLACK, TOTAL_SLACK, Component, assign
from embed_pipeline.prep.splits.repeats import Text, certain_duplicate, find_repeats
from embed_pipeline.prep.splits.split import describe
from embed_pipeline.store.artifacts import Store

RATIOS = {"test": 0.1, "validation": 0.1}
PLANTED = 50  # one training passage in so many repeats a held-out one, but for one word


def components(seed: int, count: int) -> list[Component]:
    """Sizes are Pareto-distributed (exponent 1.2), capped at 5 and a tenth of their number."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        size = min(int(1 + 3 * rng.pareto(1.2)), 5 + count // 10)
        kinds = rng.multinomial(size, rng.dirichlet(np.ones(5)))
        hops = rng.multinomial(size, [0.7, 0.2, 0.1])
        counts = (size, *(int(part) for part in (*kinds, *hops)))
        found.append(Component(f"c{number}", float(rng.random()), counts))
    return found


def by_hash(parts: Sequence[Component]) -> dict[str, str]:
    """The stretches of [0, 1) alone."""
    return {part.name: "test" if part.place < 0.1 else "validation" if part.place < 0.2 else "train" for part in parts}


def outside(parts: Sequence[Component], split_of: Mapping[str, str]) -> tuple[int, int, int, int]:
    """Shares out of tolerance, shares; strata out of tolerance, strata."""
    target = 0.1 * np.sum([part.counts for part in parts], axis=0)
    slack = np.maximum(1, target * np.array([TOTAL_SLACK] + [STRATUM_SLACK] * (len(target) - 1)))
    counted = target[1:] >= LEAST_QUESTIONS
    shares = strata = 0
    for split in RATIOS:
        held = np.sum([part.counts for part in parts if split_of[part.name] == split] or [target * 0], axis=0)
        off = np.abs(held - target) > slack + 1e-6
        shares, strata = shares + int(off[0]), strata + int(off[1:][counted].sum())
    return shares, 2, strata, 2 * int(counted.sum())


def balance_table(seeds: int = 50) -> None:
    print(
        "| components | shares out, hash | shares out | strata out, hash | strata out | moved | test groups, before "
        "| test groups | ms, before | ms |"
    )
    print("|" + " ---: |" * 10)
    for count in (30, 100, 300, 1000, 10_000):
        cases = [components(seed, count) for seed in range(seeds if count < 10_000 else 5)]
        before, took_before = timed(cases, test_groups=0)
        placed, took = timed(cases)
        plain = np.sum([outside(case, by_hash(case)) for case in cases], axis=0)
        now = np.sum([outside(case, split_of) for case, split_of in zip(cases, placed, strict=True)], axis=0)
        moved = np.mean(
            [
                sum(by_hash(case)[name] != where for name, where in split_of.items())
                for case, split_of in zip(cases, placed, strict=True)
            ]
        )
        groups = [np.mean([list(one.values()).count("test") for one in every]) for every in (before, placed)]
        shares = [f"{100 * part[0] / part[1]:.1f} %" for part in (plain, now)]
        strata = [f"{100 * part[2] / part[3]:.1f} %" for part in (plain, now)]
        print(
            f"| {count:,} | {' | '.join(shares)} | {' | '.join(strata)} | {moved:.1f} | {groups[0]:,.1f} "
            f"| {groups[1]:,.1f} | {took_before:.1f} | {took:.1f} |",
            flush=True,
        )


def timed(cases: Sequence[Sequence[Component]], **options: int) -> tuple[list[dict[str, str]], float]:
    """Splits of each case, and milliseconds a case."""
    began = time.perf_counter()
    placed = [assign(case, RATIOS, **options) or {} for case in cases]
    return placed, 1000 * (time.perf_counter() - began) / len(cases)


def homes_table(homes: Sequence[str]) -> None:
    """Groups and questions of the test split of each home, before and now."""
    print(
        "| home | groups with questions | questions | test groups, before | test groups | test questions, before "
        "| test questions | validation groups, before | validation groups |"
    )
    print("| --- |" + " ---: |" * 8)
    for home in homes:
        parts = [part for part in components_of(Path(home)) if part.counts[0]]
        cells = [len(parts), sum(part.counts[0] for part in parts)]
        placed = [assign(parts, RATIOS, test_groups=0) or {}, assign(parts, RATIOS) or {}]
        cells += [list(one.values()).count("test") for one in placed]
        cells += [sum(part.counts[0] for part in parts if one[part.name] == "test") for one in placed]
        cells += [list(one.values()).count("validation") for one in placed]
        print(f"| {Path(home).name} | {' | '.join(f'{cell:,}' for cell in cells)} |")


def components_of(home: Path) -> list[Component]:
    """Those of the splits in use, as if nothing had been placed before."""
    splits, pairs = (Store(home).current(name) for name in ("splits", "qa_pairs"))
    if splits is None or pairs is None:
        raise SystemExit(f"{home} has no splits; run embed-pipeline run --home {home} --to splits")
    of_kind = [
        dict(splits.frame().filter(item_type=kind).select("item_id", "component").iter_rows())
        for kind in ("document", "question")
    ]
    return describe(*of_kind, pairs.frame(), {}, seed=42)


def look(count: int) -> None:
    """One row: the leak check's search for near-duplicates among so many passages."""
    rng = random.Random(0)
    words = [f"w{int(rng.paretovariate(0.6)) % 60_000}" for _ in range(400_000)]
    sides: dict[bool, list[Text]] = {True: [], False: []}
    for number in range(count):
        text = rng.choices(words, k=rng.randint(60, 200))
        if number % PLANTED == 1 and sides[True]:
            text = [*sides[True][-1].text.split(), "changed"]
        sides[number % 5 == 0].append(Text(str(number), " ".join(text), str(number), asked=True))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    found = find_repeats(sides[False], sides[True], certain_duplicate(0.85))
    took = time.perf_counter() - began
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"| {count:,} | {count // PLANTED:,} | {len(found):,} | {took:.1f} | {memory:.0f} |", flush=True)


def main() -> None:
    if len(sys.argv) == 2 and sys.argv[1].isdecimal():
        look(int(sys.argv[1]))
        return
    if len(sys.argv) > 1:
        homes_table(sys.argv[1:])
        return
    balance_table()
    print("\n| passages | repeats planted | found | seconds | MiB beyond the texts |")
    print("| ---: | ---: | ---: | ---: | ---: |", flush=True)
    for count in (20_000, 100_000, 400_000):
        subprocess.run([sys.executable, __file__, str(count)], check=True)


if __name__ == "__main__":
    main()
