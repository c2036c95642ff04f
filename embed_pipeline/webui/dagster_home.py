"""The folder of Dagster's own state under a home, and whether its databases can still be read.

No Dagster here: ``status`` and ``doctor`` look at them too.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import resources
from pathlib import Path

from embed_pipeline.errors import DagsterStateError
from embed_pipeline.files import write_text
from embed_pipeline.store.home import open_home

LARGEST_CHECKED = 64 * 2**20
"""Bytes up to which every page of a database is looked at."""
LOST = {
    "runs.db": "the list of runs",
    "index.db": "the history of every asset",
    "schedules.db": "whether the sensor and the schedule are switched on",
}
KEPT = "Nothing that cost money or time is lost: artifacts, models, questions and answers lie elsewhere in the home."


def prepare_dagster_home(home: Path) -> Path:
    """The folder of Dagster's own state under ``home``, with its dagster.yaml; sets ``DAGSTER_HOME``.

    Raises:
        HomeError: a newer version made the home.
        DagsterStateError: a database in it is damaged.
    """
    open_home(home)
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    require_readable_databases(home)
    text = resources.files("embed_pipeline.defs").joinpath("dagster.yaml").read_text("utf-8")
    target = folder / "dagster.yaml"
    if not target.is_file() or target.read_text("utf-8") != text:
        write_text(target, text)
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def require_readable_databases(home: Path) -> None:
    """Check Dagster's databases of a home.

    Raises:
        DagsterStateError: one is damaged; says which, what to delete, and what is lost.
    """
    damaged = list(damaged_databases(home))
    if not damaged:
        return
    paths = [path for path, _ in damaged]
    lost = sorted({LOST.get(path.name, f"the log of run {path.stem}") for path in paths})
    shown = " ".join(f"'{path}'*" for path in paths[:5]) + (" ..." if len(paths) > 5 else "")
    raise DagsterStateError(
        f"{paths[0]}: Dagster's database is damaged ({damaged[0][1]}). Stop everything that uses this home and delete "
        f"it: rm -f {shown} — what is lost: {', '.join(lost[:5])}. {KEPT}"
    )


def damaged_databases(home: Path) -> Iterator[tuple[Path, str]]:
    """Every database of Dagster under ``home`` that cannot be read, with the reason."""
    for path in sorted((home / "dagster").rglob("*.db")):
        if path.is_file():
            reason = _damage(path)
            if reason is not None:
                yield path, reason


def _damage(path: Path) -> str | None:
    """What is wrong with a database; None where nothing is, or where it is in use just now."""
    try:
        size = path.stat().st_size
        if size == 0:  # made, and not yet written to
            return None
        with path.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                return "not a database"
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return _said_by(connection, thorough=size <= LARGEST_CHECKED and path.name in LOST)
    except sqlite3.OperationalError as error:  # locked, or its folder cannot be written
        return str(error) if "malformed" in str(error) or "disk I/O" in str(error) else None
    except sqlite3.DatabaseError as error:
        return str(error)
    except OSError as error:
        return error.strerror


def _said_by(connection: sqlite3.Connection, thorough: bool) -> str | None:
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not thorough:
        return None
    (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return None if said == "ok" else str(said).splitlines()[0]
