"""What belongs to a corpus: the one walk of everything that reads, hashes or watches it.

Links are never followed, special files (pipes, sockets) never opened. Hidden files and folders do not belong to it, nor
does what :mod:`embed_pipeline.corpus.selection` leaves out, nor a home that lies inside the folder: else each file that
a run writes there would be a change of the corpus.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from embed_pipeline.corpus.selection import (
    EVERYTHING,
    EXCLUDED,
    IGNORE_FILE,
    IGNORED,
    NOT_INCLUDED,
    NOT_SAMPLED,
    Chooser,
    Ignoring,
    Selection,
    ignore_file,
)
from embed_pipeline.corpus.sources.detect import CorpusSource, corpus_source, name_below
from embed_pipeline.errors import InputError
from embed_pipeline.store.home import is_home

HIDDEN_FILE, HIDDEN_FOLDER, HOME = "hidden file", "hidden folder", "home of a pipeline"
OUTSIDE = (HIDDEN_FILE, HIDDEN_FOLDER, HOME, NOT_INCLUDED, EXCLUDED, IGNORED, NOT_SAMPLED)
"""Reasons of what does not belong to the corpus."""
CANNOT_BE_READ = "cannot be read"
OFFICE_LOCK = "lock file of an office program"


@dataclass(frozen=True, slots=True)
class Found:
    """One entry below the corpus folder.

    Attributes:
        path: relative to the corpus, with ``/``; undecodable bytes are escaped.
        location: of the entry itself.
        stat: of a file to look into.
        reason: why it is not looked into.
    """

    path: str
    location: str
    stat: os.stat_result | None
    reason: str | None = None

    @property
    def file(self) -> Path:
        """The entry itself."""
        return Path(self.location)

    @property
    def belongs(self) -> bool:
        """Whether it is part of the corpus' content."""
        return self.reason not in OUTSIDE


def open_source(root: Path, selection: Selection = EVERYTHING) -> CorpusSource:
    """Look at what kind of corpus lies at ``root``.

    Raises:
        InputError: the path is missing, or is a home.
    """
    if not root.exists():
        raise InputError(f"{root}: there is no such corpus folder. Set corpus.path to a folder of documents.")
    if root.is_dir() and is_home(root):
        raise InputError(
            f"{root}: this folder is the home of a pipeline, not a corpus. Set corpus.path to the folder of the "
            "documents, or move the home out of it (--home)."
        )
    return corpus_source(root, selection.rows)


def found_in(source: CorpusSource, selection: Selection = EVERYTHING) -> list[Found]:
    """Everything below the root in the order of the paths, what does not belong included; of data with a form of its
    own only its files.

    Raises:
        InputError: the root is a file without records or training data, or a folder that cannot be listed;
            or an ``.embedignore`` that cannot be used.
    """
    root = source.root
    if source.kind != "files":
        if selection.chooses():
            raise InputError(
                f"{root}: is a data set, which is read whole; corpus.include, corpus.exclude and corpus.sample choose "
                "among the files of a folder of documents. Unset them."
            )
        return [_data_file(file, root) for file in source.files]
    if not root.is_dir():
        raise InputError(
            f"{root}: the corpus must be a folder, but this is a file (and holds no SDG records or training data). "
            "Set corpus.path to its folder, or, where it is a table whose rows are documents, corpus.columns; name an "
            "archive with its whole path behind file://."
        )
    from embed_pipeline.corpus.addresses.reading import mirrored

    copied = mirrored(root, selection)
    if copied is not None:
        return copied
    resolved = root.resolve()
    walk = _Walk(resolved, Chooser(selection))
    return selection.sampled(sorted(walk.through(str(resolved)), key=lambda entry: entry.path))


def look_at(root: Path, selection: Selection = EVERYTHING) -> list[Found]:
    """What belongs to the corpus at ``root``, in the order of the paths.

    Raises:
        InputError: see :func:`open_source` and :func:`found_in`.
    """
    return [entry for entry in found_in(open_source(root, selection), selection) if entry.belongs]


def unreadable(error: OSError) -> str:
    """The reason of a file or folder that cannot be read."""
    return f"{CANNOT_BE_READ}: {error.strerror or type(error).__name__}"


def _data_file(file: Path, root: Path) -> Found:
    path = name_below(file, root)
    try:
        return Found(path, str(file), file.stat())
    except OSError as error:
        return Found(path, str(file), None, unreadable(error))


_NOT_UTF8 = "the file name is not valid UTF-8; rename it"


class _Folder(NamedTuple):
    """A folder to look into, its escaped path below the root with a ``/`` at its end, what lies above to ignore."""

    path: str
    prefix: str
    ignoring: Ignoring


class _Walk:
    """One walk below ``root``."""

    def __init__(self, root: Path, chooser: Chooser) -> None:
        self._root, self._chooser = root, chooser

    def through(self, top: str) -> Iterator[Found]:
        """Everything below a folder, in any order; folders may lie in one another as deep as the system allows."""
        waiting: list[_Folder] = [_Folder(top, "", ())]
        while waiting:
            yield from self._in(waiting.pop(), waiting)

    def _in(self, one: "_Folder", waiting: "list[_Folder]") -> Iterator[Found]:
        """What a folder holds; the folders in it that belong to the corpus are left to wait."""
        folder, prefix, ignoring = one
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            yield Found(prefix.removesuffix("/") or ".", folder, None, unreadable(error))
            return
        if any(entry.name == IGNORE_FILE and not entry.is_dir(follow_symlinks=False) for entry in entries):
            ignoring = (*ignoring, (prefix, ignore_file(Path(folder, IGNORE_FILE))))
        for entry in entries:
            path = prefix + _readable(entry.name)
            try:
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    reason = self._not_entered(entry, path, ignoring)
                    if reason is None:
                        waiting.append(_Folder(entry.path, f"{path}/", ignoring))
                    else:
                        yield Found(path, entry.path, None, reason)
                else:
                    yield self._file(entry, path, ignoring)
            except FileNotFoundError:
                continue  # removed while we looked
            except OSError as error:
                yield Found(path, entry.path, None, unreadable(error))

    def _not_entered(self, folder: os.DirEntry[str], path: str, ignoring: Ignoring) -> str | None:
        """Why a folder is not looked into."""
        if is_home(Path(folder.path)):
            return HOME
        left_out = self._chooser.why_not_folder(path, ignoring)
        if left_out is not None:
            return left_out
        if not _is_utf8(folder.name):
            return _NOT_UTF8
        return OFFICE_LOCK if folder.name.startswith("~$") else None

    def _file(self, entry: os.DirEntry[str], path: str, ignoring: Ignoring) -> Found:
        """An entry that is no folder to walk; why it is not looked into is judged without opening it."""
        reason, status = None, None
        if entry.name.startswith("."):
            reason = HIDDEN_FOLDER if entry.is_dir(follow_symlinks=False) else HIDDEN_FILE
        elif (left_out := self._chooser.why_not_file(path, ignoring)) is not None:
            reason = left_out
        elif entry.is_symlink():
            reason = _link_reason(Path(entry.path), self._root)
        else:
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                reason = "not a regular file"
            elif not _is_utf8(entry.name):
                reason = _NOT_UTF8
            elif entry.name.startswith("~$"):
                reason = OFFICE_LOCK
        return Found(path, entry.path, status if reason is None else None, reason)


def _link_reason(link: Path, root: Path) -> str:
    try:
        target = link.resolve(strict=True)
    except FileNotFoundError:
        return "broken link"
    except (OSError, RuntimeError):  # a loop: OSError from 3.13 on, RuntimeError before
        return "link that leads back to itself"
    if not target.is_relative_to(root):
        return "link that leaves the corpus folder"
    return f"link to {_readable(target.relative_to(root).as_posix())}"


def _readable(name: str) -> str:
    """Undecodable bytes escaped."""
    if _is_utf8(name):
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
