"""The SQLite files of a home: whether they are whole, and what a damaged one costs."""

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from embed_pipeline.errors import DatabaseError
from embed_pipeline.store.home import why_not_writable

MOST_BYTES = 2**26
"""Larger files are read page by page only when that is asked for."""
HISTORY = {
    "runs.db": "the web UI's list of runs",
    "index.db": "the web UI's history of every asset",
    "schedules.db": "whether sensor and schedule are switched on",
}
"""What Dagster's databases hold; any other is the log of one run."""
PAID = "endpoint.json"
"""File beside the embeddings that an endpoint gave; those of earlier releases lack it."""
_MAGIC = b"SQLite format 3\0"
_DAMAGED = ("malformed", "not a database", "no such column", "no such table", "has no column", "values were supplied")
_NOT_ALLOWED = ("readonly", "unable to open", "permission", "access")
_BUSY_SECONDS = 5


@dataclass(frozen=True)
class Remedy:
    """What to do about a damaged database.

    Attributes:
        delete: what to delete, files or a folder.
        lost: what is lost by that.
        first: to be tried before, where deleting costs money.
    """

    delete: str
    lost: str
    first: str = ""

    def __str__(self) -> str:
        return f"{self.first}Delete {self.delete}: {self.lost}."


def remedy(path: Path) -> Remedy:
    """What to do about a damaged database of a home, told from its name."""
    beside = f"{path} with {path.name}-wal and {path.name}-shm beside it"
    if path.name == "responses.sqlite":
        return Remedy(
            beside,
            "every reply of a language model in it was paid for and will be asked for, and paid for, again",
            f"Save it first, and try to rescue it (sqlite3 {path.name} .recover), or take it from a backup "
            "(embed-pipeline restore). ",
        )
    if path.name == "index.sqlite" and (path.parent / PAID).is_file():
        return Remedy(
            f"the folder {path.parent}",
            "its embeddings came from an endpoint and will be asked for, and paid for, again",
            f"Save it first, and try to rescue it (sqlite3 {path.name} .recover). ",
        )
    if path.name == "index.sqlite":
        return Remedy(
            f"the folder {path.parent}",
            "its embeddings are computed again, which costs time and, unless an endpoint gave them, no money",
        )
    if path.name == "cross_encoder.sqlite":
        return Remedy(beside, "its scores are computed again, which costs time and no money")
    if path.suffix == ".db":  # Dagster's
        lost = HISTORY.get(path.name, f"the log of run {path.stem}")
        return Remedy(
            f"it (rm -f {shlex.quote(str(path))}*)", f"{lost} is lost; no artifact, no model, nothing that cost money"
        )
    return Remedy(beside, "what it held is made again")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say of a damaged or read-only database what it is and what to do, instead of what SQLite says.

    Raises:
        DatabaseError: it is. Any other error of SQLite passes as it is.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        found = _trouble(path, str(error))
        if found is None:
            raise
        raise DatabaseError(found) from error


def _trouble(path: Path, said: str) -> str | None:
    if any(words in said for words in _DAMAGED):
        return f"{path}: the database is damaged ({said}). {remedy(path)}"
    if any(words in said for words in _NOT_ALLOWED):
        return f"{path}: cannot be written ({said}). Give yourself the right to write {path.parent} and its files."
    return None


def databases(home: Path) -> list[Path]:
    """Every SQLite file of a home."""
    found = [path for pattern in ("*.sqlite", "*.db") for path in home.rglob(pattern) if path.is_file()]
    return sorted(path for path in found if ".tmp/" not in path.as_posix())


def damage(path: Path, deep: bool = False) -> str | None:
    """What is wrong with a database, with what to do; None where nothing is, or where it is in use.

    It is opened as whoever uses it opens it: a connection that may only read leaves files beside the database. Where
    nothing can be written nobody uses it.

    Args:
        deep: read every page also of a large one, and more than the first bytes of the log of a run.
    """
    try:
        size = path.stat().st_size
        if not size:
            return None  # made, and not written to yet
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return _trouble(path, "file is not a database")
        if path.suffix == ".db" and path.name not in HISTORY and not deep:
            return None
        how = "mode=rw" if why_not_writable(path.parent) is None else "mode=ro&immutable=1"
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=_BUSY_SECONDS)) as one:
            one.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if deep or size <= MOST_BYTES:
                (said,) = one.execute("PRAGMA quick_check(1)").fetchone()
                if said != "ok":
                    return f"{path}: the database is damaged ({said.splitlines()[0]}). {remedy(path)}"
    except sqlite3.DatabaseError as error:
        return _trouble(path, str(error))
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror})."
    return None
