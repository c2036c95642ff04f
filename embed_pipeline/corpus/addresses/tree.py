"""Files put into a folder one by one: whole or not at all, several at once, going on where they were broken off."""

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from threading import Event

from embed_pipeline.corpus.addresses.listing import Backend, Check, Entry, Listing, OutOfTimeError, Pace
from embed_pipeline.files import sha256_text

AT_ONCE = 8
_WAITING = 64
BELIEVED_SECONDS = 300.0
"""So long a process believes what it fetched itself, where nothing tells of changes."""
TELLS_NOTHING = "{address}: tells nothing of changes, so that what it holds is fetched in every run"


class Files:
    """A source that lists and fetches files as they are.

    Args:
        parts: folder for what is not whole yet.
    """

    def __init__(self, backend: Backend, parts: Path) -> None:
        self._backend, self._parts = backend, parts

    def look(self, pace: Pace | None) -> Listing:
        """See :class:`~embed_pipeline.corpus.addresses.listing.Source`."""
        return self._backend.listing()

    def bring(self, entries: Sequence[Entry], tree: Path, pace: Pace) -> Iterator[Entry]:
        """See :class:`~embed_pipeline.corpus.addresses.listing.Source`.

        Raises:
            OutOfTimeError: the time is over.
            InputError: one cannot be fetched.
        """
        waiting, stopped = iter(entries), Event()

        def check() -> None:
            pace.check()
            if stopped.is_set():  # another file failed, or nobody waits any more
                raise OutOfTimeError

        self._parts.mkdir(parents=True, exist_ok=True)
        pool = ThreadPoolExecutor(AT_ONCE, "fetch")
        running: dict[Future[None], Entry] = {}
        try:
            while True:
                for entry in islice(waiting, _WAITING - len(running)):
                    running[pool.submit(self._bring, entry, tree, check)] = entry
                if not running:
                    break
                finished, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in finished:
                    entry = running.pop(future)
                    future.result()
                    yield entry
                pace.check()
        finally:
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _bring(self, entry: Entry, tree: Path, check: Check) -> None:
        check()
        part = self._parts / f"{sha256_text(f'{entry.path} {entry.version}')[:32]}.part"
        if entry.version is None:
            part.unlink(missing_ok=True)  # nobody knows whether it is a part of this one
        self._backend.fetch(entry, part, check)
        put(part, tree / entry.path)


def put(part: Path, file: Path) -> None:
    """Give a whole file its name, durably; what stands in its way goes."""
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    make_folder(file.parent)
    if file.is_dir():
        shutil.rmtree(file)
    part.replace(file)


def make_folder(folder: Path) -> None:
    """Make a folder; a file of an earlier listing that has the name of one goes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        for above in (*reversed(folder.parents), folder):
            if above.is_file():
                above.unlink()
        folder.mkdir(parents=True, exist_ok=True)
