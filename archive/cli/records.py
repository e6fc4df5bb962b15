"""The database as commands use it that need nothing else: quick to start, beside a server or without one."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from archive.config import load_settings
from archive.database.engine import Database, migrate, open_database

T = TypeVar("T")


def with_database(data: Path, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do some work on the database of an archive; makes it if it is not there."""
    settings = load_settings(data=data)
    migrate(settings.database_place)

    async def run() -> T:
        database = open_database(settings.database_place)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())
