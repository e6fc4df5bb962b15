"""Open the database that the settings name, and bring it to this program's schema."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from archive.database.contract import WAIT_S, Connection, Database, Place, Work
from archive.database.postgresql import PostgreSQLDatabase, connected
from archive.database.sqlite import MOVED, SQLiteDatabase, prepare, told_plainly
from archive.errors import StoreError

__all__ = ["Connection", "Database", "Place", "Work", "migrate", "open_database", "schema_revision"]
T = TypeVar("T")
_MOVED_MARK = sa.text("SELECT 1 FROM sqlite_schema WHERE name = 'moved_studies_insert'")


def open_database(place: Place, wait_s: float = WAIT_S) -> Database:
    """Open the database; it must have been migrated (see `migrate`).

    Another process's lock is waited for as long as `wait_s`, then work fails with BusyError.
    """
    return SQLiteDatabase(place, wait_s) if isinstance(place, Path) else PostgreSQLDatabase(place, wait_s)


def migrate(place: Place) -> None:
    """Bring the database to this program's schema; makes SQLite's file if it is not there.

    Raises
    ------
    StoreError
        The database was made by a newer program, is damaged, or cannot be reached or written.
    """
    if isinstance(place, Path):
        place.parent.mkdir(parents=True, exist_ok=True)
    on_connection(place, _upgrade)


def schema_revision(place: Place) -> str | None:
    """The revision that the database is at; None when it has none."""
    return on_connection(place, lambda connection: MigrationContext.configure(connection).get_current_revision())


def on_connection(place: Place, work: Callable[[sa.Connection], T], *, alone: bool = True) -> T:
    """Run work on a connection of its own, which the work commits; `alone` among all hosts that ask so."""
    if not isinstance(place, Path):
        return _on_postgresql(place, work, alone)
    engine = sa.create_engine(f"sqlite:///{place}", connect_args={"timeout": WAIT_S})
    prepare(engine, writing=True)
    try:
        with told_plainly(), engine.connect() as connection:
            return work(connection)
    finally:
        engine.dispose()


def _on_postgresql(url: str, work: Callable[[sa.Connection], T], alone: bool) -> T:
    async def run() -> T:
        async with connected(url, alone=alone) as connection:
            return await connection.run_sync(work)

    with ThreadPoolExecutor(1) as thread:  # the caller may itself run in an event loop
        return thread.submit(asyncio.run, run()).result()


def _upgrade(connection: sa.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    if connection.dialect.name == "sqlite" and connection.execute(_MOVED_MARK).first() is not None:
        raise StoreError(MOVED)
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    if current == script.get_current_head():
        return
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise StoreError("The database was made by a newer version of Lightbox; install that version.")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
