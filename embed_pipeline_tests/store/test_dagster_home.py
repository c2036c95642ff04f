"""Dagster's own state: prepared, and named when it cannot be read, with what to delete and what is lost."""

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import dagster as dg
import pytest

from embed_pipeline.errors import DatabaseError
from embed_pipeline.store.dagster_home import damaged_databases, prepare_dagster_home, require_readable_databases


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A home with the history of a run, in a process of its own, so that its databases are closed."""
    home = tmp_path_factory.mktemp("history")
    script = (
        "import sys, dagster as dg\nfrom pathlib import Path\n"
        "from embed_pipeline.store.dagster_home import prepare_dagster_home\n"
        "@dg.asset\ndef one(): pass\n"
        "prepare_dagster_home(Path(sys.argv[1]))\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    assert dg.materialize([one], instance=instance).success\n"
        "    instance.all_instigator_state()\n"
    )
    subprocess.run([sys.executable, "-c", script, str(home)], check=True, capture_output=True)
    return home


@pytest.fixture
def home(history, tmp_path):
    return shutil.copytree(history, tmp_path / "home")


def database(home, name):
    (path,) = (home / "dagster").rglob(name)
    return path


def test_sound_ones_are_sound(home, tmp_path):
    assert len(list((home / "dagster").rglob("*.db"))) >= 3
    assert damaged_databases(home) == []
    require_readable_databases(tmp_path / "no such home")


@pytest.mark.parametrize(
    ("name", "lost"),
    [("runs.db", "the web UI's list of runs"), ("index.db", "the web UI's history of every asset"),
     ("schedules.db", "whether sensor and schedule are switched on")],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["garbage", "header", "pages", "cut"])
def test_a_damaged_one_is_named_and_what_to_delete_makes_it_work_again(home, name, lost, damage):
    path = database(home, name)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    path.write_bytes(
        {
            "garbage": os.urandom(len(whole)),
            "header": b"X" * 16 + whole[16:],
            "pages": whole[:4096] + os.urandom(len(whole) - 4096),
            "cut": whole[: len(whole) // 2],
        }[damage]
    )
    with pytest.raises(DatabaseError) as refused:
        prepare_dagster_home(home)
    message = str(refused.value)
    assert message.startswith(f"{path}: the database is damaged")
    assert lost in message
    assert "no artifact, no model, nothing that cost money" in message
    command = message.partition("Delete it (")[2].partition(")")[0]
    assert shlex.split(command)[0] == "rm"
    subprocess.run(command, shell=True, check=True)
    prepare_dagster_home(home)
    with dg.DagsterInstance.get() as instance:
        assert len(instance.get_runs()) == (0 if name == "runs.db" else 1)


def test_the_log_of_one_run(home):
    (path,) = (found for found in (home / "dagster").rglob("*.db") if len(found.stem) == 36)
    path.write_bytes(b"no database" * 100)
    with pytest.raises(DatabaseError, match=f"the log of run {path.stem}"):
        require_readable_databases(home)


def test_one_that_is_in_use_is_no_damage(home):
    with closing(sqlite3.connect(database(home, "runs.db"))) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert damaged_databases(home) == []
        connection.rollback()


def test_one_that_was_only_just_made_is_no_damage(tmp_path):
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "new.db").touch()
    assert damaged_databases(tmp_path) == []
