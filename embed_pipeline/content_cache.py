"""A small on-disk map from content hash to bytes, for results that cost money or GPU time.

One SQLite file in WAL mode: every ``put`` is durable when it returns, several processes may share it, and
a kill at any moment loses nothing that was put.
"""

import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

_MAX_VARIABLES = 900  # SQLite's oldest default limit is 999 bound variables


class ContentCache:
    """``key -> bytes``, keys being hex digests of everything that determines the value."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS content (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
        self._connection.commit()

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The known ones among ``keys``."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, bytes] = {}
        with self._lock:
            for start in range(0, len(wanted), _MAX_VARIABLES):
                part = wanted[start : start + _MAX_VARIABLES]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, value FROM content WHERE key IN ({marks})"  # noqa: S608 - only question marks
                rows = self._connection.execute(query, part)
                found.update(rows)
        return found

    def get(self, key: str) -> bytes | None:
        """One value, or None."""
        return self.get_many([key]).get(key)

    def put_many(self, values: Mapping[str, bytes]) -> None:
        """Store values; a key that is already there keeps its value."""
        with self._lock, self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO content VALUES (?, ?)", list(values.items()))

    def put(self, key: str, value: bytes) -> None:
        """Store one value."""
        self.put_many({key: value})

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
