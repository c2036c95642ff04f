"""Which trainings a sweep compares, and what each of them came to."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embed_pipeline.errors import ArtifactError, SettingsError
from embed_pipeline.finetune.train import LOG_FILE
from embed_pipeline.settings import FinetuneSettings, SweepSettings

UNCHANGED = "unchanged"


def variants(finetune: FinetuneSettings, sweep: SweepSettings) -> dict[str, FinetuneSettings]:
    """Name -> settings of every training beside the unchanged one: each differs from it in one setting.

    Names are the setting and its factor or value: ``learning_rate_x0_5``, ``epochs_2``, ``training_share_0_25``.
    Values equal to the unchanged ones, or to each other, are left out.

    Raises:
        SettingsError: nothing is left to compare.
    """
    changed: dict[str, FinetuneSettings] = {}
    for factor in sweep.learning_rate_factors:
        name = f"learning_rate_x{factor:g}".replace(".", "_").replace("-", "_").replace("+", "_")
        changed[name] = finetune.model_copy(update={"learning_rate": finetune.learning_rate * factor})
    for epochs in sweep.epochs:
        changed[f"epochs_{epochs}"] = finetune.model_copy(update={"epochs": epochs})
    for share in sweep.training_share:
        changed[f"training_share_{share:g}".replace(".", "_")] = finetune.model_copy(update={"training_share": share})
    differ = {name: settings for name, settings in changed.items() if settings != finetune}
    if not differ:
        raise SettingsError(
            "A sweep needs something to compare: set sweep.learning_rate_factors, sweep.epochs or sweep.training_share "
            "to other values than those of finetune."
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


def winner(rows: Sequence[Mapping[str, Any]]) -> int:
    """Place of the best row by validation, the first of several.

    Rows of another share of the questions than the first row's do not take part: they tell what questions bring.
    """
    places = [place for place, row in enumerate(rows) if row["training_share"] == rows[0]["training_share"]]
    return max(places, key=lambda place: (rows[place]["validation"], -place))


def saturation(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that differ from the first in their share of the questions alone, and it, by share; empty without any.

    Args:
        rows: of :class:`embed_pipeline.tables.SweepComparison`, the unchanged training first.
    """
    same = [row for row in rows if all(row[name] == rows[0][name] for name in ("learning_rate", "epochs"))]
    shares = {row["training_share"] for row in same}
    return sorted(same, key=lambda row: float(row["training_share"])) if len(shares) > 1 else []


def saturation_sentence(points: Sequence[Mapping[str, Any]]) -> str:
    """What the last questions brought, in words.

    Args:
        points: at least two, of :func:`saturation`.
    """
    before, last = points[-2:]
    gain = last["validation"] - before["validation"]
    shares = f"From {before['training_share']:.0%} to {last['training_share']:.0%} of the training questions"
    went = f"went from {before['validation']:.4f} to {last['validation']:.4f} ({gain:+.4f})"
    return f"{shares} nDCG@10 on validation {went}."
