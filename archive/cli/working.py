"""A worker for jobs in the foreground."""

import asyncio
import os
import signal
import time

from archive.cli.opening import open_archive
from archive.config import Settings
from archive.jobs.worker import Worker
from archive.work import Means, kinds_of
from wado.pixels.copies import FrameCopies


async def work_jobs(settings: Settings, lease_ms: int, *, is_endless: bool) -> None:
    """Work until every job has ended, or for ever; ends on SIGTERM and SIGINT, and gives back what is not done."""
    async with open_archive(settings) as archive:
        means = Means(
            archive.database,
            archive.store,
            archive.ingest,
            FrameCopies(settings.copies_folder, settings.copies_limit_bytes),
            _now_ms,
            settings.frame_timeout_s,
            settings.codec_workers or os.cpu_count() or 1,
        )
        worker = Worker(archive.database, kinds_of(means), _now_ms, lease_ms)
        working = asyncio.create_task(worker.keep() if is_endless else worker.drain())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, working.cancel)
        await asyncio.wait([working])
        if not working.cancelled():
            working.result()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
