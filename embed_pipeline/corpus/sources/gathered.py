"""What a source gives: documents, what gives none, what the documents lost, and what is told of them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from embed_pipeline.corpus.parsers.file import DocumentRow, Skipped
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.metadata import About, ToldRow


@dataclass(frozen=True)
class Gathered:
    """Rows of :class:`~embed_pipeline.tables.Documents`, of its ``skipped``, ``Dropped`` and ``Metadata``."""

    rows: list[DocumentRow] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    told: list[ToldRow] = field(default_factory=list)

    def add(self, row: DocumentRow, losses: Iterable[Mapping[str, Any]], told: Mapping[str, Iterable[str]]) -> None:
        """A document, what it lost, and what is told of it (name -> values)."""
        doc_id = row["doc_id"]
        self.rows.append(row)
        self.dropped.extend({"doc_id": doc_id, **loss} for loss in losses)
        self.told.extend((doc_id, name, value) for name, values in told.items() for value in values)

    def add_row(self, row: DocumentRow, told: Iterable[tuple[str, Any]]) -> None:
        """A document of a data set, and values as they stand there; what cannot be kept of them is told."""
        losses = Losses()
        about = About(losses)
        for name, value in told:
            about.add(name, value)
        self.add(row, map(asdict, losses.told()), about.told())
