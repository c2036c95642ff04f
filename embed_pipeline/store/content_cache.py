"""A small on-disk map from content hash to bytes, for results that cost money or GPU time.

One SQLite file in WAL mode: every ``put`` is durable when it returns, several processes may share it, and
a kill at any moment loses nothing that was put.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from embed_pipeline.store.databases import told

_MAX_VARIABLES = 900  # SQLite's oldest default limit is 999 bound variables


class _Connection(sqlite3.Connection):
    """Closed with its last reference: a cache lives as long as what it is for. Python 3.13 warns of any other."""

    def __del__(self) -> None:
        self.close()


def connect(path: Path) -> sqlite3.Connection:
    """A connection that any thread may use, one at a time; it waits up to a minute for other writers."""
    return sqlite3.connect(path, timeout=60, check_same_thread=False, factory=_Connection)


def open_shared(path: Path, table: str) -> sqlite3.Connection:
    """A database that several threads and processes may share, durable after each commit, with one table.

    Args:
        table: name and columns, as after CREATE TABLE.

    Raises:
        DatabaseError: it is damaged, or cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with told(path):
        connection = connect(path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        connection.commit()
    return connection


def rows_of(connection: sqlite3.Connection, select: str, keys: Iterable[str | bytes]) -> Iterator[Any]:
    """The rows of ``select``, as tuples, whose key is among ``keys``, however many there are."""
    wanted = list(dict.fromkeys(keys))
    for start in range(0, len(wanted), _MAX_VARIABLES):
        part = wanted[start : start + _MAX_VARIABLES]
        marks = ",".join("?" * len(part))
        yield from connection.execute(f"{select} WHERE key IN ({marks})", part)


def erase(connection: sqlite3.Connection, delete: str, keys: Iterable[str | bytes]) -> None:
    """Delete rows so that no trace of them is left in the file: overwritten, and the write-ahead log emptied.

    Args:
        delete: a statement with one parameter.

    Raises:
        sqlite3.OperationalError: somebody else is using the file.
    """
    connection.execute("PRAGMA secure_delete=ON")
    with connection:
        connection.executemany(delete, [(key,) for key in keys])
    empty_log(connection)


def empty_log(connection: sqlite3.Connection) -> None:
    """Make the file smaller by what was deleted, and empty its write-ahead log.

    Raises:
        sqlite3.OperationalError: somebody else is using the file.
    """
    connection.execute("VACUUM")
    (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("database is locked")


class ContentCache:
    """``key -> bytes``, keys being hex digests of everything that determines the value.

    A damaged file is a :class:`~embed_pipeline.errors.DatabaseError`, whatever is done with it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection = open_shared(path, "content (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The known ones among ``keys``."""
        with self._lock, told(self.path):
            return dict(rows_of(self._connection, "SELECT key, value FROM content", keys))

    def get(self, key: str) -> bytes | None:
        """One value, or None."""
        return self.get_many([key]).get(key)

    def put_many(self, values: Mapping[str, bytes]) -> None:
        """Store values; a key that is already there keeps its value."""
        with self._lock, told(self.path), self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO content VALUES (?, ?)", list(values.items()))

    def put(self, key: str, value: bytes) -> None:
        """Store one value."""
        self.put_many({key: value})

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Every key with its value; nothing may be put or forgotten in between."""
        with self._lock, told(self.path):
            yield from self._connection.execute("SELECT key, value FROM content")

    def forget(self, keys: Iterable[str]) -> None:
        """Remove values for good: what they stood in is overwritten, also in the write-ahead log."""
        with self._lock, told(self.path):
            erase(self._connection, "DELETE FROM content WHERE key = ?", keys)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
