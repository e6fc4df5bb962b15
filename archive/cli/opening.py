"""The archive as a command opens it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from archive.config import Settings
from archive.database.engine import Database, migrate
from archive.ingest import Ingest
from archive.opening import limits_of, open_store
from archive.store.contract import Store


@dataclass(frozen=True, slots=True)
class Archive:
    """Store, index and the way in, opened for one command; a server may be running on the same data."""

    store: Store
    database: Database
    ingest: Ingest


@asynccontextmanager
async def open_archive(settings: Settings) -> AsyncIterator[Archive]:
    """Open the archive that the settings name; makes it if it is not there."""
    migrate(settings.database_path)
    store = open_store(settings)
    database = Database.open(settings.database_path)
    ingest = Ingest(store, database, limits_of(settings))
    try:
        yield Archive(store, database, ingest)
    finally:
        await ingest.close()
        await database.close()
