"""Which files of a folder belong to the corpus: patterns of the settings, ``.embedignore`` files, a sample."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from embed_pipeline.corpus.parsers.registry import format_of
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_text
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.text.path_patterns import PathPatterns

if TYPE_CHECKING:
    from embed_pipeline.corpus.walk import Found

IGNORE_FILE = ".embedignore"
NOT_INCLUDED, EXCLUDED = "not in corpus.include", "excluded by corpus.exclude"
IGNORED, NOT_SAMPLED = f"excluded by {IGNORE_FILE}", "not in the sample (corpus.sample)"
Ignoring = Sequence[tuple[str, PathPatterns]]
"""Path of a folder with ``/`` at its end, and the patterns of its ``.embedignore``; the outermost first."""


@dataclass(frozen=True)
class Selection:
    """What of a folder of documents belongs to the corpus; everything by default.

    Attributes:
        include, exclude: patterns, see :mod:`embed_pipeline.text.path_patterns`.
        sample: how many of the documents are taken; None for all.
        max_bytes: larger files are skipped, and no sample takes them.
        rows: the documents are rows of tables.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sample: int | None = None
    max_bytes: int | None = None
    rows: bool = False

    def chooses(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.include or self.exclude or self.sample)

    def sampled(self, entries: Iterable["Found"]) -> "list[Found]":
        """The entries, documents that are not in the sample with that as the reason.

        Documents are taken by the hash of their paths: the same every time, and one that is added takes the place of at
        most one other.
        """
        found = list(entries)
        if self.sample is None:
            return found
        documents = [entry.path for entry in found if self.is_document(entry)]
        left = set(sorted(documents, key=lambda path: (sha256_text(path), path))[self.sample :])
        return [replace(entry, stat=None, reason=NOT_SAMPLED) if entry.path in left else entry for entry in found]

    def is_document(self, entry: "Found") -> bool:
        """Whether text would be read from it, as far as its name and size tell."""
        if entry.reason is not None or entry.stat is None or not entry.stat.st_size:
            return False
        small = self.max_bytes is None or entry.stat.st_size <= self.max_bytes
        return small and format_of(entry.path) is not None


EVERYTHING = Selection()


def fitting_nothing(include: Iterable[str], paths: Collection[str]) -> list[str]:
    """The patterns of ``corpus.include`` that name none of the paths; those with ``!`` only take back."""
    alone = {pattern: PathPatterns([pattern]) for pattern in include if not pattern.startswith("!")}
    return [pattern for pattern, one in alone.items() if not any(map(one.match, paths))]


def selection_of(settings: CorpusSettings) -> Selection:
    """What the settings choose."""
    limit = int(settings.max_file_mb * 1_000_000)
    return Selection(settings.include, settings.exclude, settings.sample, limit, bool(settings.columns))


class Chooser:
    """Says of one path after another why it does not belong to the corpus."""

    def __init__(self, selection: Selection) -> None:
        self._include, self._exclude = PathPatterns(selection.include), PathPatterns(selection.exclude)

    def why_not_folder(self, path: str, ignoring: Ignoring) -> str | None:
        """The reason for not walking a folder."""
        return self._excluded(f"{path}/", ignoring)

    def why_not_file(self, path: str, ignoring: Ignoring) -> str | None:
        """The reason for leaving out a file."""
        excluded = self._excluded(path, ignoring)
        return NOT_INCLUDED if excluded is None and self._include and not self._include.match(path) else excluded

    def _excluded(self, path: str, ignoring: Ignoring) -> str | None:
        if self._exclude.decides_entry(path):
            return EXCLUDED
        for folder, patterns in reversed(ignoring):
            decided = patterns.decides_entry(path[len(folder) :])
            if decided is not None:
                return IGNORED if decided else None
        return None


def ignore_file(path: Path) -> PathPatterns:
    """The patterns of an ``.embedignore``.

    Raises:
        InputError: it is a link, cannot be read, or holds something that is no pattern: guessing could read what must
            not be read.
    """
    if path.is_symlink():
        raise InputError(f"{path}: is a link, and links are not followed; put a copy of the file there.")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{path}: cannot be read ({reason}), so that nothing says what it excludes.") from error
    for number, line in enumerate(lines, 1):
        try:
            PathPatterns([line])
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}.") from error
    return PathPatterns(lines)
