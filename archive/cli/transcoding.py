"""`lightbox transcode`: copies of stored frames in another transfer syntax, beside what is stored."""

import asyncio
import os
from collections import Counter
from enum import StrEnum
from typing import Annotated

import typer

from archive.cli.opening import open_archive
from archive.cli.options import DEFAULT_DATA, DataOption
from archive.cli.progress import progress_bar
from archive.config import Settings, load_settings
from wado.copying import Copier, Outcome, copy_stored, patient_pool
from wado.pixels.copies import FrameCopies


class Syntax(StrEnum):
    """What frames are copied to."""

    HTJ2K = "htj2k"


def transcode(
    to: Annotated[Syntax, typer.Option(help="What frames are copied to: lossless HTJ2K.")],
    study: Annotated[str | None, typer.Option(help="Only this study, by its Study Instance UID.")] = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Copy the frames that are stored to lossless HTJ2K, for slow lines; the server may go on.

    What is stored stays as it is. Each copy is decoded again and compared before it is kept. A run that is stopped goes
    on where it was; running it again makes only what is not there. Exits with 1 when a stored file is damaged.

    Example: lightbox transcode --data ./data --to htj2k
    """
    settings = load_settings(data=data)
    if not settings.has_archive:
        raise typer.BadParameter(f"There is no archive in {data}.")
    found = asyncio.run(_copy(settings, study))
    print(
        f"{found[Outcome.COPIED]} images copied to HTJ2K, {found[Outcome.THERE]} were there already, "
        f"{found[Outcome.NONE]} are not copied (lossy, HTJ2K already, or not smaller by it)."
    )
    if found[Outcome.DAMAGED]:
        print(f"{found[Outcome.DAMAGED]} stored files are missing or damaged; lightbox verify names them.")
        raise typer.Exit(1)


async def _copy(settings: Settings, study_uid: str | None) -> Counter[Outcome]:
    found: Counter[Outcome] = Counter()
    workers = settings.codec_workers or os.cpu_count() or 1
    copies = FrameCopies(settings.copies_folder, settings.copies_limit_bytes)
    async with open_archive(settings) as archive, patient_pool(workers, settings.frame_timeout_s) as pool:
        copier = Copier(archive.database, archive.store, copies, pool)
        with progress_bar("Copying") as progress:
            task = progress.add_task("", total=None)
            async for total, outcome in copy_stored(copier, study_uid, 2 * workers):
                found[outcome] += 1
                progress.update(task, total=total, completed=found.total())
    return found
