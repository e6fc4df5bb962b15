"""What the archive holds and owes: read from the index, the outbox and the disk, at most once in a while."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from archive.database.engine import Database
from archive.delivery.outbox import count_messages
from archive.index.inventory import add_lengths, count_stored
from archive.jobs.reports import count_waiting
from archive.jobs.scrub import Progress

KEPT_S = 10.0
BYTES_KEPT_S = 300.0
"""Adding up the bytes reads every row of the index."""


@dataclass(frozen=True, slots=True)
class Figures:
    """`messages` by state. `verify_age_s` None: not all files have been read yet.

    `jobs_waiting` is what all jobs have still to do, in the things that they count.
    """

    studies: int
    instances: int
    stored_bytes: int
    database_bytes: int
    disk_free_bytes: int
    disk_bytes: int
    messages: Mapping[str, int]
    verify_age_s: float | None = None
    verify_damaged: int = 0
    jobs_waiting: int = 0


class FiguresReader:
    """Reads `Figures`, and remembers them for a short time: whoever asks often costs the index nothing."""

    def __init__(self, database: Database, data: Path, scrub_state: Path, now_ms: Callable[[], int]) -> None:
        self._database, self._data, self._scrub_state, self._now_ms = database, data, scrub_state, now_ms
        self._lock = asyncio.Lock()
        self._kept: tuple[float, Figures] | None = None
        self._bytes: tuple[float, int] | None = None

    async def read(self) -> Figures:
        async with self._lock:
            now_s = asyncio.get_running_loop().time()
            if self._kept is None or now_s - self._kept[0] > KEPT_S:
                self._kept = (now_s, await self._read(now_s))
            return self._kept[1]

    async def _read(self, now_s: float) -> Figures:
        if self._bytes is None or now_s - self._bytes[0] > BYTES_KEPT_S:
            self._bytes = (now_s, await self._database.read(add_lengths))
        stored = await self._database.read(count_stored)
        scrub = await asyncio.to_thread(Progress.load, self._scrub_state)
        disk = await asyncio.to_thread(os.statvfs, self._data)
        return Figures(
            stored.studies,
            stored.instances,
            self._bytes[1],
            await self._database.size_bytes(),
            disk.f_bavail * disk.f_frsize,
            disk.f_blocks * disk.f_frsize,
            await self._database.read(count_messages),
            max(0.0, self._now_ms() / 1000 - scrub.completed_s) if scrub.completed_s else None,
            len(scrub.damaged),
            await self._database.read(count_waiting),
        )
