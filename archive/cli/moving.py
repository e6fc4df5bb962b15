"""`lightbox migrate-database`: from the embedded database to PostgreSQL."""

from enum import StrEnum
from typing import Annotated

import typer

from archive.cli.options import DEFAULT_DATA, DataOption
from archive.cli.progress import progress_bar
from archive.config import load_settings
from archive.database.engine import Place
from archive.database.moving import Moved, copy_rows


class Source(StrEnum):
    """What is moved from."""

    SQLITE = "sqlite"


class Target(StrEnum):
    """What is moved to."""

    POSTGRESQL = "postgresql"


def migrate_database(
    source: Annotated[Source, typer.Option("--from", help="Where the rows are: in the data folder.")],
    target: Annotated[Target, typer.Option("--to", help="Where they go: the empty database of database_url.")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Copy every row from SQLite to PostgreSQL, compare each, and close the old database for writing.

    A server may run on the old one: whatever has to write a row, as a store or an entry in the trail, waits, and is
    then told to come again (503) until the server is restarted with database_url. Nothing that was acknowledged is
    lost. The files stay where they are.

    Example: LIGHTBOX_DATABASE_URL=postgresql://… lightbox migrate-database --from sqlite --to postgresql
    """
    settings = load_settings(data=data)
    if not settings.database_path.is_file():
        raise typer.BadParameter(f"There is no database of SQLite in {data}.")
    if isinstance(settings.database_place, type(settings.database_path)):
        raise typer.BadParameter("Set database_url (LIGHTBOX_DATABASE_URL) to the PostgreSQL database.")
    moved = _watch(settings.database_path, settings.database_place)
    print(f"{moved.rows} rows of {moved.tables} tables were copied, and each was compared.")
    if moved.nul_texts:
        print(f"{moved.nul_texts} rows had a NUL in a text, which PostgreSQL cannot keep; it was left out.")
    print("The old database takes no more writes. Restart the server with database_url set.")


def _watch(source: Place, target: Place) -> Moved:
    with progress_bar("Moving") as progress:
        task = progress.add_task("", total=None)

        def tell(_table: str, rows: int) -> None:
            progress.advance(task, rows)

        return copy_rows(source, target, tell, moves=True)
