"""Tells where judgements of gold sets stand beside other texts than they were made on."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from embed_pipeline.files import write_jsonl
from embed_pipeline.progress import say
from embed_pipeline.stages.declare import StageRun

if TYPE_CHECKING:
    from embed_pipeline.evaluation.moved_judgements import Judged
    from embed_pipeline.records import RetrievalSet

JUDGED = "judged.jsonl"


def tell_moved(run: StageRun, sets: "Sequence[RetrievalSet]") -> None:
    """Warn of judgements whose passages have other texts than when first measured, and keep the texts beside."""
    from embed_pipeline.evaluation.moved_judgements import as_judged, judged_now, moved, moved_warning
    from embed_pipeline.formats.beir import CORPUS

    gold = run.settings.eval.all_gold
    of_corpus = {name for name, folder in gold.items() if not (folder.expanduser() / CORPUS).is_file()}
    now = [judged for one in sets if one.name in of_corpus for judged in judged_now(one)]
    judged = as_judged(now, _before(run))
    write_jsonl(run.folder / JUDGED, [one._asdict() for one in judged])
    found = moved(now, judged)
    for name in gold:
        mine = [one for one in found if one.set == name]
        if mine:
            say(f"warning: {moved_warning('eval.gold' if name == 'gold' else f'eval.gold_sets.{name}', mine)}")
    if found:
        run.summary["judgements_moved"] = len(found)


def _before(run: StageRun) -> "list[Judged]":
    from embed_pipeline.evaluation.moved_judgements import Judged

    previous = run.previous()
    if previous is None or not (previous.path / JUDGED).is_file():
        return []
    lines = (previous.path / JUDGED).read_text("utf-8").splitlines()
    return [Judged(**json.loads(line)) for line in lines]
