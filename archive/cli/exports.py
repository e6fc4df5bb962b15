"""`lightbox export`: a study as an offline bundle."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from archive.audit import Action, Event, append
from archive.cli.opening import Archive, open_archive
from archive.cli.options import DEFAULT_DATA, DataOption
from archive.config import Settings, load_settings
from archive.errors import NotFoundError
from archive.identifiers import StudyUID, parse_study_uid
from archive.index.reader import find_instances
from archive.languages import choose_language, load_languages
from archive.media.dicomdir import dicomdir
from archive.scope import Scope
from wado.bundle import Bundle
from wado.pixels.cache import DerivedCache
from wado.pixels.pool import PixelPool


def export(
    study_uid: Annotated[str, typer.Argument(metavar="STUDY_UID", help="Study Instance UID.")],
    to: Annotated[Path, typer.Option("--to", help="The ZIP file to write.")],
    data: DataOption = DEFAULT_DATA,
    previews: Annotated[bool, typer.Option(help="With pictures and a page that shows them.")] = True,
    lang: Annotated[str, typer.Option(help="Language of the page: en, de, fr, es.")] = "en",
) -> None:
    """Write a study as a ZIP file with DICOMDIR, checksums and a page of previews that opens without a network.

    Example: lightbox export --data ./data --to images.zip 1.2.840.113619.2.55.3
    """
    settings = load_settings(data=data)
    if not settings.has_archive:
        raise typer.BadParameter(f"There is no archive in {data}.")
    if to.exists():
        raise typer.BadParameter(f"{to} is there already.")
    length_bytes = asyncio.run(_export(settings, parse_study_uid(study_uid), to, lang if previews else None))
    print(f"{to}: {length_bytes / 1e6:.1f} MB")


async def _export(settings: Settings, study_uid: StudyUID, to: Path, lang: str | None) -> int:
    """Length of the file, in bytes. `lang` None leaves the previews out."""
    draft = to.with_name(f"{to.name}.part")
    cache = DerivedCache(settings.derived_folder, settings.derived_limit_bytes)
    async with (
        open_archive(settings) as archive,
        PixelPool(workers=1, queue_limit=8, frame_timeout_s=settings.frame_timeout_s, cache=cache) as pool,
    ):
        everything = Scope.everything()
        instances = await archive.database.read(lambda connection: find_instances(everything, connection, study_uid))
        if not instances:
            raise NotFoundError("There is no such study.")
        language = choose_language(load_languages(), lang or "", "")
        bundle = Bundle(archive.database, archive.store, everything, language, None if lang is None else pool)
        members = await bundle.members(instances)
        directory = await asyncio.to_thread(dicomdir, [member.media for member in members])
        try:
            with draft.open("wb") as file:
                async for chunk in bundle.chunks(members, directory):
                    file.write(chunk)
                length_bytes = file.tell()
            draft.rename(to)
        finally:
            draft.unlink(missing_ok=True)
        await _write_down(archive, study_uid, len(instances))
    return length_bytes


async def _write_down(archive: Archive, study_uid: StudyUID, count: int) -> None:
    event = Event(Action.EXPORT, "operator", "command line", study_uid=study_uid, count=count)
    await archive.database.write_batch(append, [event], time.time_ns() // 1_000_000)
