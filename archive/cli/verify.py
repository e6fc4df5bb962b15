"""`lightbox verify`: is everything that the index names there, and is it what was stored?"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Annotated

import typer

from archive.cli.opening import Archive, open_archive
from archive.cli.options import DEFAULT_DATA, DataOption
from archive.cli.progress import progress_bar
from archive.config import load_settings
from archive.index.inventory import find_miscounted
from archive.jobs.scrub import Scrub
from archive.jobs.sweep import ORPHAN_AGE_S, sweep


@dataclass(slots=True)
class Findings:
    """What is wrong. `orphans` were removed; they are no fault."""

    checked: int = 0
    damaged: list[tuple[str, str]] = field(default_factory=list)
    miscounted: int = 0
    orphans: int = 0


def verify(
    data: DataOption = DEFAULT_DATA,
    quick: Annotated[bool, typer.Option("--quick", help="Only look whether the files are there.")] = False,
    rate_mb_s: Annotated[float, typer.Option(min=0, help="Read at most so many MB a second; 0: no limit.")] = 0.0,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, not where the last run was stopped.")] = False,
) -> None:
    """Read every stored file and compare it with its SHA-256; exit with 1 when something is wrong.

    Names the SOP Instance UID of each damaged or missing instance. A damaged file is set aside in the store's
    quarantine folder and no longer served; sending the instance again heals it. A run that is stopped goes on where it
    was.

    Example: lightbox verify --data ./data --rate-mb-s 50
    """
    settings = load_settings(data=data)
    if not settings.has_archive:
        raise typer.BadParameter(f"There is no archive in {data}.")

    async def run() -> Findings:
        async with open_archive(settings) as archive:
            scrub = Scrub(
                archive.database, archive.store, data / f"verify{'-quick' if quick else ''}.json", quick=quick
            )
            return await _look(archive, scrub, rate_mb_s * 1e6, restart)

    findings = asyncio.run(run())
    print(f"{findings.checked} instances checked, {len(findings.damaged)} damaged or missing.")
    for instance_uid, reason in findings.damaged:
        print(f"  {instance_uid}: {reason}")
    if findings.miscounted:
        print(f"{findings.miscounted} studies or series have wrong counters.")
    if findings.orphans:
        print(f"{findings.orphans} files that nothing names were removed.")
    if findings.damaged or findings.miscounted:
        raise typer.Exit(1)


async def _look(archive: Archive, scrub: Scrub, bytes_per_s: float, restart: bool) -> Findings:
    findings = Findings()
    blobs = await scrub.blobs(restart=restart)
    with progress_bar("Verifying") as progress:
        task = progress.add_task("", total=len(blobs))
        async for checked in scrub.read(blobs, bytes_per_s, restart=restart):
            findings.checked += len(checked.blob.instance_uids)
            if checked.fault:
                findings.damaged += [(uid, checked.fault) for uid in checked.blob.instance_uids]
            progress.advance(task)
    findings.miscounted = await archive.database.read(find_miscounted)
    findings.orphans = await sweep(archive.database, archive.store, time.time() - ORPHAN_AGE_S)
    return findings
