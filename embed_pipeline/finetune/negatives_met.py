"""What the questions of a training are told apart from, counted before it begins.

A batch of rows with one passage, or with near-duplicates of it, holds no negative: its loss is 0, and so is what is
learned from it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from embed_pipeline.errors import TrainingError
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.objectives import OBJECTIVES
from embed_pipeline.progress import say
from embed_pipeline.records import TrainingRow
from embed_pipeline.settings import FinetuneSettings

if TYPE_CHECKING:
    from embed_pipeline.finetune.job import TrainingJob

COUNTED_STEPS = 50
"""Steps over which numbers are counted; they are spread over the first epoch."""
FEW = 0.75
"""Share of the rows a batch may hold, or of the negatives a question may meet, below which the user is told."""


@dataclass(frozen=True)
class Met:
    """What the questions of some steps meet.

    Attributes:
        questions: of these steps.
        without: of them, how many meet no negative.
        negatives: passages that a question meets and that do not answer it, summed over the questions.
        left_out: passages in its batch that answer it as well, summed likewise.
    """

    questions: int = 0
    without: int = 0
    negatives: int = 0
    left_out: int = 0

    def __add__(self, other: "Met") -> "Met":
        return Met(
            self.questions + other.questions,
            self.without + other.without,
            self.negatives + other.negatives,
            self.left_out + other.left_out,
        )


def check_negatives(job: "TrainingJob") -> None:
    """Stop where no question meets a negative in the first epoch; tell what makes batches smaller than they could be.

    Raises:
        TrainingError: there is nothing to tell apart.
    """
    steps = list(_steps(job))
    collator = _collator(job)
    stride = max(1, len(steps) // COUNTED_STEPS)
    met = sum((_met(step, collator, job.settings) for step in steps[::stride]), Met())
    if not met.negatives and not any(_met(step, collator, job.settings).negatives for step in steps):
        raise TrainingError(_why_none(job.rows, job.settings))
    for line in _lines(job, met):
        say(line)


def _steps(job: "TrainingJob") -> Iterator[list[list[int]]]:
    """The batches of each step of the first epoch, one for each process."""
    batches = iter(job.sampler)
    for _ in range(job.steps_per_epoch):
        yield list(islice(batches, job.processes))


def _collator(job: "TrainingJob") -> Collator:
    """For its labels alone: it makes no tokens and scores no words."""
    settings = job.settings.model_copy(update={"lexical_share": 0.0})
    return Collator(job.rows, _no_tokens, job.spec, settings)


def _no_tokens(*_: Any, **__: Any) -> dict[str, Any]:
    raise AssertionError("labels are made of rows alone")


def _met(step: Sequence[Sequence[int]], collator: Collator, settings: FinetuneSettings) -> Met:
    kind = OBJECTIVES[settings.objective]
    parts = [[row for batch in step for row in batch]] if kind.meets_other_processes else step
    return sum((_met_in(part, collator, kind.needs_negatives) for part in parts), Met())


def _met_in(rows: Sequence[int], collator: Collator, own_alone: bool) -> Met:
    labels = collator.labels(rows, collator.columns(rows))
    asked = labels["own"] if own_alone else labels["own"] | True
    asked[range(len(rows)), range(len(rows))] = False  # the positive itself
    negatives = (asked & ~labels["left_out"]).sum(1)
    return Met(len(rows), int((negatives == 0).sum()), int(negatives.sum()), int((asked & labels["left_out"]).sum()))


def _why_none(rows: Sequence[TrainingRow], settings: FinetuneSettings) -> str:
    mined = sum(bool(row.negatives) for row in rows)
    if mined and not settings.hard_negatives:
        hint = f"Set finetune.hard_negatives to 4, which uses mined negatives (rows that have some: {mined}), or add"
    else:
        hint = "Let prep.hard_negatives mine some from more documents, or add"
    return (
        f"{_what(rows, settings)}, so that no question is told apart from a passage that does not answer it: the loss "
        f"would be 0 and nothing learned. {hint} questions about other passages."
    )


def _what(rows: Sequence[TrainingRow], settings: FinetuneSettings) -> str:
    if OBJECTIVES[settings.objective].needs_negatives:
        return f"None of the {len(rows)} training rows has a negative that finetune.objective={settings.objective} uses"
    if len(rows) == 1:
        return "There is one training row"
    if _passages(rows) == 1:
        return f"All {len(rows)} training rows are about one passage or near-duplicates of it"
    return f"In every batch of the {len(rows)} training rows all passages answer all questions"


def _passages(rows: Sequence[TrainingRow]) -> int:
    return len({row.positive_group for row in rows})


def _lines(job: "TrainingJob", met: Met) -> Iterator[str]:
    rows, size, batches = len(job.rows), job.sampler.size, len(job.sampler)
    mean = rows / batches
    if mean < FEW * min(size, rows):
        yield (
            f"Batches hold {mean:.1f} rows on average instead of {min(size, rows)}: rows that share a question or a "
            f"passage never meet. Of {rows} rows: {len({row.question for row in job.rows})} different questions, "
            f"{_passages(job.rows)} different passages (near-duplicates count once)."
        )
    all_met = met.negatives + met.left_out
    if met.negatives < FEW * all_met:
        yield (
            f"A question is told apart from {met.negatives / met.questions:.1f} of the {all_met / met.questions:.1f} "
            f"other passages of its batch on average: the rest answer it as well (near-duplicates, or passages of "
            "questions that share one with it) and are left out."
        )
    if met.without:
        yield (
            f"{met.without / met.questions:.0%} of the training questions meet no passage that does not answer them, "
            "and teach nothing."
        )
