"""What belongs to a corpus: the one walk of everything that reads, hashes or watches it.

Links are never followed, special files (pipes, sockets) never opened. Hidden files and folders do not belong to it, and
neither does a home that lies inside the folder: else each file a run writes there would be a change of the corpus.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embed_pipeline.corpus.sources.detect import CorpusSource, corpus_source, name_below
from embed_pipeline.errors import InputError
from embed_pipeline.store.home import is_home

HIDDEN_FILE, HIDDEN_FOLDER, HOME = "hidden file", "hidden folder", "home of a pipeline"
OUTSIDE = (HIDDEN_FILE, HIDDEN_FOLDER, HOME)
"""Reasons of what does not belong to the corpus."""
CANNOT_BE_READ = "cannot be read"


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


def open_source(root: Path) -> CorpusSource:
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
    return corpus_source(root)


def found_in(source: CorpusSource) -> list[Found]:
    """Everything below the root in the order of the paths, what does not belong included; of data with a form of its
    own only its files.

    Raises:
        InputError: the root is a file without training data, or a folder that cannot be listed.
    """
    root = source.root
    if source.kind != "files":
        return [_data_file(file, root) for file in source.files]
    if not root.is_dir():
        raise InputError(
            f"{root}: the corpus must be a folder, but this is a file (and no training data). "
            "Set corpus.path to its folder."
        )
    resolved = root.resolve()
    return sorted(_walk(str(resolved), resolved), key=lambda entry: entry.path)


def look_at(root: Path) -> list[Found]:
    """What belongs to the corpus at ``root``, in the order of the paths.

    Raises:
        InputError: see :func:`open_source` and :func:`found_in`.
    """
    return [entry for entry in found_in(open_source(root)) if entry.belongs]


def unreadable(error: OSError) -> str:
    """The reason of a file or folder that cannot be read."""
    return f"{CANNOT_BE_READ}: {error.strerror or type(error).__name__}"


def _data_file(file: Path, root: Path) -> Found:
    path = name_below(file, root)
    try:
        return Found(path, str(file), file.stat())
    except OSError as error:
        return Found(path, str(file), None, unreadable(error))


def _walk(top: str, root: Path) -> Iterator[Found]:
    """Everything below a folder, in any order; folders may lie in one another as deep as the system allows."""
    waiting = [(top, "")]  # folders, each with its escaped path below the root and a ``/`` at its end
    while waiting:
        folder, prefix = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            yield Found(prefix.removesuffix("/") or ".", folder, None, unreadable(error))
            continue
        for entry in entries:
            path = prefix + _readable(entry.name)
            try:
                if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
                    yield _file(entry, path, root)
                elif (reason := _not_entered(entry)) is not None:
                    yield Found(path, entry.path, None, reason)
                else:
                    waiting.append((entry.path, f"{path}/"))
            except FileNotFoundError:
                continue  # removed while we looked
            except OSError as error:
                yield Found(path, entry.path, None, unreadable(error))


def _not_entered(folder: os.DirEntry[str]) -> str | None:
    """Why a folder is not looked into."""
    if is_home(Path(folder.path)):
        return HOME
    if not _is_utf8(folder.name):
        return _NOT_UTF8
    return _OFFICE_LOCK if folder.name.startswith("~$") else None


_NOT_UTF8 = "the file name is not valid UTF-8; rename it"
_OFFICE_LOCK = "lock file of an office program"


def _file(entry: os.DirEntry[str], path: str, root: Path) -> Found:
    """An entry that is no folder to walk; why it is not looked into is judged without opening it."""
    reason, status = None, None
    if entry.name.startswith("."):
        reason = HIDDEN_FOLDER if entry.is_dir(follow_symlinks=False) else HIDDEN_FILE
    elif entry.is_symlink():
        reason = _link_reason(Path(entry.path), root)
    else:
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            reason = "not a regular file"
        elif not _is_utf8(entry.name):
            reason = _NOT_UTF8
        elif entry.name.startswith("~$"):
            reason = _OFFICE_LOCK
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
