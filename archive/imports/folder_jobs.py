"""The kind of job `import`: the files of a folder on a disk of the server. A unit is some files of one folder in it.

The job's argument is {"folder": an absolute path}; each machine with workers has to see it there. Names are kept as the
system gives them, also those that are no text. Nothing outside the folder is read, whatever a link in it says.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from archive.completeness.record import announce
from archive.database.engine import Database
from archive.imports.discs import BATCH, Summary, take_in
from archive.ingest import Ingest
from archive.jobs.kinds import PLANNING, Argument, NewUnit, Outcome
from archive.media.discs import Disc
from archive.media.files import MediumFile, neutral_name

FILES_AT_ONCE = 4


class FolderImport:
    """Takes files in; those that are there already change nothing."""

    def __init__(self, database: Database, ingest: Ingest, now_ms: Callable[[], int]) -> None:
        self._database, self._ingest, self._now_ms = database, ingest, now_ms

    async def plan(self, job: Argument, unit: Argument) -> Sequence[NewUnit]:
        """The files of one folder, and each folder in it as more to plan."""
        return await asyncio.to_thread(_units_of, Path(job["folder"]), unit.get("below", ""))

    async def do(self, job: Argument, unit: Argument) -> Outcome:
        root = Path(job["folder"])
        files = [_file(root, root / unit["below"] / name) for name in unit["names"]]
        summary = Summary()
        disc = Disc(job["folder"], files, FILES_AT_ONCE)
        await take_in(self._ingest, disc, summary, lambda: None, lambda: [_name(root, path) for path in _paths(root)])
        if summary.hindrance is not None:
            raise summary.hindrance
        if summary.announced:
            await self._database.write_batch(announce, summary.announced, self._now_ms())
        counts = {
            "new": summary.new,
            "already_there": summary.already_there,
            "skipped": summary.skipped,
            "refused": len(summary.refused),
            "missing": len(summary.missing),
        }
        refused = [f"{name}: {reason}" for name, reason in summary.refused]
        missing = [f"{name}: The DICOMDIR lists it, and it is not there." for name in summary.missing]
        return Outcome(counts, [*refused, *missing])


def _units_of(root: Path, below: str) -> list[NewUnit]:
    folders, names = [], []
    with os.scandir(root / below) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                folders.append(NewUnit({"below": os.path.join(below, entry.name)}, PLANNING))  # noqa: PTH118 - no Path
            elif entry.is_file() and _is_inside(root, entry):
                names.append(entry.name)
    return [*folders, *(NewUnit({"below": below, "names": list(some)}, len(some)) for some in _batches(names))]


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), BATCH):
        yield names[start : start + BATCH]


def _is_inside(root: Path, entry: os.DirEntry[str]) -> bool:
    return not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(root.resolve())


def _paths(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file())


def _file(root: Path, path: Path) -> MediumFile:
    return MediumFile(_name(root, path), 0, partial(_opened, path))


def _name(root: Path, path: Path) -> str:
    return neutral_name(str(path.relative_to(root)))


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")
