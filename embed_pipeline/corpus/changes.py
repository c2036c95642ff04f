"""How much a corpus has changed, in documents and in bytes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from embed_pipeline.corpus.parsers.registry import is_read
from embed_pipeline.corpus.sources.detect import CorpusKind

Files = Mapping[str, tuple[int, str]]
"""``{path: (bytes, sha256)}``."""


@dataclass(frozen=True)
class CorpusChange:
    """What is between two states of a corpus; a document that was only renamed counts once, its bytes not at all.

    Attributes:
        documents_before, documents: how many there were, how many there are.
        bytes_before, bytes: how large they were, how large they are.
        changed: documents that came, went, changed or were renamed.
        changed_bytes: bytes of those that came, went or changed; of the latter the larger size.
    """

    documents_before: int
    documents: int
    bytes_before: int
    bytes: int
    changed: int
    changed_bytes: int

    @property
    def share(self) -> float:
        """The larger of the shares of documents and bytes that changed, of those there were."""
        return max(_share(self.changed, self.documents_before), _share(self.changed_bytes, self.bytes_before))

    @property
    def shrink(self) -> float:
        """The larger of the shares of documents and bytes that are gone, 0 to 1."""
        gone = (
            _share(self.documents_before - self.documents, self.documents_before),
            _share(self.bytes_before - self.bytes, self.bytes_before),
        )
        return max(0.0, *gone)

    def __str__(self) -> str:
        unit, name = (1e6, "MB") if max(self.bytes_before, self.bytes) >= 1e6 else (1e3, "kB")
        size = f"{self.bytes_before / unit:.1f} -> {self.bytes / unit:.1f} {name}"
        return f"{self.documents_before} -> {self.documents} documents, {size}"


def documents_in(files: Files, kind: CorpusKind) -> dict[str, tuple[int, str]]:
    """Those files that texts are read from: not empty, and in a folder of documents of a supported format."""
    return {path: entry for path, entry in files.items() if entry[0] and (kind != "files" or is_read(path))}


def compare(before: Files, now: Files) -> CorpusChange:
    """What has changed from one state of the documents to another."""
    gone, come = before.keys() - now.keys(), now.keys() - before.keys()
    edited = [path for path in before.keys() & now.keys() if before[path][1] != now[path][1]]
    left, arrived = Counter(before[path] for path in gone), Counter(now[path] for path in come)
    moved = left & arrived
    lone = [*(left - moved).elements(), *(arrived - moved).elements()]
    return CorpusChange(
        documents_before=len(before),
        documents=len(now),
        bytes_before=_bytes(before),
        bytes=_bytes(now),
        changed=len(edited) + len(lone) + moved.total(),
        changed_bytes=sum(max(before[path][0], now[path][0]) for path in edited) + sum(size for size, _ in lone),
    )


def _bytes(files: Files) -> int:
    return sum(size for size, _ in files.values())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float(part > 0)
