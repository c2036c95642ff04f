"""What an address lists, and who lists and fetches it."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

LONGEST_NAME = 255
"""Bytes of a file's name that file systems take."""
BAD_NAME = "its name cannot be that of a file below the corpus"
REPEATED = "another file has the same name"
SHADOWED = "a folder has the same name"


class Entry(NamedTuple):
    """One file.

    Attributes:
        path: below the corpus, with ``/``.
        size: in bytes; None where nobody says.
        version: another one where the content may have changed; None where nothing tells.
        place: what whoever fetches calls it.
        reason: why it cannot be fetched.
    """

    path: str
    size: int | None
    version: str | None
    place: str
    reason: str | None = None


@dataclass(frozen=True)
class Listing:
    """All files of an address.

    Attributes:
        lone: the address names a file, not a folder.
        revision: the commit, where there are any.
        settled: it never changes.
        archive: version and size of the archive that the files are in.
        pending: it was not fetched, so that nobody knows its files.
        size: of that archive, in bytes.
    """

    entries: Sequence[Entry] = ()
    lone: bool = False
    revision: str | None = None
    settled: bool = False
    archive: str | None = None
    pending: bool = False
    size: int | None = None


class OutOfTimeError(Exception):
    """The time that was given is over; what was fetched stays."""


@dataclass
class Pace:
    """When fetching ends: with its time."""

    seconds: float | None = None
    began: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Go on?

        Raises:
            OutOfTimeError: no.
        """
        if self.seconds is not None and time.monotonic() - self.began >= self.seconds:
            raise OutOfTimeError


Check = Callable[[], None]


class Backend(Protocol):
    """Who can list and fetch. Errors are those of :mod:`embed_pipeline.corpus.addresses.refusals`."""

    def listing(self) -> Listing:
        """Ask what lies there."""

    def fetch(self, entry: Entry, part: Path, check: Check) -> None:
        """Write a file, or go on with what of the same version is there; ``check`` may raise between pieces."""


class Source(Protocol):
    """What a copy is made of."""

    def look(self, pace: Pace | None) -> Listing:
        """What lies there; with a pace an archive may be fetched for it."""

    def bring(self, entries: Sequence[Entry], tree: Path, pace: Pace) -> Iterator[Entry]:
        """Put files into ``tree``, each whole or not at all, in any order; each one once it is there."""


def usable(entries: Iterable[Entry]) -> list[Entry]:
    """The same in order, with the reason for those that no folder of this machine could hold."""
    found: dict[str, Entry] = {}
    for entry in entries:
        path = plain_path(entry.path)
        if path is None:
            shown = entry.path.encode("utf-8", "surrogatepass").decode("utf-8", "backslashreplace")
            found[shown] = entry._replace(path=shown, reason=BAD_NAME)
        else:
            found[path] = entry._replace(path=path)  # of those that an archive repeats the last one counts
    folders = {path[:place] for path in found for place, letter in enumerate(path) if letter == "/"}
    shadowed = {path: entry._replace(reason=SHADOWED) for path, entry in found.items() if path in folders}
    return sorted((found | shadowed).values())


def plain_path(path: str) -> str | None:
    """A path below a folder, ``./`` taken off; None for one that leads out of it or is none."""
    parts = path.removeprefix("./").split("/")
    drive = len(parts[0]) > 1 and parts[0][1] == ":"
    if drive or any(_is_bad(part) for part in parts):
        return None
    return "/".join(parts)


def _is_bad(part: str) -> bool:
    if part in ("", ".", "..") or "\\" in part or "\0" in part:
        return True
    try:
        return len(part.encode("utf-8")) > LONGEST_NAME
    except UnicodeEncodeError:
        return True
