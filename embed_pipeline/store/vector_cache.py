"""Embeddings on disk, each computed once: vectors in memory-mapped shards, found by a hash of what they depend on.

::

    <folder>/index.sqlite        key -> position
    <folder>/vectors-00000.f32   positions 0 … 999,999: rows of float32, one after the other
    <folder>/vectors-00001.f32   …

Vectors are written and synced before the index names them, so that a kill at any moment loses at most the batch under
way; several processes may share a folder. Matrices too large for memory come back memory-mapped, in the order asked
for.
"""

import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from embed_pipeline.files import fsync_folder
from embed_pipeline.progress import say
from embed_pipeline.store.content_cache import erase, open_shared, rows_of
from embed_pipeline.store.databases import told

Matrix = NDArray[np.float32]
SHARD_ROWS = 1_000_000
LARGE_BYTES = 2**30
"""Matrices above this are memory-mapped instead of held."""
_ROWS_AT_ONCE = 65_536
_COLUMNS = "place (key BLOB PRIMARY KEY, position INTEGER UNIQUE) WITHOUT ROWID"


def width_of(folder: Path) -> int | None:
    """The width of the vectors in a folder of a :class:`VectorCache`, told by their number; None where it cannot be."""
    with closing(open_shared(folder / "index.sqlite", _COLUMNS)) as index:
        (rows,) = index.execute("SELECT coalesce(max(position) + 1, 0) FROM place").fetchone()
    shard = folder / "vectors-00000.f32"
    if not rows or not shard.is_file():
        return None
    width, rest = divmod(shard.stat().st_size, 4 * min(rows, SHARD_ROWS))
    return width if width and not rest else None


class VectorCache:
    """``key -> vector`` of one width, keys being bytes."""

    def __init__(self, folder: Path, width: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.width = folder, width
        self._lock = threading.Lock()
        self._writing = FileLock(folder / "write.lock")
        self._index = open_shared(folder / "index.sqlite", _COLUMNS)
        self._file = folder / "index.sqlite"
        self._forget_lost_vectors()

    def positions(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Where the known ones among ``keys`` stand."""
        with self._lock, told(self._file):
            return dict(rows_of(self._index, "SELECT key, position FROM place", keys))

    def add(self, keys: Sequence[bytes], vectors: Matrix) -> None:
        """Store vectors [keys, width]; keys that are known keep theirs."""
        with self._writing:
            known = self.positions(keys)
            new = {key: row for row, key in enumerate(keys) if key not in known}
            if not new:
                return
            with self._lock, told(self._file):
                (first,) = self._index.execute("SELECT coalesce(max(position) + 1, 0) FROM place").fetchone()
            self._write(int(first), np.ascontiguousarray(vectors[list(new.values())], np.float32))
            with self._lock, told(self._file), self._index:
                rows = zip(new, range(int(first), int(first) + len(new)), strict=True)
                self._index.executemany("INSERT INTO place VALUES (?, ?)", rows)

    def gather(self, positions: Sequence[int] | NDArray[np.int64]) -> Matrix:
        """The vectors [positions, width] in the order asked for.

        Above 1 GiB the result is a memory-mapped temporary file that vanishes with it.
        """
        places = np.asarray(positions, np.int64)
        out = self._room(len(places))
        shards = {int(shard): self._shard(int(shard)) for shard in np.unique(places // SHARD_ROWS)}
        for start in range(0, len(places), _ROWS_AT_ONCE):
            part = places[start : start + _ROWS_AT_ONCE]
            for shard in np.unique(part // SHARD_ROWS):
                rows = np.flatnonzero(part // SHARD_ROWS == shard)
                out[start + rows] = shards[int(shard)][part[rows] % SHARD_ROWS]
        return out

    def forget(self, keys: Iterable[bytes]) -> None:
        """Remove vectors for good; wherever no known vector stands there are zeros afterwards."""
        with self._writing, self._lock, told(self._file):
            erase(self._index, "DELETE FROM place WHERE key = ?", keys)
            used = np.fromiter((row[0] for row in self._index.execute("SELECT position FROM place")), np.int64)
            self._blank(used)

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()

    def _blank(self, used: NDArray[np.int64]) -> None:
        """Zeros wherever no known vector stands; the last file ends with the last one, by which its width is told."""
        end = int(used.max()) + 1 if len(used) else 0
        for number, path in enumerate(sorted(self.folder.glob("vectors-*.f32"))):
            rows = max(0, min(end - number * SHARD_ROWS, SHARD_ROWS))
            os.truncate(path, min(path.stat().st_size, 4 * self.width * rows))
            free = np.setdiff1d(np.arange(rows), used - number * SHARD_ROWS)
            if len(free):
                vectors = np.memmap(path, np.float32, "r+", shape=(rows, self.width))
                vectors[free] = 0
                vectors.flush()

    def _forget_lost_vectors(self) -> None:
        """Vectors that the index names and that are not there, since a file was cut off or removed, are made again."""
        with self._writing, self._lock, told(self._file):
            (end,) = self._index.execute("SELECT coalesce(max(position) + 1, 0) FROM place").fetchone()
            for shard in range(-(-int(end) // SHARD_ROWS)):
                path = self._path(shard)
                rows = path.stat().st_size // (4 * self.width) if path.is_file() else 0
                first, beyond = shard * SHARD_ROWS + rows, min((shard + 1) * SHARD_ROWS, int(end))
                if first < beyond:
                    with self._index:
                        self._index.execute("DELETE FROM place WHERE position >= ? AND position < ?", (first, beyond))
                    say(f"{path}: {beyond - first} vectors are missing from it; they are computed again")

    def _room(self, rows: int) -> Matrix:
        if rows * self.width * 4 <= LARGE_BYTES:
            return np.empty((rows, self.width), np.float32)
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".matrix.") as file:  # mapped, so it outlives its name
            return np.memmap(file.name, np.float32, "w+", shape=(rows, self.width))

    def _path(self, shard: int) -> Path:
        return self.folder / f"vectors-{shard:05}.f32"

    def _shard(self, shard: int) -> Matrix:
        path = self._path(shard)
        rows = path.stat().st_size // (4 * self.width)  # a killed writer may have left part of a row
        return np.memmap(path, np.float32, "r", shape=(rows, self.width))

    def _write(self, first: int, vectors: Matrix) -> None:
        for start, shard, row in self._stretches(first, len(vectors)):
            room = SHARD_ROWS - row
            path = self._path(shard)
            path.touch()
            with path.open("r+b") as file:
                file.seek(row * self.width * 4)
                file.write(vectors[start : start + room].tobytes())
                file.truncate()  # what a killed process left behind
                file.flush()
                os.fsync(file.fileno())
        fsync_folder(self.folder)

    @staticmethod
    def _stretches(first: int, count: int) -> Iterator[tuple[int, int, int]]:
        """(first row of the batch, shard, row in the shard) of each shard that positions ``first`` … touch."""
        done = 0
        while done < count:
            shard, row = divmod(first + done, SHARD_ROWS)
            yield done, shard, row
            done += SHARD_ROWS - row
