"""Batches: which rows train together.

Every positive and negative of a batch is a negative for the other rows of that batch. So two rows whose
questions share a text or a positive never meet; :mod:`embed_pipeline.finetune.collate` leaves out the rest.
"""

import math
import random
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING

from embed_pipeline.batched import batched
from embed_pipeline.progress import say
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import FinetuneSettings

if TYPE_CHECKING:
    import datasets
from embed_pipeline.text.forms import same_text_key

SMALLEST_BATCH = 16
STEPS_PER_EPOCH = 8
GROUPED_BATCHES = 50
"""Batches' worth of shuffled rows that are sorted by length together."""


def fit_batch_size(rows: int, settings: FinetuneSettings) -> int:
    """The batch size of the settings, or less where an epoch would have fewer than eight steps (16 at least)."""
    size = min(settings.batch_size, max(SMALLEST_BATCH, rows // STEPS_PER_EPOCH), rows)
    if size < settings.batch_size:
        say(f"finetune.batch_size {settings.batch_size} is too large for {rows} training rows; using {size}.")
    return size


def row_keys(rows: Sequence[TrainingRow]) -> list[frozenset[str]]:
    """What each row must not share with another of its batch: its question, and every positive of that question.

    Texts count as well as ids, since near-identical rows come with different ids.
    """
    keys: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        question, positive = same_text_key(row.question), same_text_key(row.positive)
        keys[row.question_id] |= {
            f"question id {row.question_id}",
            f"question {question}",
            f"passage id {row.positive_id}",
            f"passage {positive}",
        }
    return [frozenset(keys[row.question_id]) for row in rows]


class SeparatingBatchSampler:
    """Shuffled batches whose rows share no key; every row once per epoch.

    Filled greedily in shuffled order. Rows that fit nowhere else (many rows of one question) end in smaller
    batches. Every epoch has the same number of batches, as the trainer's step count assumes: the number that
    the hardest epoch needs, rounded up to a multiple of the processes; in the others the largest batches are halved.

    Args:
        size: rows of a batch, at most. It is no attribute named batch_size, since accelerate, which gives each process
            its share, would then drop smaller batches.
        lengths: per row a measure of its length; rows of similar length then stand together, in batches of random
            order, which saves padding.
        documents: per row the document of its positive; given with ``together``.
        together: share of the rows that stand in batches filled document by document, where what has to be told apart
            is alike; which documents these are is drawn anew for each epoch.
        processes: that share the batches. Where there are fewer rows than batches are needed, some rows come twice.
    """

    drop_last = False

    def __init__(
        self,
        keys: Sequence[frozenset[str]],
        size: int,
        seed: int,
        epochs: int,
        lengths: Sequence[int] | None = None,
        processes: int = 1,
        documents: Sequence[str] = (),
        together: float = 0.0,
    ) -> None:
        self.size = size
        self._epoch = 0
        orders = [_shuffled(len(keys), seed, epoch) for epoch in range(epochs)]
        parts = [_by_document(order, documents, together) if together else (order, []) for order in orders]
        if lengths is not None:
            parts = [(_by_length(rest, lengths, size * GROUPED_BATCHES), grouped) for rest, grouped in parts]
        plans = [[*_fill(rest, keys, size), *_fill(grouped, keys, size)] for rest, grouped in parts]
        if lengths is not None or together:
            plans = [
                [plan[place] for place in _shuffled(len(plan), seed, -1 - epoch)] for epoch, plan in enumerate(plans)
            ]
        count = math.ceil(max(len(plan) for plan in plans) / processes) * processes
        self._plans = [_split_up(plan, count) for plan in plans]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next; the trainer calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._plans[0])

    def __iter__(self) -> Iterator[list[int]]:
        yield from self._plans[self._epoch]


def _shuffled(count: int, seed: int, epoch: int) -> list[int]:
    order = list(range(count))
    random.Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311 - not cryptography
    return order


def _by_length(order: Sequence[int], lengths: Sequence[int], window: int) -> list[int]:
    """``order`` sorted by length within windows, longest first (as transformers' LengthGroupedSampler)."""
    return [row for part in batched(order, window) for row in sorted(part, key=lambda row: -lengths[row])]


def _by_document(order: Sequence[int], documents: Sequence[str], share: float) -> tuple[list[int], list[int]]:
    """``order`` in two: rows that stay as they are, and ``share`` of the rows with those of a document together.

    The documents come in the order of their first rows, until there are enough rows.
    """
    of_document: dict[str, list[int]] = defaultdict(list)
    for row in order:
        of_document[documents[row]].append(row)
    grouped: list[int] = []
    for rows in of_document.values():
        if len(grouped) >= share * len(order):
            break
        grouped += rows
    taken = set(grouped)
    return [row for row in order if row not in taken], grouped


def _fill(order: Sequence[int], keys: Sequence[frozenset[str]], size: int) -> list[list[int]]:
    pending = deque(order)
    batches = []
    while pending:
        batch: list[int] = []
        used: set[str] = set()
        skipped = []
        while pending and len(batch) < size:
            row = pending.popleft()
            if used.isdisjoint(keys[row]):
                batch.append(row)
                used |= keys[row]
            else:
                skipped.append(row)
        pending.extendleft(reversed(skipped))
        batches.append(batch)
    return batches


def _split_up(batches: Sequence[list[int]], count: int) -> list[list[int]]:
    parts = list(batches)
    while len(parts) < count:
        largest = max(range(len(parts)), key=lambda place: len(parts[place]))
        batch = parts[largest]
        if len(batch) == 1:
            return [*parts, *islice(cycle(parts), count - len(parts))]
        parts[largest : largest + 1] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
    return parts


def index_dataset(rows: int) -> "datasets.Dataset":
    """The trainer's data set: row numbers, which the collator looks up."""
    import datasets

    return datasets.Dataset.from_dict({"row": list(range(rows))})
