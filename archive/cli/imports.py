"""`lightbox import`: folders, ZIP files, ISO images and files in, with progress and a summary in plain words."""

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from archive.cli.opening import open_archive
from archive.cli.options import DEFAULT_DATA, DataOption
from archive.completeness.findings import Finding
from archive.completeness.record import announce, check_and_keep, read_findings
from archive.config import load_settings
from archive.imports.discs import Summary, take_in
from archive.languages import DEFAULT_LANGUAGE, load_languages
from archive.media.discs import open_disc
from archive.media.files import MediumError


def import_files(
    paths: Annotated[list[Path], typer.Argument(help="Folders, ZIP files, ISO 9660 images and DICOM files.")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Take DICOM files in from discs, whatever the files are called; viewer programs and web pages are skipped.

    A DICOMDIR is read as a hint: what it lists and is not there is told. Running the command again changes nothing.
    Exits with 1 when a file could not be read or is missing.

    Example: lightbox import --data ./data /media/cdrom
    """
    for path in paths:
        if not path.exists():
            raise typer.BadParameter(f"{path} is not there.")
    settings = load_settings(data=data)
    console = Console(stderr=True)

    lacks: list[Finding] = []

    async def run() -> Summary:
        summary = Summary()
        async with open_archive(settings) as archive:
            for path in paths:
                try:
                    with open_disc(path) as disc, _progress(console) as progress:
                        task = progress.add_task("Importing", total=len(disc.files))
                        await take_in(archive.ingest, disc, summary, partial(progress.advance, task))
                except MediumError as error:
                    summary.refused.append((str(path), str(error)))
                except OSError as error:
                    summary.refused.append((str(path), f"It cannot be read: {error.strerror}."))
            await archive.database.write_batch(announce, summary.announced, _now_ms())
            for study_uid in sorted(summary.study_uids):
                await check_and_keep(archive.database, study_uid, _now_ms())
                lacks.extend(await archive.database.read(read_findings, study_uid))
        return summary

    summary = asyncio.run(run())
    if not summary.seen and not summary.refused:
        console.print("There are no files to import.")
        raise typer.Exit(1)
    report(summary)
    _report_lacks(lacks)
    if summary.refused or summary.missing:
        raise typer.Exit(1)


class RateColumn(ProgressColumn):
    """Files a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} files/s" if task.speed else "– files/s")


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


def report(summary: Summary) -> None:
    """Say what became of the files, each that was not taken by its name."""
    print(
        f"{summary.images} images, {summary.reports} reports, {summary.others} other objects: "
        f"{summary.new} new ({summary.length_bytes / 1e6:.1f} MB), "
        f"{summary.already_there} already there, {len(summary.refused)} refused."
    )
    if summary.skipped:
        print(f"{summary.skipped} files of the disc's own viewer, web pages and pictures were skipped.")
    if summary.refused:
        print(f"{len(summary.refused)} files could not be read:")
    for name, reason in summary.refused:
        print(f"  refused: {name}: {reason}")
    if summary.missing:
        print(f"{len(summary.missing)} files that the DICOMDIR lists are not on the disc:")
    for name in summary.missing:
        print(f"  missing: {name}")
    if summary.unlisted:
        print(f"{len(summary.unlisted)} files are not listed in the DICOMDIR; they were read all the same:")
    for name in summary.unlisted:
        print(f"  unlisted: {name}")


def _report_lacks(lacks: list[Finding]) -> None:
    language = load_languages()[DEFAULT_LANGUAGE]
    for one in lacks:
        print(f"  {language.text(f'lack.{one.lack}', count=one.count, series=one.series)}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
