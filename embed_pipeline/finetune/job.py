"""What is to be trained, and in how many steps."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import ArtifactError
from embed_pipeline.files import sha256_json
from embed_pipeline.finetune.batches import SeparatingBatchSampler, fit_batch_size, row_keys
from embed_pipeline.finetune.teacher import teacher_version
from embed_pipeline.finetune.validation import POOL_DEPTH
from embed_pipeline.progress import say
from embed_pipeline.records import RetrievalSet, TrainingRow
from embed_pipeline.settings import Bm25Settings, FinetuneSettings
from embed_pipeline.settings.section import keyed


@dataclass(frozen=True)
class TrainingJob:
    """A training.

    Attributes:
        sampler: batches, of which each process gets its share.
        processes: that train at once, each on batches of its own.
        steps: optimizer steps in all; steps_per_epoch: of an epoch.
        base: the base model, where a student of it is trained.
        bm25: how words are compared, where training looks at them.
    """

    rows: Sequence[TrainingRow]
    validation: RetrievalSet | None
    spec: EncoderSpec
    settings: FinetuneSettings
    sampler: SeparatingBatchSampler
    processes: int
    steps: int
    steps_per_epoch: int
    base: EncoderSpec | None = None
    bm25: Bm25Settings = field(default_factory=Bm25Settings)

    def inputs(self) -> str:
        """Hash of everything the trained weights depend on."""
        validation = None
        if self.validation is not None:
            qrels = {query: dict(relevant) for query, relevant in self.validation.qrels.items()}
            validation = [dict(self.validation.passages), dict(self.validation.queries), qrels]
        rows = [asdict(row) for row in self.rows]
        settings = {name: value for name, value in keyed(self.settings).items() if name != "processes"}
        how = [settings, teacher_version(self.settings), self.processes, POOL_DEPTH]
        how += [self.bm25.model_dump(mode="json")] if self.settings.looks_at_words else []
        return sha256_json([rows, validation, self.spec.version(), *how])


def plan_training(
    rows: Sequence[TrainingRow],
    validation: RetrievalSet | None,
    spec: EncoderSpec,
    settings: FinetuneSettings,
    processes: int = 1,
    base: EncoderSpec | None = None,
    bm25: Bm25Settings | None = None,
) -> TrainingJob:
    """Fit the batch size to the rows and the processes, and count the steps."""
    size = fit_batch_size(len(rows), settings)
    share = max(1, size // processes)
    if share * processes != size:
        say(f"finetune.batch_size {size} becomes {share * processes}: {share} for each of {processes} processes.")
    lengths = [_length(row, settings) for row in rows] if settings.length_grouped else None
    sampler = SeparatingBatchSampler(
        row_keys(rows),
        share,
        settings.seed,
        settings.epochs,
        lengths,
        processes,
        [row.document for row in rows],
        settings.same_document_share,
    )
    steps_per_epoch = len(sampler) // processes
    all_steps = settings.epochs * steps_per_epoch
    steps = min(all_steps, settings.max_steps or all_steps)
    words = bm25 or Bm25Settings()
    return TrainingJob(rows, validation, spec, settings, sampler, processes, steps, steps_per_epoch, base, words)


def _length(row: TrainingRow, settings: FinetuneSettings) -> int:
    """Characters of the longest passage of a row: what padding follows."""
    return max(len(text) for text in (row.positive, *list(row.negatives)[: settings.hard_negatives]))


_COLUMNS = [one.name for one in fields(TrainingRow)]


def read_training_rows(folder: Path) -> list[TrainingRow]:
    """Read ``table.parquet`` of a training set.

    Raises:
        ArtifactError: missing, unreadable or without one of the columns.
    """
    import pyarrow
    import pyarrow.parquet

    path = folder / "table.parquet"
    try:
        table = pyarrow.parquet.read_table(path, columns=_COLUMNS)
    except (OSError, pyarrow.ArrowException) as error:
        raise ArtifactError(f"{path}: cannot be read as a training set: {' '.join(str(error).split())}") from error
    return [TrainingRow(**row) for row in table.to_pylist()]
