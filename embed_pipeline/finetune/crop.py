"""Passages longer than training's length, cut around their evidence instead of after their beginning.

::

    title ─ up to a third of the length ─┐
    text ─ tokens around the evidence ───┴─ what the model sees of a positive in training

Where it is not known what the question is about, and for negatives, the beginning stays, as at inference.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from embed_pipeline.progress import say
from embed_pipeline.records import TrainingRow

TITLE_SHARE = 3
"""The title keeps at most one of so many tokens."""


def around_evidence(rows: Sequence[TrainingRow], tokenizer: Any, length: int) -> list[TrainingRow]:
    """The rows, their positives cut to what stands around the evidence where they have more than ``length`` tokens.

    Args:
        tokenizer: of transformers; the offsets of a fast one say which characters a token covers. With another one the
            rows stay as they are, and a line says so.
        length: tokens, those that the model itself adds not counted.
    """
    if not tokenizer.is_fast:
        say(
            "finetune.crop is evidence, but the model's tokenizer does not tell where its tokens stand; positives are "
            "cut after their beginning."
        )
        return list(rows)
    distinct = list(dict.fromkeys(row.positive for row in rows if row.evidence_start is not None))
    if not distinct:
        return list(rows)
    found = tokenizer(distinct, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = dict(zip(distinct, found["offset_mapping"], strict=True))
    return [
        row if row.evidence_start is None else replace(row, positive=_cropped(row, offsets[row.positive], length))
        for row in rows
    ]


def _cropped(row: TrainingRow, offsets: Sequence[tuple[int, int]], length: int) -> str:
    """Title and the tokens around the evidence; the evidence's own beginning is always among them."""
    text, start, end = row.positive, row.evidence_start or 0, row.evidence_end or 0
    if len(offsets) <= length:
        return text
    title = sum(after <= row.title_length for _, after in offsets)
    kept = min(title, length // TITLE_SHARE)
    room = length - kept
    first = sum(after <= start for _, after in offsets)
    last = max(first + 1, sum(before < end for before, _ in offsets))
    begin = first if last - first >= room else (first + last - room) // 2
    begin = max(title, min(begin, len(offsets) - room))
    if begin <= title:
        return text
    head = text[: offsets[kept - 1][1]] if kept else ""
    window = text[offsets[begin][0] : offsets[min(begin + room, len(offsets)) - 1][1]]
    return f"{head} {window}".strip()
