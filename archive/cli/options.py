"""Options that several commands share, and the archive as a command opens it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from archive.config import Settings
from archive.database.engine import Database, migrate
from archive.ingest import Ingest, IngestLimits
from archive.store.contract import Store
from archive.store.files import FileStore

DataOption = Annotated[Path, typer.Option("--data", help="Folder of the database and the files.", show_default=True)]
DEFAULT_DATA = Path("data")


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
    store = FileStore(settings.store_folder)
    database = Database.open(settings.database_path)
    ingest = Ingest(store, database, IngestLimits(instance_bytes=settings.instance_limit_bytes))
    try:
        yield Archive(store, database, ingest)
    finally:
        await ingest.close()
        await database.close()


def link_base(settings: Settings) -> str:
    """What a link begins with: the setting, or what the running server said of itself, or its default address."""
    lock = settings.data / "serve.lock"
    if not settings.public_base and lock.is_file() and (said := lock.read_text().strip()):
        return said
    return settings.base_url
