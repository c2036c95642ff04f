"""What a run would read and make no use of, told before it begins."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from embed_pipeline.errors import InputError
from embed_pipeline.settings import Settings
from embed_pipeline.stages.plan import PlanStep
from embed_pipeline.store.names import plain_name, variant_of

ROWS_LOOKED_AT = 10_000


def unused(steps: Mapping[str, PlanStep], settings: Settings) -> list[str]:
    """Negatives of ``sdg.import_from`` that a training to be computed would leave unused, in words; mostly nothing."""
    return list(dict.fromkeys(_lines(steps, settings)))


def unused_negatives(count: int, what: str) -> str:
    """How to say that given negatives are not trained with, and how they would be."""
    return (
        f"{count:,} of {what} bring negatives, and the model is trained without: finetune.hard_negatives is 0, as in "
        "the profile cpu. Set finetune.hard_negatives to 4 (--set finetune.hard_negatives=4) to train with up to four "
        "of each; steps then take longer."
    )


def _lines(steps: Mapping[str, PlanStep], settings: Settings) -> Iterator[str]:
    count = cache(_rows_with_negatives)
    for name, step in steps.items():
        if step.action != "compute" or plain_name(name) != "checkpoint":
            continue
        chosen = step.stage.derive(settings)
        given = chosen.sdg.import_from
        if given is None or chosen.finetune.hard_negatives:
            continue
        found, looked_at = count(given.expanduser())
        if found:
            first = "the " if looked_at < ROWS_LOOKED_AT else "the first "
            variant = variant_of(name)
            of = "" if variant is None else f" (variant {variant})"
            yield unused_negatives(found, f"{first}{looked_at:,} rows of sdg.import_from {given}{of}")


def _rows_with_negatives(path: Path) -> tuple[int, int]:
    """Of the first rows of training data, and how many these are; what cannot be read is told by the stage."""
    from embed_pipeline.formats.training_questions import rows_with_negatives
    from embed_pipeline.sdg.exchange.read import training_files_of

    try:
        return rows_with_negatives(training_files_of(path), ROWS_LOOKED_AT)
    except InputError:
        return 0, 0
