"""Negatives that somebody brings and that no training will use are told before and while it runs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.finetune import _tell_unused_negatives
from embed_pipeline.stages.graph import stages
from embed_pipeline.stages.plan import PlanStep
from embed_pipeline.stages.unused import unused

WITH = [{"query": f"question {one}", "pos": ["yes"], "neg": ["no"] * (one % 2)} for one in range(6)]
WITHOUT = [{"anchor": "question", "positive": "yes"}]


def written(file: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def told(profile: str, *overrides: str, action: str = "compute") -> list[str]:
    settings = load_settings(None, profile, overrides, {})
    graph = stages(settings)
    return unused({"checkpoint": PlanStep(graph["checkpoint"], action, (), None)}, settings)  # type: ignore[arg-type]


def test_a_plan_says_which_negatives_it_leaves_unused_and_what_uses_them(tmp_path):
    given = f"sdg.import_from={written(tmp_path / 'train.jsonl', WITH)}"
    (line,) = told("cpu", given)
    assert line.startswith(f"3 of the 6 rows of sdg.import_from {tmp_path / 'train.jsonl'} bring negatives")
    assert "--set finetune.hard_negatives=4" in line
    assert told("cpu", given, "finetune.hard_negatives=1") == told("cpu", given, action="reuse") == []
    assert told("cpu") == []


@pytest.mark.parametrize("rows", [WITHOUT, [{"question": "mine", "passage_ids": ["a"]}], [{"query": 1}]])
def test_what_brings_none_or_is_told_elsewhere_says_nothing(tmp_path, rows):
    assert told("cpu", f"sdg.import_from={written(tmp_path / 'train.jsonl', rows)}") == []


def said(settings: Settings, **summary: int) -> list[str]:
    lines: list[str] = []
    training_set = SimpleNamespace(manifest=lambda: SimpleNamespace(summary=summary))
    with reporting(LogReporter(lines.append)):
        _tell_unused_negatives(SimpleNamespace(settings=settings), training_set)  # type: ignore[arg-type]
    return lines


def test_the_training_says_it_too():
    cpu, gpu = (load_settings(None, profile, (), {}) for profile in ("cpu", "gpu"))
    (line,) = said(cpu, rows=1200, rows_with_given_negatives=40)
    assert "warning: 40 of the 1,200 training rows bring negatives" in line
    assert said(gpu, rows=1200, rows_with_given_negatives=40) == []
    assert said(cpu, rows=1200, rows_with_given_negatives=0) == said(cpu, rows=1200) == []
