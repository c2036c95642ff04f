"""A :class:`~embed_pipeline.store.content_cache.ContentCache` for what is cheap to make again: what nobody has asked
for in a while is forgotten, so that it does not grow for ever.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from embed_pipeline.store.content_cache import open_shared, rows_of
from embed_pipeline.store.databases import told

DAYS = 30
"""What was not asked for in so many days is forgotten."""


class UsedCache:
    """``key -> bytes``, keys being digests of everything that determines the value; threads and processes share it.

    A damaged file is a :class:`~embed_pipeline.errors.DatabaseError`, whatever is done with it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection = open_shared(path, "content (key BLOB PRIMARY KEY, value BLOB, day INTEGER) WITHOUT ROWID")

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The known ones among ``keys``."""
        with self._lock, told(self.path):
            found: dict[bytes, bytes] = {}
            today, old = _today(), []
            for key, value, day in rows_of(self._connection, "SELECT key, value, day FROM content", keys):
                found[key] = value
                if day != today:
                    old.append((today, key))
            if old:
                with self._connection:
                    self._connection.executemany("UPDATE content SET day = ? WHERE key = ?", old)
        return found

    def put_many(self, values: Mapping[bytes, bytes]) -> None:
        """Store values; a key that is already there keeps its value."""
        rows = [(key, value, _today()) for key, value in values.items()]
        with self._lock, told(self.path), self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO content VALUES (?, ?, ?)", rows)

    def forget_unused(self, days: int = DAYS) -> int:
        """Remove what was not asked for in ``days``; how many values."""
        with self._lock, told(self.path), self._connection:
            return self._connection.execute("DELETE FROM content WHERE day < ?", (_today() - days,)).rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _today() -> int:
    return int(time.time() // 86400)
