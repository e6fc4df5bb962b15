"""`lightbox backup create` and `lightbox backup restore`."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from archive.cli.options import DEFAULT_DATA, DataOption
from archive.cli.progress import progress_bar
from archive.cli.records import with_database
from archive.config import load_settings
from archive.database.engine import Database
from archive.jobs.backup import Copied, back_up, bring_back
from archive.opening import open_store
from auth.sessions import end_everything
from auth.shares import list_shares

backup = typer.Typer(help="Copy an archive while it serves, and make one from a copy.", no_args_is_help=True)


@backup.command()
def create(
    to: Annotated[Path, typer.Option("--to", help="Folder of the copy; a second time only what is new is copied.")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Copy the database, then every file that the copy names, each compared with its SHA-256.

    The server may go on storing: what comes later is in the next copy. secrets.key is not copied; keep it apart.

    Example: lightbox backup create --data ./data --to /backup/lightbox
    """
    settings = load_settings(data=data)
    if not settings.has_archive:
        raise typer.BadParameter(f"There is no archive in {data}.")
    _tell(asyncio.run(_watch("Copying", back_up(settings.database_place, open_store(settings), to))))


@backup.command()
def restore(
    source: Annotated[Path, typer.Option("--from", help="Folder of the copy.")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Make an archive in a new folder from a copy; put secrets.key beside it before it serves.

    Example: lightbox backup restore --from /backup/lightbox --data ./data-again
    """
    settings = load_settings(data=data)
    data.mkdir(parents=True, exist_ok=True)
    copied = asyncio.run(_watch("Restoring", bring_back(source, open_store(settings), settings.database_place)))
    living = with_database(data, _end_sessions)
    print("All sessions and tickets were ended.")
    print(f"{living} links live, also those that were switched off since the copy was made: see lightbox share list.")
    _tell(copied)


async def _end_sessions(database: Database) -> int:
    """How many shares live in a database that has just been brought back; whoever had a session has to begin anew."""
    now_ms = time.time_ns() // 1_000_000
    await database.write(end_everything, now_ms)
    return sum(share.ended_reason is None for share in await list_shares(database, now_ms))


async def _watch(label: str, copying: AsyncIterator[Copied]) -> Copied:
    last = Copied(0)
    with progress_bar(label) as progress:
        task = progress.add_task("", total=None)
        async for last in copying:
            progress.update(task, total=last.total, completed=last.done)
    return last


def _tell(copied: Copied) -> None:
    print(f"{copied.total} files, {copied.copied} of them new, {len(copied.missing)} instances missing or damaged.")
    for uid in copied.missing:
        print(f"  {uid}")
    if copied.missing:
        raise typer.Exit(1)
