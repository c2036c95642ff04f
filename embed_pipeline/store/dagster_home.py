"""The folder of Dagster's own state under a home; no Dagster here, since ``status`` looks at it too."""

import os
from importlib import resources
from pathlib import Path

from embed_pipeline.errors import DatabaseError
from embed_pipeline.files import write_text
from embed_pipeline.store.databases import damage, databases
from embed_pipeline.store.home import open_home, require_writable


def prepare_dagster_home(home: Path) -> Path:
    """The folder of Dagster's own state under ``home``, with its dagster.yaml; sets ``DAGSTER_HOME``.

    Raises:
        HomeError: a newer version made the home, or it cannot be written.
        DatabaseError: a database in it is damaged.
    """
    require_writable(home)
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
        DatabaseError: one is damaged; says which, what to delete, and what is lost.
    """
    damaged = damaged_databases(home)
    if damaged:
        more = f" {len(damaged) - 1} more are damaged: embed-pipeline doctor names them." if len(damaged) > 1 else ""
        raise DatabaseError(f"{damaged[0]} Stop the web UI of this home first.{more}")


def damaged_databases(home: Path) -> list[str]:
    """What is wrong with the databases of Dagster under ``home``, one sentence each."""
    return [text for path in databases(home / "dagster") if (text := damage(path)) is not None]
