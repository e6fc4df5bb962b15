"""`lightbox reindex`: the index made anew from the files alone."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from archive.cli.opening import open_archive
from archive.cli.options import DEFAULT_DATA, DataOption
from archive.cli.progress import progress_bar
from archive.config import Settings, load_settings
from archive.database.engine import migrate, open_database
from archive.jobs.rebuilding import Difference, Rebuilt, compare, find_named, rebuild


def reindex(
    into: Annotated[Path, typer.Option("--into", help="The new database; it must not be there yet.")],
    data: DataOption = DEFAULT_DATA,
    compare: Annotated[bool, typer.Option("--compare", help="Compare it with the index that is served.")] = False,
) -> None:
    """Make a new index from the stored files alone; the server may go on.

    Shares, accounts and the trail are not in the files: the new database has none. With --compare it exits with 1 when
    the two differ, and names what does.

    Example: lightbox reindex --data ./data --into rebuilt.sqlite --compare
    """
    if into.exists():
        raise typer.BadParameter(f"{into} is there already.")
    settings = load_settings(data=data)
    migrate(into)
    rebuilt, differences = asyncio.run(_reindex(settings, into, compare))
    print(f"{rebuilt.done} files read, {len(rebuilt.unreadable)} of them damaged or no DICOM.")
    for digest in rebuilt.unreadable:
        print(f"  {digest}")
    if compare:
        print(f"{len(differences)} differences." if differences else "The two indexes say the same.")
        for difference in differences:
            print(f"  {difference.kind} {difference.uid}")
    if rebuilt.unreadable or differences:
        raise typer.Exit(1)


async def _reindex(settings: Settings, into: Path, compared: bool) -> tuple[Rebuilt, list[Difference]]:
    rebuilt = Rebuilt(0)
    new = open_database(into)
    try:
        async with open_archive(settings) as archive:
            named = await archive.database.read(find_named)
            with progress_bar("Reading") as progress:
                task = progress.add_task("", total=None)
                async for rebuilt in rebuild(archive.ingest, archive.store, new, named):
                    progress.update(task, total=rebuilt.total, completed=rebuilt.done)
            return rebuilt, await compare(archive.database, new) if compared else []
    finally:
        await new.close()
