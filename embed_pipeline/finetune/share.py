"""Part of the training questions, to see whether more of them would help."""

import hashlib
import math
from collections.abc import Sequence

from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import FinetuneSettings


def chosen_rows(rows: Sequence[TrainingRow], settings: FinetuneSettings) -> list[TrainingRow]:
    """The rows of ``finetune.training_share`` of the questions, in their order.

    Questions are taken component by component, so that less of them is fewer documents, not all of them more thinly;
    only the last component may be taken in part. A larger share holds every smaller one with the same seed.

    Returns:
        All rows of ceil(share * questions) questions.
    """
    if settings.training_share == 1:
        return list(rows)
    component = {row.question_id: row.component for row in rows}
    ordered = sorted(
        component, key=lambda question: (_place(component[question], settings), _place(question, settings), question)
    )
    taken = set(ordered[: math.ceil(settings.training_share * len(ordered))])
    return [row for row in rows if row.question_id in taken]


def _place(name: str, settings: FinetuneSettings) -> str:
    return hashlib.sha256(f"{settings.seed}/{name}".encode()).hexdigest()
