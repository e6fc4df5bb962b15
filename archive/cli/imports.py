"""`lightbox import`: folders and files in, with progress and a summary."""

import asyncio
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
from archive.config import load_settings
from archive.dicom.explicit import complete_file
from archive.errors import LightboxError, NotAcceptableError, RefusedInstanceError
from archive.index.writer import NewInstance
from archive.ingest import Ingest
from archive.instances import Buffer

READ_BYTES = 1 << 20
MARK_OFFSET, MARK = 128, b"DICM"
FILES_AT_ONCE = 4
BATCH = 64


@dataclass(slots=True)
class Summary:
    """What became of the files."""

    new: int = 0
    already_there: int = 0
    length_bytes: int = 0
    refused: list[tuple[Path, str]] = field(default_factory=list)


def import_files(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; folders are searched to the bottom.")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Take DICOM files in from folders, whatever the files are called.

    Running it again changes nothing. Exits with 1 when a file was refused.

    Example: lightbox import --data ./data /media/cdrom
    """
    files = list(find_files(paths))
    console = Console(stderr=True)
    if not files:
        console.print("There are no files to import.")
        raise typer.Exit(1)
    settings = load_settings(data=data)

    async def run() -> Summary:
        async with open_archive(settings) as archive:
            with _progress(console) as progress:
                return await take_in(archive.ingest, files, progress)

    summary = asyncio.run(run())
    _report(summary)
    if summary.refused:
        raise typer.Exit(1)


def find_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Every file at or below the paths, in a stable order. Raises typer.BadParameter for a path that is not there."""
    for path in paths:
        if not path.exists():
            raise typer.BadParameter(f"{path} is not there.")
        if path.is_dir():
            yield from sorted(child for child in path.rglob("*") if child.is_file())
        else:
            yield path


async def take_in(ingest: Ingest, files: Sequence[Path], progress: Progress) -> Summary:
    """Import the files, a few at a time; refusals are collected, not raised."""
    summary = Summary()
    task = progress.add_task("Importing", total=len(files))
    slots = asyncio.Semaphore(FILES_AT_ONCE)
    for start in range(0, len(files), BATCH):
        part = files[start : start + BATCH]

        async def finish(path: Path) -> tuple[Path, NewInstance | LightboxError]:
            async with slots:
                outcome = await _upload(ingest, path)
            progress.advance(task)
            return path, outcome

        finished = await asyncio.gather(*(finish(path) for path in part))
        await _index(ingest, finished, summary)
    return summary


async def _index(
    ingest: Ingest, finished: Sequence[tuple[Path, NewInstance | LightboxError]], summary: Summary
) -> None:
    ready = [(path, new) for path, new in finished if isinstance(new, NewInstance)]
    summary.refused += [(path, error.message) for path, error in finished if isinstance(error, LightboxError)]
    outcomes = await ingest.index([new for _, new in ready])
    for (path, new), outcome in zip(ready, outcomes, strict=True):
        if isinstance(outcome, RefusedInstanceError):
            summary.refused.append((path, outcome.message))
        elif outcome.already_there:
            summary.already_there += 1
        else:
            summary.new += 1
            summary.length_bytes += new.length_bytes


async def _upload(ingest: Ingest, path: Path) -> NewInstance | LightboxError:
    try:
        with path.open("rb") as file:
            head = file.read(MARK_OFFSET + len(MARK))
            file.seek(0)
            if head[MARK_OFFSET:] == MARK:
                return await _take(ingest, iter(lambda: file.read(READ_BYTES), b""))
            # Old programs wrote bare datasets: one is taken as the Part 10 file that it lacks little to be.
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))  # ends with its last view
            return await _take(ingest, await asyncio.to_thread(_completed, mapped))
    except OSError as error:
        return LightboxError(f"The file cannot be read: {error.strerror}.")
    except ValueError:  # an empty file cannot be mapped
        return LightboxError("The file is empty.")
    except LightboxError as error:
        return error


def _completed(data: Buffer) -> Iterator[bytes]:
    try:
        return complete_file(data).blocks()
    except (RefusedInstanceError, NotAcceptableError):
        raise LightboxError("This is not a DICOM file.") from None


async def _take(ingest: Ingest, chunks: Iterator[bytes]) -> NewInstance:
    upload = ingest.begin()
    try:
        while chunk := await asyncio.to_thread(next, chunks, b""):
            await upload.write(chunk)
        return await upload.finish(study_uid=None, by="import")
    except (OSError, LightboxError):
        await upload.abort()
        raise


class RateColumn(ProgressColumn):
    """Files a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} files/s" if task.speed else "– files/s")


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


def _report(summary: Summary) -> None:
    print(
        f"{summary.new} new ({summary.length_bytes / 1e6:.1f} MB), "
        f"{summary.already_there} already there, {len(summary.refused)} refused."
    )
    for path, reason in summary.refused:
        print(f"  refused: {path}: {reason}")
