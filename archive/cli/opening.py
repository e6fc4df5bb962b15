"""The archive as a command opens it."""

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from archive.config import Settings
from archive.database.engine import Database, migrate, open_database
from archive.ingest import Ingest
from archive.opening import limits_of, open_store
from archive.store.contract import Store


@dataclass(frozen=True, slots=True)
class Archive:
    """Store, index and the way in, opened for one command; a server may be running on the same data."""

    store: Store
    database: Database
    ingest: Ingest


@contextmanager
def _storing(settings: Settings) -> Iterator[None]:
    """Say that a command may be storing: what it has on the disk and not yet in the index is no orphan."""
    descriptor = _open_lock(settings)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def is_storing(settings: Settings) -> bool:
    """Whether a command beside the server may be storing at this moment."""
    descriptor = _open_lock(settings)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _open_lock(settings: Settings) -> int:
    settings.locks_folder.mkdir(exist_ok=True)
    return os.open(settings.locks_folder / "commands", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@asynccontextmanager
async def open_archive(settings: Settings) -> AsyncIterator[Archive]:
    """Open the archive that the settings name; makes it if it is not there."""
    migrate(settings.database_place)
    store = open_store(settings)
    with _storing(settings):
        database = open_database(settings.database_place)
        ingest = Ingest(store, database, limits_of(settings))
        try:
            yield Archive(store, database, ingest)
        finally:
            await ingest.close()
            await database.close()
