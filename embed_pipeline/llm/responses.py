"""Every reply of a language model, kept the moment it arrives, with what it cost.

Raw replies, usable or not: an invalid answer and a refusal were paid for as well, so they too are read again
instead of being asked for again. A reply and its booking are one transaction: after a kill at any moment there
are either both or neither.
"""

import json
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embed_pipeline.files import sha256_json
from embed_pipeline.llm.chat_api import Message, Reply
from embed_pipeline.store.content_cache import ContentCache, connect
from embed_pipeline.store.databases import told

_SPENDING = """
CREATE TABLE IF NOT EXISTS spending (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, seconds REAL NOT NULL,
    estimated INTEGER NOT NULL, answered INTEGER NOT NULL
)"""
_SUMS = """
SELECT model, sum(answered), sum(prompt_tokens), sum(completion_tokens), sum(estimated), sum(seconds)
FROM spending WHERE scope = ? GROUP BY model ORDER BY model"""
_PACE = "SELECT model, avg(seconds) FROM spending WHERE answered GROUP BY model"
_SUM_NAMES = ("requests", "prompt_tokens", "completion_tokens", "estimated", "seconds")


@dataclass(frozen=True)
class Entry:
    """What one request cost.

    Attributes:
        scope: the generation that pays.
        key: of the reply.
        model: that was asked.
        prompt_tokens: as the endpoint counts them, or estimated.
        completion_tokens: likewise.
        seconds: from sending to the last byte.
        estimated: the endpoint did not say how many tokens it were.
        answered: a reply was kept; false for a request that was probably billed but brought nothing.
    """

    scope: str
    key: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    estimated: bool
    answered: bool


def reply_key(model: str, parameters: dict[str, Any], messages: Sequence[Message], schema: dict[str, Any]) -> str:
    """Identity of a request: model, sampling parameters, messages (repair turns included) and JSON schema.

    The endpoint's address is not part of it.
    """
    return sha256_json(["reply/1", model, parameters, [dict(message) for message in messages], schema])


class ResponseStore(ContentCache):
    """Replies and spending beside other content in one SQLite file; several processes may share it.

    Writes are queued and committed in groups by one thread, so that a hundred replies a second cost a few
    fsyncs and the event loop never waits for the disk.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._lock, told(path), self._connection:
            self._connection.execute(_SPENDING)
            self._connection.execute("CREATE INDEX IF NOT EXISTS spending_scope ON spending (scope)")
        self._queue: list[tuple[Reply | None, Entry, Future[None]]] = []
        self._queue_lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, "responses")
        self._writing: sqlite3.Connection | None = None

    def reply(self, key: str) -> Reply | None:
        """The stored reply of a request, or None."""
        stored = self.get(key)
        return Reply(**json.loads(stored)) if stored is not None else None

    def keep(self, reply: Reply | None, entry: Entry) -> Future[None]:
        """Queue a reply and its booking (``reply`` None: the booking alone), durable when the future is done.

        Nothing that was queued is lost by cancelling whoever waits for it. A reply that is already there stays;
        the booking is added all the same.
        """
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # from here on it cannot be cancelled
        with self._queue_lock:
            self._queue.append((reply, entry, done))
        self._writer.submit(self._commit)
        return done

    def flush(self) -> "Future[None]":
        """Done when everything that was queued so far is on the disk, or has failed."""
        return self._writer.submit(self._commit)

    def spending(self, scope: str) -> dict[str, dict[str, float]]:
        """Sums of one scope per model: requests, prompt_tokens, completion_tokens, estimated, seconds."""
        with self._lock, told(self.path):
            rows = self._connection.execute(_SUMS, (scope,)).fetchall()
        return {row[0]: dict(zip(_SUM_NAMES, map(float, row[1:]), strict=True)) for row in rows}

    def pace(self) -> dict[str, float]:
        """Mean seconds that an answer took, by model, over all generations."""
        with self._lock, told(self.path):
            return dict(self._connection.execute(_PACE).fetchall())

    def close(self) -> None:
        """Write what is queued and close the file."""
        self._writer.shutdown()
        if self._writing is not None:
            self._writing.close()
        super().close()

    def _commit(self) -> None:
        """Write everything that is queued in one transaction; runs in the writer thread."""
        with self._queue_lock:
            batch, self._queue = self._queue, []
        if not batch:
            return
        replies = [(entry.key, _encoded(reply)) for reply, entry, _ in batch if reply is not None]
        entries = [tuple(asdict(entry).values()) for _, entry, _ in batch]
        try:
            with told(self.path), self._connected() as connection:
                connection.executemany("INSERT OR IGNORE INTO content VALUES (?, ?)", replies)
                connection.executemany("INSERT INTO spending VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", entries)
        except BaseException as error:
            for *_, done in batch:
                done.set_exception(error)
            return
        for *_, done in batch:
            done.set_result(None)

    def _connected(self) -> sqlite3.Connection:
        """The writer's own connection, so that reading never waits for an fsync."""
        if self._writing is None:
            self._writing = connect(self.path)
            self._writing.execute("PRAGMA synchronous=FULL")
        return self._writing


def _encoded(reply: Reply) -> bytes:
    return json.dumps(asdict(reply), ensure_ascii=False).encode("utf-8", "replace")
