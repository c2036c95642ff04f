"""The copy of an address in the home: a folder that every reader of corpora reads as any other.

::

    <home>/cache/addresses/<hash of the address>/
        mirror.json       what the address listed when it was last fetched from
        fetched.jsonl     version of each file that is there, one line as it arrives
        tree/             the files
        parts/, archive/  what is not whole yet; an archive that the files are unpacked from

Only what a run would read is fetched. A file is fetched when its version is not the one that is there, is given its
name when it is whole, and goes when the address no longer lists it. What no run has asked for in 30 days is forgotten.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from embed_pipeline.corpus.addresses.archives import Archive
from embed_pipeline.corpus.addresses.choose import Choice, Ignored, choose, ignore_files, located
from embed_pipeline.corpus.addresses.file_systems import FileSystem
from embed_pipeline.corpus.addresses.hub import HubFolder
from embed_pipeline.corpus.addresses.listing import Backend, Entry, Listing, OutOfTimeError, Pace, Source
from embed_pipeline.corpus.addresses.tree import BELIEVED_SECONDS, TELLS_NOTHING, Files
from embed_pipeline.corpus.addresses.web import WebFile
from embed_pipeline.corpus.selection import Selection, ignore_file
from embed_pipeline.corpus.walk import Found
from embed_pipeline.errors import DiskFullError, InputError
from embed_pipeline.files import remove_tree, sha256_text, write_json, write_text
from embed_pipeline.formats.row_files import ROW_SUFFIXES
from embed_pipeline.progress import say, task
from embed_pipeline.text.addresses import Address, taken_apart
from embed_pipeline.text.path_patterns import PathPatterns

FOLDER = Path("cache") / "addresses"
MIRROR, TREE = "mirror.json", "tree"
_FETCHED, _PARTS, _ARCHIVE, _LOCK = "fetched.jsonl", "parts", "archive", "lock"
_KEPT_SECONDS = 30 * 86_400
_SPARE_BYTES = 500_000_000
_fetched_here: dict[tuple[str, str], float] = {}
_seen: dict[str, tuple[float, Listing]] = {}


class Mirror:
    """The copy of one address.

    Args:
        address: as :func:`~embed_pipeline.text.addresses.checked_address` gives it.
        folder: where it is kept; made when something is fetched.

    Raises:
        SettingsError: nothing that is installed reads such an address.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder, self.tree = address, folder, folder / TREE
        self._source = _source(taken_apart(address), folder)

    @classmethod
    def of(cls, address: str, home: Path) -> "Mirror":
        """The copy that a home keeps."""
        return cls(address, folder_of(address, home))

    def look(self, pace: Pace | None = None, max_age: float = 0.0) -> Listing:
        """What the address lists now; of a commit that is known already nobody is asked.

        Args:
            pace: with one an archive is fetched for it, where it is another one.
            max_age: seconds; what this process was told so recently is believed.

        Raises:
            InputError: it cannot be listed.
            OutOfTimeError: the archive was not fetched in time.
        """
        saved = saved_listing(self.folder)
        if saved is not None and saved.settled:
            return saved
        when, listing = _seen.get(str(self.folder), (0.0, None))
        if listing is not None and not listing.pending and time.monotonic() - when < max_age:
            return listing
        if pace is None:
            listing = self._source.look(None)
        else:
            with self._alone():
                listing = self._source.look(pace)
        _seen[str(self.folder)] = (time.monotonic(), listing)
        return listing

    def choice(self, listing: Listing, selection: Selection) -> Choice:
        """What of it a run would fetch; ``.embedignore`` files are read for it.

        Raises:
            InputError: the address names a single document, or an ``.embedignore`` cannot be used.
        """
        if listing.lone and not listing.entries[0].path.lower().endswith(ROW_SUFFIXES):
            raise InputError(
                f"{self.address}: names a single file that is no archive, table or data set. Name its folder, or an "
                "archive of it."
            )
        return choose(listing, selection, self._ignored(listing, selection))

    def missing(self, choice: Choice) -> list[Entry]:
        """What of it is not there."""
        there = _log(self.folder)
        return [entry for entry in (*choice.ignoring, *choice.entries.values()) if not self._has(entry, there)]

    def fetch(self, listing: Listing, choice: Choice, pace: Pace | None = None) -> bool:
        """Make the copy what the address listed; whether it was possible in time.

        Raises:
            InputError: a file cannot be fetched; what was fetched before is kept.
            DiskFullError: it would not find room.
        """
        with self._alone():
            missing = self.missing(choice)
            if missing and not self._bring(missing, pace or Pace()):
                return False
            self.tree.mkdir(exist_ok=True)
            self._tidy(listing)
            write_json(self.folder / MIRROR, {"address": self.address, **asdict(listing)})
        if self.folder.parent.name == FOLDER.name:  # else it is a copy that goes at the end
            _forget_old(self.folder.parent)
        return True

    def has(self, entries: Sequence[Entry]) -> bool:
        """Whether these are all there."""
        there = _log(self.folder)
        return all(self._has(entry, there) for entry in entries)

    def located(self, choice: Choice) -> list[Found]:
        """What a walk through the copy would find; what is not there cannot be read."""
        return [located(one, self.tree) for one in choice.found]

    def fetch_some(self, entries: Sequence[Entry]) -> None:
        """Fetch these alone; the copy stays what it was otherwise."""
        if self.has(entries):
            return
        with self._alone():
            self._source.look(Pace())  # an archive must be there to be unpacked
            there = _log(self.folder)
            self._bring([entry for entry in entries if not self._has(entry, there)], Pace())

    def root(self, listing: Listing) -> Path:
        """What the readers are given: the folder, or the one file that the address names."""
        return self.tree / listing.entries[0].path if listing.lone else self.tree

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / _LOCK):
            yield

    def _has(self, entry: Entry, there: dict[str, str | None]) -> bool:
        if entry.path not in there or not _is_file(self.tree / entry.path, entry.size):
            return False
        if entry.version is None:
            since = _fetched_here.get((str(self.folder), entry.path))
            return since is not None and time.monotonic() - since < BELIEVED_SECONDS
        return there[entry.path] == entry.version

    def _bring(self, entries: Sequence[Entry], pace: Pace) -> bool:
        if not entries:
            return True
        self._require_room(entries)
        if any(entry.version is None for entry in entries):
            say(TELLS_NOTHING.format(address=self.address))
        self.tree.mkdir(exist_ok=True)
        with (self.folder / _FETCHED).open("a", encoding="utf-8") as log:
            log.write("\n")  # a kill may have left half a line
            try:
                with task("fetch the documents", len(entries)) as running:
                    for entry in self._source.bring(entries, self.tree, pace):
                        log.write(json.dumps([entry.path, entry.version]) + "\n")
                        log.flush()
                        _fetched_here[str(self.folder), entry.path] = time.monotonic()
                        running.advance()
            except OutOfTimeError:
                return False
        return True

    def _require_room(self, entries: Sequence[Entry]) -> None:
        needed, free = sum(entry.size or 0 for entry in entries), shutil.disk_usage(self.folder).free
        if needed + _SPARE_BYTES > free:
            raise DiskFullError(
                f"{self.address}: {needed / 1e9:.1f} GB are to be fetched, and {free / 1e9:.1f} GB are free at "
                f"{self.folder}. Free some space, choose another --home, or take less with corpus.include."
            )

    def _ignored(self, listing: Listing, selection: Selection) -> Ignored:
        entries = ignore_files(listing, selection)
        there = _log(self.folder)
        kept = [entry for entry in entries if self._has(entry, there)]
        found = {_above(entry): ignore_file(self.tree / entry.path) for entry in kept}
        new = [entry for entry in entries if entry not in kept]
        if new:
            with TemporaryDirectory() as folder:
                for entry in self._source.bring(new, Path(folder), Pace()):
                    found[_above(entry)] = _told_of(self.address, entry, Path(folder))
        return found

    def _tidy(self, listing: Listing) -> None:
        """Take out what the address does not list any more, or lists as another version."""
        versions = {entry.path: entry.version for entry in listing.entries}
        log = _log(self.folder)
        kept = {path: version for path, version in log.items() if path in versions and versions[path] == version}
        for file in [Path(top, name) for top, _, names in os.walk(self.tree) for name in names]:
            if file.relative_to(self.tree).as_posix() not in kept:
                file.unlink(missing_ok=True)
        for top, _, _ in os.walk(self.tree, topdown=False):
            if top != str(self.tree):
                with suppress(OSError):  # not empty
                    Path(top).rmdir()
        if kept != log or not (self.folder / _FETCHED).exists():
            lines = "".join(json.dumps([path, version]) + "\n" for path, version in kept.items())
            write_text(self.folder / _FETCHED, lines)
        shutil.rmtree(self.folder / _PARTS, ignore_errors=True)


def folder_of(address: str, home: Path) -> Path:
    """Where a home keeps the copy of an address."""
    return home / FOLDER / sha256_text(address)[:16]


def saved_listing(folder: Path) -> Listing | None:
    """What an address listed when its copy was made; None where there is no whole one."""
    try:
        saved = json.loads((folder / MIRROR).read_bytes())
        saved.pop("address")
        return Listing(**{**saved, "entries": [Entry(*row) for row in saved["entries"]]})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _source(address: Address, folder: Path) -> Source:
    backend: Backend
    if address.scheme in ("http", "https"):
        backend = WebFile(address)
    elif address.scheme == "hf":
        backend = HubFolder(address)
    else:
        backend = FileSystem(address)
    return Archive(address, backend, folder / _ARCHIVE) if address.archive else Files(backend, folder / _PARTS)


def _log(folder: Path) -> dict[str, str | None]:
    """Path -> version of what was fetched; a line that a kill left half is none."""
    found: dict[str, str | None] = {}
    with suppress(OSError):
        for line in (folder / _FETCHED).read_text("utf-8").splitlines():
            with suppress(ValueError, TypeError):
                path, version = json.loads(line)
                found[path] = version
    return found


def _is_file(file: Path, size: int | None) -> bool:
    try:
        return file.is_file() and (size is None or file.stat().st_size == size)
    except OSError:
        return False


def _above(entry: Entry) -> str:
    folder = entry.path.rpartition("/")[0]
    return f"{folder}/" if folder else ""


def _told_of(address: str, entry: Entry, folder: Path) -> PathPatterns:
    try:
        return ignore_file(folder / entry.path)
    except InputError as error:
        raise InputError(str(error).replace(f"{folder}", address)) from error


def _forget_old(copies: Path) -> None:
    """Copies of addresses that no run has asked for in a long time."""
    for folder in copies.iterdir():
        with suppress(OSError):
            mark = folder / (MIRROR if (folder / MIRROR).exists() else _FETCHED)
            if time.time() - mark.stat().st_mtime > _KEPT_SECONDS:
                remove_tree(folder)
