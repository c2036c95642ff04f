"""Which trainings a sweep compares, and what each of them came to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embed_pipeline.errors import ArtifactError, SettingsError
from embed_pipeline.finetune.train import LOG_FILE
from embed_pipeline.settings import FinetuneSettings, SweepSettings

UNCHANGED = "unchanged"


def variants(finetune: FinetuneSettings, sweep: SweepSettings) -> dict[str, FinetuneSettings]:
    """Name -> settings of every training beside the unchanged one: each differs from it in one setting.

    Names are the setting and its factor or value, as in ``learning_rate_x0_5`` and ``epochs_2``. Values equal to the
    unchanged ones, or to each other, are left out.

    Raises:
        SettingsError: nothing is left to compare.
    """
    changed: dict[str, FinetuneSettings] = {}
    for factor in sweep.learning_rate_factors:
        name = f"learning_rate_x{factor:g}".replace(".", "_").replace("-", "_").replace("+", "_")
        changed[name] = finetune.model_copy(update={"learning_rate": finetune.learning_rate * factor})
    for epochs in sweep.epochs:
        changed[f"epochs_{epochs}"] = finetune.model_copy(update={"epochs": epochs})
    differ = {name: settings for name, settings in changed.items() if settings != finetune}
    if not differ:
        raise SettingsError(
            "A sweep needs something to compare: set sweep.learning_rate_factors or sweep.epochs to other values than "
            "those of finetune."
        )
    return differ


def course_of(model: Path) -> dict[str, Any]:
    """Steps, best step, final loss and validation of the model in a checkpoint folder.

    Raises:
        ArtifactError: its training log cannot be read.
        SettingsError: it was trained without validation questions, so that nothing tells which training is better.
    """
    try:
        log = json.loads((model / LOG_FILE).read_text("utf-8"))
        names = ("steps", "best_step", "final_loss", "base_validation", "best_validation")
        course = {name: log[name] for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{model / LOG_FILE}: cannot be read: {error}") from error
    if course["best_validation"] is None:
        raise SettingsError(
            "A sweep is decided on the validation questions, but there are none. Set prep.validation_ratio above 0."
        )
    return course


def differing(unchanged: FinetuneSettings, changed: FinetuneSettings) -> Mapping[str, Any]:
    """The settings of ``changed`` that differ."""
    before = unchanged.model_dump()
    return {name: value for name, value in changed.model_dump().items() if value != before[name]}
