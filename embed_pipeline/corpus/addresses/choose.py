"""Which files of a listing are fetched, told from names and sizes before anything is fetched.

Of a folder of documents those that a run would read; of a data set (BEIR, SDG records, training data, tables) its
files.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from embed_pipeline.corpus.addresses.listing import BAD_NAME, Entry, Listing
from embed_pipeline.corpus.manifest import name_reason
from embed_pipeline.corpus.parsers.registry import format_of
from embed_pipeline.corpus.selection import IGNORE_FILE, Chooser, Selection
from embed_pipeline.corpus.walk import HIDDEN_FILE, HIDDEN_FOLDER, OFFICE_LOCK, Found, unreadable
from embed_pipeline.formats.beir import CORPUS
from embed_pipeline.formats.row_files import ROW_SUFFIXES
from embed_pipeline.formats.rows import SUFFIXES
from embed_pipeline.text.path_patterns import PathPatterns

_DEEPEST = 4
"""Folders that a data set is looked for in, one in another, as ``configuration/data/train``."""
Ignored = Mapping[str, PathPatterns]
"""Folder with ``/`` at its end -> the patterns of its ``.embedignore``."""


@dataclass(frozen=True)
class Choice:
    """What a run would fetch.

    Attributes:
        of_files: it is a folder of documents, no data set.
        found: everything, as a walk through the folder would find it; ``stat`` tells the size alone.
        entries: by path, what is to be fetched.
        ignoring: the ``.embedignore`` files, which are fetched as well.
    """

    of_files: bool
    found: Sequence[Found]
    entries: Mapping[str, Entry]
    ignoring: Sequence[Entry] = ()


def choose(listing: Listing, selection: Selection, ignored: Ignored) -> Choice:
    """Decide it.

    Args:
        ignored: see :func:`ignore_files`.
    """
    wanted = _of_data(listing, selection)
    if wanted is not None:
        chosen = {entry.path: entry for entry in listing.entries if wanted(entry.path) and entry.reason is None}
        return Choice(False, [_found(entry, None) for entry in chosen.values()], chosen)
    found = selection.sampled(sorted(_Walk(listing, selection, ignored).through(), key=lambda one: one.path))
    by_path = {entry.path: entry for entry in listing.entries}
    return Choice(
        True,
        found,
        {one.path: by_path[one.path] for one in found if one.reason is None},
        [*ignore_files(listing, selection)],
    )


def ignore_files(listing: Listing, selection: Selection) -> list[Entry]:
    """The ``.embedignore`` files that count; of a data set none does."""
    if _of_data(listing, selection) is not None:
        return []
    return [entry for entry in listing.entries if _name(entry) == IGNORE_FILE and not _in_hidden(entry.path)]


def _of_data(listing: Listing, selection: Selection) -> Callable[[str], bool] | None:
    """What of a data set is fetched; None where it is a folder of documents."""
    if listing.lone:
        return lambda _: True
    if selection.rows:
        return lambda path: path.lower().endswith(ROW_SUFFIXES) and path.removeprefix("data/").count("/") == 0
    paths = [entry.path for entry in listing.entries if not _in_hidden(entry.path)]
    if CORPUS in paths:
        return lambda path: path == CORPUS
    documents = (
        path for path in paths if format_of(path) is not None and not _is_hidden(path) and not _is_readme(path)
    )
    if next(documents, None) is not None or not any(_may_hold_rows(path) for path in paths):
        return None
    return _may_hold_rows


def _may_hold_rows(path: str) -> bool:
    return path.lower().endswith(SUFFIXES) and path.count("/") < _DEEPEST and not (_is_hidden(path) or _in_hidden(path))


class _Walk:
    """One way through a listing, as :mod:`embed_pipeline.corpus.walk` goes through a folder."""

    def __init__(self, listing: Listing, selection: Selection, ignored: Ignored) -> None:
        self._entries, self._ignored, self._limit = listing.entries, ignored, selection.max_bytes
        self._chooser = Chooser(selection)
        self._folders: dict[str, Found | None] = {"": None}

    def through(self) -> Iterator[Found]:
        for entry in self._entries:
            if entry.reason == BAD_NAME:
                yield _found(entry, entry.reason)
            elif self._left_out(entry.path.rpartition("/")[0]) is None:
                yield _found(entry, self._reason(entry))
        yield from (found for path, found in self._folders.items() if found is not None and found.path == path)

    def _left_out(self, folder: str) -> Found | None:
        """The folder, or the one above it, that is not looked into."""
        if folder not in self._folders:
            above = self._left_out(folder.rpartition("/")[0])
            reason = self._why_not(folder) if above is None else None
            self._folders[folder] = above or (Found(folder, "", None, reason) if reason is not None else None)
        return self._folders[folder]

    def _why_not(self, folder: str) -> str | None:
        name = folder.rpartition("/")[2]
        if name.startswith("."):
            return HIDDEN_FOLDER
        return self._chooser.why_not_folder(folder, self._above(folder)) or (
            OFFICE_LOCK if name.startswith("~$") else None
        )

    def _reason(self, entry: Entry) -> str | None:
        if _name(entry).startswith("."):
            return HIDDEN_FILE
        left_out = self._chooser.why_not_file(entry.path, self._above(entry.path))
        if left_out is None and _name(entry).startswith("~$"):
            return OFFICE_LOCK
        return left_out or entry.reason or name_reason(entry.path, entry.size, self._limit)

    def _above(self, path: str) -> list[tuple[str, PathPatterns]]:
        """The patterns of the folders that a path lies in, the outermost first."""
        folders = [f"{above}/" for above in reversed(PurePosixPath(path).parents) if str(above) != "."]
        return [(folder, self._ignored[folder]) for folder in ("", *folders) if folder in self._ignored]


def _found(entry: Entry, reason: str | None) -> Found:
    size = os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, entry.size or 0, 0, 0, 0))
    return Found(entry.path, "", size if reason is None else None, reason)


def located(found: Found, tree: Path) -> Found:
    """The same of the file in a copy; one that is not there cannot be read."""
    if found.reason is not None:
        return found
    file = tree / found.path
    try:
        return replace(found, location=str(file), stat=file.lstat())
    except OSError as error:
        return replace(found, location=str(file), stat=None, reason=unreadable(error))


def _name(entry: Entry) -> str:
    return entry.path.rpartition("/")[2]


def _is_hidden(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".")


def _in_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/")[:-1])


def _is_readme(path: str) -> bool:
    return "/" not in path and path.lower().startswith("readme")
