"""The fingerprint of a corpus without reading what has not changed.

The cache file holds, of each file of the corpus, what the system says of it and the hash of its content::

    <SHA-256 of the next line>
    {"<path>": [bytes, mtime_ns, inode, ctime_ns, "<sha256>"], ...}

A hash is believed while those four are the same. What changed so shortly before it was hashed that it could change
once more without them showing it (git calls such a file *racy*) is not remembered. The file is written whole or not at
all, so two processes may use it: at worst one hashes again what the other knew. A damaged one is made anew.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from embed_pipeline.corpus.manifest import fingerprint_of
from embed_pipeline.corpus.selection import EVERYTHING, Selection
from embed_pipeline.corpus.walk import Found, look_at, unreadable
from embed_pipeline.files import sha256_bytes, sha256_file, sha256_json, sha256_text, write_bytes

RACY_SECONDS = 2.0
"""The coarsest clock of a file system in use: that of FAT."""
_SAVE_SECONDS = 10.0

Stamp = tuple[int, int, int, int]
Known = dict[str, tuple[Stamp, str]]


def cache_file(home: Path, root: Path) -> Path:
    """Where a home remembers the files of the corpus at ``root``."""
    return home / "cache" / "corpus_files" / f"{sha256_text(str(root.resolve()))[:16]}.json"


@dataclass(frozen=True)
class CorpusState:
    """What a corpus holds now.

    Attributes:
        fingerprint: as :func:`~embed_pipeline.corpus.manifest.corpus_fingerprint` gives it.
        files: ``{path: (bytes, sha256)}`` of every file that could be read.
        unreadable: ``{path: reason}`` of files and folders that could not be.
    """

    fingerprint: str
    files: Mapping[str, tuple[int, str]]
    unreadable: Mapping[str, str]


@dataclass(frozen=True)
class StillHashing:
    """The time given was not enough; what was hashed is remembered."""

    done: int
    of: int


def cached_fingerprint(root: Path, cache: Path, selection: Selection = EVERYTHING) -> str:
    """What :func:`~embed_pipeline.corpus.manifest.corpus_fingerprint` gives, reading only what has changed.

    Args:
        root: the corpus.
        cache: the file to remember hashes in, made when it is missing: see :func:`cache_file`.
        selection: what of a folder of documents belongs to the corpus.

    Raises:
        InputError: the path is missing, or a file without training data.
    """
    state = read_state(look_at(root, selection), cache)
    assert isinstance(state, CorpusState)
    return state.fingerprint


def signature(entries: Sequence[Found]) -> str:
    """Changes whenever anything may have changed, a touch included; no file is opened."""
    return sha256_json([(entry.path, entry.reason, entry.stat and _stamp(entry.stat)) for entry in entries])


def read_state(entries: Sequence[Found], cache: Path, seconds: float | None = None) -> CorpusState | StillHashing:
    """What a corpus holds, reading only what has changed.

    Args:
        entries: from :func:`~embed_pipeline.corpus.walk.look_at`.
        cache: see :func:`cached_fingerprint`.
        seconds: after this long no further file is begun.
    """
    before = _load(cache)
    hashing = _Hashing(entries, before, cache)
    finished = hashing.run(seconds)
    if hashing.known != before:
        _save(cache, hashing.known)
    if not finished:
        return StillHashing(len(hashing.contents), len(entries))
    reasons = {entry.path: entry.reason for entry in entries if entry.reason} | hashing.failed
    contents = [(entry.path, entry.reason or hashing.contents[entry.path]) for entry in entries]
    files = {
        entry.path: (entry.stat.st_size, hashing.contents[entry.path])
        for entry in entries
        if entry.stat and entry.path not in hashing.failed
    }
    return CorpusState(fingerprint_of(contents), files, reasons)


class _Hashing:
    """One pass over the files.

    Attributes:
        contents: ``{path: sha256, or why there is none}``.
        known: what may be remembered.
        failed: ``{path: reason}`` of those that could not be read.
    """

    def __init__(self, entries: Iterable[Found], before: Known, cache: Path) -> None:
        files = [(entry.path, entry.location, entry.stat) for entry in entries if entry.stat is not None]
        self.cache = cache
        self.contents: dict[str, str] = {}
        self.known: Known = {}
        self.failed: dict[str, str] = {}
        self._new: list[tuple[str, str]] = []
        for path, location, status in files:
            stamp, digest = before.get(path, (None, ""))
            if stamp == _stamp(status):
                self.contents[path], self.known[path] = digest, (stamp, digest)
            else:
                self._new.append((path, location))

    def run(self, seconds: float | None) -> bool:
        """Hash what is new; whether it was possible in time. What is long is saved on the way, against a kill."""
        began = saved = time.monotonic()
        for path, location in self._new:
            now = time.monotonic()
            if seconds is not None and now - began >= seconds:
                return False
            if now - saved >= _SAVE_SECONDS:
                _save(self.cache, self.known)
                saved = now
            self._hash(path, Path(location))
        return True

    def _hash(self, path: str, file: Path) -> None:
        looked = time.time()
        try:
            before = file.stat()
            digest = sha256_file(file)
            after = file.stat()
        except OSError as error:
            self.contents[path] = self.failed[path] = unreadable(error)
            return
        self.contents[path] = digest
        stamp = _stamp(before)
        if stamp == _stamp(after) and not _is_racy(before, looked):
            self.known[path] = (stamp, digest)


def _is_racy(status: os.stat_result, looked: float) -> bool:
    """Whether a later change could leave the same stamp; a time of modification in the future says nothing."""
    modified = status.st_mtime if status.st_mtime <= looked else 0.0
    return max(status.st_ctime, modified) > looked - RACY_SECONDS


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns


def _load(cache: Path) -> Known:
    try:
        digest, body = cache.read_bytes().split(b"\n", 1)
    except (OSError, ValueError):
        return {}
    if digest.decode("ascii", "replace") != sha256_bytes(body):
        return {}
    rows = json.loads(body).items()
    return {path: ((size, mtime, inode, ctime), found) for path, (size, mtime, inode, ctime, found) in rows}


def _save(cache: Path, known: Known) -> None:
    rows = {path: (*stamp, digest) for path, (stamp, digest) in known.items()}
    body = json.dumps(rows, separators=(",", ":")).encode("ascii")
    with suppress(OSError):  # a home that is read only, or a full disk: it only costs the time of hashing again
        write_bytes(cache, sha256_bytes(body).encode("ascii") + b"\n" + body)
