"""`lightbox delete` and `lightbox restore`: take studies, series and instances out, and bring them back."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from archive.audit import Action, Event, append
from archive.cli.opening import Archive, open_archive
from archive.cli.options import DEFAULT_DATA, DataOption
from archive.config import load_settings
from archive.database.engine import Connection
from archive.errors import BadRequestError
from archive.identifiers import parse_instance_uid, parse_series_uid, parse_study_uid
from archive.index.deletion import Chain, Deletion, delete_instances
from stow.deletion import purge_all, refuse_missing, restore_all

WHO = "command line"
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY_UID", help="Study Instance UID.")]
SeriesOption = Annotated[str | None, typer.Option("--series", help="Only this series of it.")]
InstanceOption = Annotated[str | None, typer.Option("--instance", help="Only this instance of that series.")]


def delete(
    study_uid: StudyArgument,
    data: DataOption = DEFAULT_DATA,
    series: SeriesOption = None,
    instance: InstanceOption = None,
    reject: Annotated[bool, typer.Option("--reject", help="Refuse the same instances when they come again.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the files at once: there is no way back.")] = False,
) -> None:
    """Take a study, or a part of it, out of every answer; `lightbox restore` brings it back until it is purged.

    Example: lightbox delete --data ./data 1.2.840.113619.2.55.3
    """
    chain = _chain(study_uid, series, instance)
    if reject and purge:
        raise typer.BadParameter("--reject keeps what --purge removes; give one of them.")

    def work(connection: Connection) -> int:
        count = delete_instances(connection, chain, Deletion(_now_ms(), WHO, reject))
        append(connection, [_event(Action.DELETE, chain, count)] if count else [], _now_ms())
        return count

    async def run(archive: Archive) -> int:
        count = await archive.database.write_batch(work)
        if not count and not purge:
            await refuse_missing(archive.database, chain)
        if purge:
            await purge_all(archive.database, archive.store, chain, _now_ms() + 1)
        return count

    print(f"{_with_archive(data, run)} instances deleted.")


def restore(
    study_uid: StudyArgument,
    data: DataOption = DEFAULT_DATA,
    series: SeriesOption = None,
    instance: InstanceOption = None,
) -> None:
    """Bring back what was deleted or rejected, as it was.

    Example: lightbox restore --data ./data 1.2.840.113619.2.55.3
    """
    chain = _chain(study_uid, series, instance)

    async def run(archive: Archive) -> int:
        count = await restore_all(archive.database, archive.ingest, chain)
        await archive.database.write_batch(append, [_event(Action.RESTORE, chain, count)], _now_ms())
        return count

    print(f"{_with_archive(data, run)} instances restored.")


def _with_archive(data: Path, work: Callable[[Archive], Awaitable[int]]) -> int:
    settings = load_settings(data=data)
    if not settings.has_archive:
        raise typer.BadParameter(f"There is no archive in {data}.")

    async def run() -> int:
        async with open_archive(settings) as archive:
            return await work(archive)

    return asyncio.run(run())


def _chain(study_uid: str, series: str | None, instance: str | None) -> Chain:
    if instance is not None and series is None:
        raise BadRequestError("--instance is given together with --series.", parameter="series")
    return Chain(
        parse_study_uid(study_uid),
        None if series is None else parse_series_uid(series),
        None if instance is None else parse_instance_uid(instance),
    )


def _event(action: Action, chain: Chain, count: int) -> Event:
    return Event(action, "operator", WHO, study_uid=chain.study_uid, series_uid=chain.series_uid or "", count=count)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
