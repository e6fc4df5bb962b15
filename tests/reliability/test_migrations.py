"""A database is brought to the new schema whole or not at all, and a newer one is left alone (R28)."""

import hashlib
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from servers import ROOT

from archive.database.engine import migrate, schema_revision
from archive.errors import StoreError

KILLED_AT = (1, 5, 20, 60, 100)
KILLING = """
import os, signal, sys
from pathlib import Path
import sqlalchemy as sa
from archive.database.engine import migrate

left = int(sys.argv[2])

@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def count(*_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

migrate(Path(sys.argv[1]))
"""


def schema(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as database:
        return sorted(database.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))


def test_a_migration_that_is_killed_anywhere_is_done_at_the_next_start(tmp_path: Path) -> None:
    whole = tmp_path / "whole.sqlite"
    migrate(whole)
    for statements in KILLED_AT:
        path = tmp_path / f"killed-{statements}.sqlite"
        command = [sys.executable, "-c", KILLING, str(path), str(statements)]
        assert subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode == -9
        migrate(path)
        assert schema(path) == schema(whole)
        assert schema_revision(path) == schema_revision(whole)


def test_a_database_of_a_newer_program_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "newer.sqlite"
    migrate(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
        database.commit()
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(StoreError, match="newer version"):
        migrate(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
