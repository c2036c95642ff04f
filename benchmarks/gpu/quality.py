"""nDCG@10 on the bundled sample's gold questions: does the precision of the weights change what is found?"""

import math
from typing import Any

from kit import PRECISIONS, Bench, encoder, minilm, sample

from embed_pipeline.evaluation.retrieve import dense_run, ranked
from embed_pipeline.finetune.validation import ndcg
from embed_pipeline.records import RetrievalSet


def run(bench: Bench) -> None:
    ways = [("cpu_fp32", "cpu", "fp32")] + [(f"device_{one}", bench.device, one) for one in PRECISIONS]
    before: dict[str, float] = {}
    for name, device, precision in ways:

        def measured(device: str = device, precision: str = precision) -> dict[str, Any]:
            values = ndcg_by_query(bench, device, precision)
            changed = sum(abs(values[query] - before.get(query, value)) > 1e-9 for query, value in values.items())
            before.update({} if before else values)
            return {"ndcg@10": round(math.fsum(values.values()) / len(values), 6), "questions_changed": changed}

        bench.measure(name, measured)


def ndcg_by_query(bench: Bench, device: str, precision: str) -> dict[str, float]:
    """Question -> nDCG@10, as validation and evaluation compute it."""
    gold = sample()
    if bench.quick:
        kept = dict(list(gold.queries.items())[:20])
        needed = {name for query in kept for name in gold.qrels[query]} | set(list(gold.passages)[:20])
        gold = RetrievalSet("gold", {name: gold.passages[name] for name in sorted(needed)}, kept, gold.qrels)
    found = dense_run(gold, encoder(minilm(bench, bench.size(256, 64)), device, precision), 100)
    return {query: ndcg(ranked(found[query]), gold.qrels[query]) for query in gold.queries}
