"""What was made of a file or a text before: kept by content, so that a change of one file costs the work of that file.

Three files below ``cache/corpus`` of a home: ``documents.sqlite`` (what a parser made of a file's bytes),
``passages.sqlite`` (where a document was cut) and ``fingerprints.sqlite``.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from embed_pipeline.store.kept import Kept


@dataclass(frozen=True)
class KeptCorpus:
    """What a home keeps of its corpora."""

    documents: Kept
    passages: Kept
    fingerprints: Kept

    @classmethod
    @contextmanager
    def of(cls, home: Path) -> Iterator["KeptCorpus"]:
        """Open what a home keeps, and forget at the end what was long not used.

        Raises:
            DatabaseError: one is damaged.
        """
        with ExitStack() as stack:
            names = ("documents", "passages", "fingerprints")
            yield cls(*(stack.enter_context(Kept.of(home, name)) for name in names))
