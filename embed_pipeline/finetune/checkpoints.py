"""Training checkpoints in the work folder: complete or not there, the right ones kept.

::

    <work>/inputs.json                     hash of everything the training depends on
    <work>/checkpoints/checkpoint-<step>/  model, optimizer, scheduler, random states, trainer_state.json
                       …/complete.json     size and hash of each file, written last
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embed_pipeline.files import hash_tree, write_json
from embed_pipeline.progress import say
from embed_pipeline.settings import FinetuneSettings

COMPLETE = "complete.json"
STATE = "trainer_state.json"
VALIDATION_KEY = "validation_ndcg@10"
KEPT = 2
"""Newest checkpoints kept, so that a damaged one has a predecessor."""


class Checkpoints:
    """Checkpoints of one training under ``work``; those of other inputs are removed."""

    def __init__(self, work: Path, inputs: str) -> None:
        self.folder, self.inputs = work / "checkpoints", inputs
        marker = work / "inputs.json"
        if _read(marker).get("inputs") != inputs:
            shutil.rmtree(self.folder, ignore_errors=True)
            write_json(marker, {"inputs": inputs})
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, step: int) -> Path:
        """Folder of one checkpoint."""
        return self.folder / f"checkpoint-{step}"

    def seal(self, step: int) -> None:
        """Mark a checkpoint as complete, then remove those no longer needed."""
        folder = self.path(step)
        write_json(folder / COMPLETE, {name: list(entry) for name, entry in hash_tree(folder).items()})
        steps = self._steps()
        needed = set(steps[:KEPT])
        needed.update(best for kept in steps[:KEPT] if (best := self._best(kept)) is not None)
        for other in steps:
            if other not in needed:
                shutil.rmtree(self.path(other))

    def resume_from(self) -> Path | None:
        """The newest checkpoint that is complete, together with the best one it knows of; damaged ones are removed."""
        for step in self._steps():
            best = self._best(step)
            if self._is_complete(step) and (best is None or self._is_complete(best)):
                return self.path(step)
            say(f"{self.path(step).name} of the interrupted training is damaged; going back to the one before it.")
            shutil.rmtree(self.path(step))
        return None

    def _steps(self) -> list[int]:
        names = (path.name.rpartition("-")[2] for path in self.folder.glob("checkpoint-*"))
        return sorted((int(step) for step in names), reverse=True)

    def _is_complete(self, step: int) -> bool:
        folder = self.path(step)
        recorded = _read(folder / COMPLETE)
        present = {name: list(entry) for name, entry in hash_tree(folder).items() if name != COMPLETE}
        return bool(recorded) and recorded == present

    def _best(self, step: int) -> int | None:
        return best_step(validations(history_of(self.path(step))))


def validations(history: Sequence[dict[str, Any]]) -> list[tuple[int, float]]:
    """``(step, nDCG@10)`` of every validation in a trainer's log history; step 0 is the base model."""
    return [(int(entry["step"]), float(entry[VALIDATION_KEY])) for entry in history if VALIDATION_KEY in entry]


def best_step(measured: Sequence[tuple[int, float]]) -> int | None:
    """The step with the highest value after training began, the earliest of equals; None without any."""
    trained = [(step, value) for step, value in measured if step > 0]
    return max(trained, key=lambda pair: (pair[1], -pair[0]))[0] if trained else None


def stops_early(history: Sequence[dict[str, Any]], settings: FinetuneSettings) -> bool:
    """Whether the last ``finetune.early_stopping_patience`` validations brought no new best."""
    measured = validations(history)
    best, patience = best_step(measured), settings.early_stopping_patience
    return patience is not None and best is not None and sum(step > best for step, _ in measured) >= patience


def history_of(checkpoint: Path) -> list[dict[str, Any]]:
    """The trainer's log history as of a checkpoint."""
    return list(_read(checkpoint / STATE).get("log_history", []))


def step_of(checkpoint: Path) -> int:
    """The step of a checkpoint."""
    return int(_read(checkpoint / STATE).get("global_step", 0))


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
