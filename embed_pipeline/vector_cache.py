"""Embeddings on disk, each computed once: vectors in memory-mapped shards, found by a hash of what they depend on.

::

    <folder>/index.sqlite        key -> position
    <folder>/vectors-00000.f32   positions 0 … 999,999: rows of float32, one after the other
    <folder>/vectors-00001.f32   …

Vectors are written and synced before the index names them, so that a kill at any moment loses at most the batch under
way; several processes may share a folder. Matrices too large for memory come back memory-mapped, in the order asked
for.
"""

import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from os import fsync
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
SHARD_ROWS = 1_000_000
LARGE_BYTES = 2**30
"""Matrices above this are memory-mapped instead of held."""
_ROWS_AT_ONCE = 65_536
_MAX_VARIABLES = 900  # SQLite's oldest default limit is 999 bound variables


class VectorCache:
    """``key -> vector`` of one width, keys being bytes."""

    def __init__(self, folder: Path, width: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.width = folder, width
        self._lock = threading.Lock()
        self._writing = FileLock(folder / "write.lock")
        self._index = sqlite3.connect(folder / "index.sqlite", timeout=60, check_same_thread=False)
        self._index.execute("PRAGMA journal_mode=WAL")
        self._index.execute("PRAGMA synchronous=FULL")
        self._index.execute("CREATE TABLE IF NOT EXISTS place (key BLOB PRIMARY KEY, position INTEGER) WITHOUT ROWID")
        self._index.execute("CREATE UNIQUE INDEX IF NOT EXISTS by_position ON place (position)")
        self._index.commit()

    def positions(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Where the known ones among ``keys`` stand."""
        wanted = list(dict.fromkeys(keys))
        found: dict[bytes, int] = {}
        with self._lock:
            for start in range(0, len(wanted), _MAX_VARIABLES):
                part = wanted[start : start + _MAX_VARIABLES]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, position FROM place WHERE key IN ({marks})"  # noqa: S608 - only question marks
                found.update(self._index.execute(query, part))
        return found

    def add(self, keys: Sequence[bytes], vectors: Matrix) -> None:
        """Store vectors [keys, width]; keys that are known keep theirs."""
        with self._writing:
            known = self.positions(keys)
            new = {key: row for row, key in enumerate(keys) if key not in known}
            if not new:
                return
            with self._lock:
                (first,) = self._index.execute("SELECT coalesce(max(position) + 1, 0) FROM place").fetchone()
            self._write(int(first), np.ascontiguousarray(vectors[list(new.values())], np.float32))
            with self._lock:
                rows = zip(new, range(int(first), int(first) + len(new)), strict=True)
                self._index.executemany("INSERT INTO place VALUES (?, ?)", rows)
                self._index.commit()

    def gather(self, keys: Sequence[bytes]) -> Matrix:
        """The vectors [keys, width] in the order of ``keys``, all of which must be known.

        Above 1 GiB the result is a memory-mapped temporary file that vanishes with it.
        """
        known = self.positions(keys)
        places = np.fromiter((known[key] for key in keys), np.int64, len(keys))
        out = self._room(len(keys))
        shards = {int(shard): self._shard(int(shard)) for shard in np.unique(places // SHARD_ROWS)}
        for start in range(0, len(places), _ROWS_AT_ONCE):
            part = places[start : start + _ROWS_AT_ONCE]
            for shard in np.unique(part // SHARD_ROWS):
                rows = np.flatnonzero(part // SHARD_ROWS == shard)
                out[start + rows] = shards[int(shard)][part[rows] % SHARD_ROWS]
        return out

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()

    def _room(self, rows: int) -> Matrix:
        if rows * self.width * 4 <= LARGE_BYTES:
            return np.empty((rows, self.width), np.float32)
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".matrix.") as file:  # mapped, so it outlives its name
            return np.memmap(file.name, np.float32, "w+", shape=(rows, self.width))

    def _path(self, shard: int) -> Path:
        return self.folder / f"vectors-{shard:05}.f32"

    def _shard(self, shard: int) -> Matrix:
        return np.memmap(self._path(shard), np.float32, "r").reshape(-1, self.width)

    def _write(self, first: int, vectors: Matrix) -> None:
        for start, shard, row in self._stretches(first, len(vectors)):
            room = SHARD_ROWS - row
            path = self._path(shard)
            with path.open("r+b" if path.exists() else "w+b") as file:
                file.seek(row * self.width * 4)
                file.write(vectors[start : start + room].tobytes())
                file.truncate()  # what a killed process left behind
                file.flush()
                fsync(file.fileno())

    @staticmethod
    def _stretches(first: int, count: int) -> Iterator[tuple[int, int, int]]:
        """(first row of the batch, shard, row in the shard) of each shard that positions ``first`` … touch."""
        done = 0
        while done < count:
            shard, row = divmod(first + done, SHARD_ROWS)
            yield done, shard, row
            done += SHARD_ROWS - row
