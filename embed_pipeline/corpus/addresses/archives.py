"""An archive at an address: fetched whole, its files unpacked one by one. Nothing in it is believed.

Names that lead out of the folder, links, devices and encrypted files are skipped by name. An archive that unpacks to
far more than its size is refused before anything of that is written.
"""

import math
import shutil
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from stat import S_ISLNK
from typing import IO

from embed_pipeline.corpus.addresses.listing import Backend, Check, Entry, Listing, Pace, usable
from embed_pipeline.corpus.addresses.refusals import telling
from embed_pipeline.corpus.addresses.tree import BELIEVED_SECONDS, TELLS_NOTHING, Files, make_folder, put
from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_file, sha256_text, write_text
from embed_pipeline.progress import say
from embed_pipeline.text.addresses import Address

MOST_MEMBERS = 1_000_000
MOST_TIMES = 100
"""How often an archive may hold its own size; text is packed to a tenth, seldom less."""
ALWAYS_ALLOWED = 1_000_000_000
LINK, SPECIAL, ENCRYPTED = "link in an archive", "not a regular file", "encrypted in its archive"
_PIECE = 1_000_000
_got_here: dict[Path, float] = {}
_LARGEST_HEADER = 1_000_000
_PACKED = (b"PK", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


class Archive:
    """A source that is the files of an archive.

    Args:
        folder: where the archive itself is kept.
    """

    def __init__(self, address: Address, backend: Backend, folder: Path) -> None:
        self._address, self._backend, self._folder = address, backend, folder
        self._file, self._mark = folder / "archive", folder / "version"

    def look(self, pace: Pace | None) -> Listing:
        """See :class:`~embed_pipeline.corpus.addresses.listing.Source`.

        Raises:
            InputError: the archive is damaged, or holds too much.
        """
        listing = self._backend.listing()
        if not listing.lone:
            raise InputError(f"{self._address.target}: is a folder, not an archive. Correct corpus.path.")
        (packed,) = listing.entries
        told = f"{packed.version} {packed.size}"
        if not self._has(packed):
            if pace is None:
                return Listing(archive=told, pending=True, size=packed.size)
            self._get(packed, pace)
        version = told if packed.version is not None else sha256_file(self._file)
        with self._damage_told():
            found = list(self._members(version))
        return Listing(usable(_below(_without_top(found), self._address)), revision=listing.revision, archive=told)

    def bring(self, entries: Sequence[Entry], tree: Path, pace: Pace) -> Iterator[Entry]:
        """See :class:`~embed_pipeline.corpus.addresses.listing.Source`."""
        wanted = {entry.place: entry for entry in entries}
        if not wanted:
            return
        unpack = _unpack_zip if zipfile.is_zipfile(self._file) else _unpack_tar

        def write(place: str, packed: IO[bytes]) -> Entry:
            entry = wanted[place]
            part = self._folder / f"{sha256_text(entry.path)[:32]}.part"
            with part.open("wb") as file:
                _copy(packed, file, pace.check)
            make_folder(tree)
            put(part, tree / entry.path)
            return entry

        with self._damage_told():
            yield from unpack(self._file, wanted, write)

    def _has(self, packed: Entry) -> bool:
        if packed.version is None:
            return self._file.is_file() and time.monotonic() - _got_here.get(self._file, -math.inf) < BELIEVED_SECONDS
        try:
            return self._mark.read_text("utf-8") == packed.version and self._file.is_file()
        except OSError:
            return False

    def _get(self, packed: Entry, pace: Pace) -> None:
        """Fetch the archive; what was kept of another version goes first."""
        self._mark.unlink(missing_ok=True)
        if packed.version is None:
            say(TELLS_NOTHING.format(address=self._address.target))
        one = packed._replace(path=self._file.name)
        for _ in Files(self._backend, self._folder / "parts").bring([one], self._folder, pace):
            write_text(self._mark, packed.version or "")
            _got_here[self._file] = time.monotonic()
        shutil.rmtree(self._folder / "parts", ignore_errors=True)

    def _members(self, version: str) -> Iterator[Entry]:
        """All files in it; ``place`` is their number."""
        limit = max(ALWAYS_ALLOWED, MOST_TIMES * self._file.stat().st_size)
        total = 0
        read = _zip_members if zipfile.is_zipfile(self._file) else _tar_members
        for number, entry in enumerate(read(self._file, version)):
            total += entry.size or 0
            if number >= MOST_MEMBERS or total > limit:
                raise InputError(
                    f"{self._address.target}: would unpack to more than {MOST_TIMES} times its size, or to more than "
                    f"{MOST_MEMBERS:,} files, and is not unpacked. Unpack it yourself and name the folder."
                )
            yield entry

    def _is_page(self) -> bool | None:
        """Of what was fetched; None: it begins as an archive does."""
        with self._file.open("rb") as file:
            start = file.read(262)
        if start.startswith(_PACKED) or start.endswith(b"ustar"):
            return None
        return start.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith((b"<!doctype html", b"<html"))

    @contextmanager
    def _damage_told(self) -> Iterator[None]:
        """Errors of an archive that cannot be read become ours."""
        with telling(self._address.target):
            try:
                yield
            except _BROKEN as error:
                if getattr(error, "errno", None) is not None:
                    raise
                if isinstance(error, tarfile.ReadError) and (page := self._is_page()) is not None:
                    what = "is a web page, as servers send one for a login" if page else "is no zip or tar archive"
                    raise InputError(
                        f"{self._address.target}: {what}; other archives are not read. Correct corpus.path."
                    ) from error
                reason = " ".join(str(error).split())[:120] or type(error).__name__
                raise InputError(
                    f"{self._address.target}: cannot be unpacked ({reason}). It is damaged, or no zip or tar archive; "
                    "others are not read."
                ) from error


def _zip_members(file: Path, version: str) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as archive:
        for number, info in enumerate(archive.infolist()):
            if info.is_dir():
                continue
            reason = LINK if S_ISLNK(info.external_attr >> 16) else ENCRYPTED if info.flag_bits & 1 else None
            yield Entry(info.filename, info.file_size, version, str(number), reason)


class _Header(tarfile.TarInfo):
    """A header of a tar archive; those that only describe another one are read into memory, so they must be small."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type not in tarfile.REGULAR_TYPES and self.size > _LARGEST_HEADER:
            raise tarfile.HeaderError("a header is too large")
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return found


def _tar_members(file: Path, version: str) -> Iterator[Entry]:
    with tarfile.open(file, tarinfo=_Header) as archive:
        for number, info in enumerate(archive):
            archive.members = []  # type: ignore[attr-defined]  # else it keeps all of them
            if info.isdir():
                continue
            reason = LINK if info.issym() or info.islnk() else None if info.isfile() else SPECIAL
            yield Entry(info.name, info.size, version, str(number), reason)


Write = Callable[[str, IO[bytes]], Entry]


def _unpack_zip(file: Path, wanted: Mapping[str, Entry], write: Write) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as archive:
        for number, info in enumerate(archive.infolist()):
            if str(number) in wanted:
                with archive.open(info) as packed:
                    yield write(str(number), packed)


def _unpack_tar(file: Path, wanted: Mapping[str, Entry], write: Write) -> Iterator[Entry]:
    with tarfile.open(file, tarinfo=_Header) as archive:
        for number, info in enumerate(archive):
            archive.members = []  # type: ignore[attr-defined]
            packed = archive.extractfile(info) if str(number) in wanted else None
            if packed is not None:
                yield write(str(number), packed)


def _copy(packed: IO[bytes], file: IO[bytes], check: Check) -> None:
    while piece := packed.read(_PIECE):
        check()
        file.write(piece)


def _without_top(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Without the one folder that everything lies in, where there is one, as archives are usually packed."""
    plain = [entry._replace(path=entry.path.removeprefix("./")) for entry in entries]
    tops = {entry.path.partition("/")[0] for entry in plain if not entry.path.startswith("__MACOSX/")}
    alone = len(tops) == 1 and all("/" in entry.path for entry in plain)
    top = f"{tops.pop()}/" if alone else ""
    for entry in plain:
        if not entry.path.startswith("__MACOSX/"):
            yield entry._replace(path=entry.path.removeprefix(top))


def _below(entries: Iterator[Entry], address: Address) -> Iterator[Entry]:
    """Of a folder inside of the archive, or of all of it.

    Raises:
        InputError: there is nothing in such a folder.
    """
    if not address.inside:
        yield from entries
        return
    folder = PurePosixPath(address.inside).as_posix() + "/"
    below = [entry for entry in entries if entry.path.startswith(folder)]
    if not below:
        raise InputError(f"{address.target}: the archive holds no folder {address.inside}. Correct corpus.path.")
    yield from (entry._replace(path=entry.path.removeprefix(folder)) for entry in below)
