"""The kinds of jobs that a worker knows: for the server's own workers, and for `lightbox jobs work`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from archive.database.engine import Database
from archive.imports.folder_jobs import FolderImport
from archive.ingest import Ingest
from archive.jobs.kinds import Kind, Work
from archive.jobs.verifying import Verifying
from archive.store.contract import Store
from wado.copying import Copier, patient_pool
from wado.copying_jobs import Transcoding
from wado.pixels.copies import FrameCopies

TRANSCODE, VERIFY, IMPORT = "transcode", "verify", "import"
TRANSCODED_TOGETHER = 8
"""Instances that a worker takes at a time, for each of its codec processes."""


@dataclass(frozen=True, slots=True)
class Means:
    """What jobs work with. `codec_processes` run when no other process wants to; `frame_timeout_s` is a reader's."""

    database: Database
    store: Store
    ingest: Ingest
    copies: FrameCopies
    now_ms: Callable[[], int]
    frame_timeout_s: float
    codec_processes: int = 1


def kinds_of(means: Means) -> dict[str, Kind]:
    """Every kind, by its name."""

    @asynccontextmanager
    async def transcoding() -> AsyncIterator[Work]:
        async with patient_pool(means.codec_processes, means.frame_timeout_s) as pool:
            yield Transcoding(Copier(means.database, means.store, means.copies, pool))

    @asynccontextmanager
    async def verifying() -> AsyncIterator[Work]:
        yield Verifying(means.database, means.store)

    @asynccontextmanager
    async def importing() -> AsyncIterator[Work]:
        yield FolderImport(means.database, means.ingest, means.now_ms)

    processes = means.codec_processes
    return {
        TRANSCODE: Kind(transcoding, batch=TRANSCODED_TOGETHER * processes, at_once=2 * processes),
        VERIFY: Kind(verifying),
        IMPORT: Kind(importing),
    }
