"""Work that goes on for as long as the server runs: begun again after a fault, and done by one process of several."""

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from archive.errors import LightboxError

RESTART_S = 5.0
TURN_EVERY_S = 5.0
"""How soon another process takes over the work of one that has ended."""
Work = Callable[[], Awaitable[None]]
Turn = Callable[[], AbstractAsyncContextManager[bool]]
"""Whether it is this process's turn at the work; held for the block."""
log = logging.getLogger(__name__)


def begin(work: Work, turn: Turn | None = None) -> asyncio.Task[None]:
    """Begin work that never ends. With `turn` it is done in one process of all that share it."""
    task = asyncio.create_task(_kept(work if turn is None else lambda: _alone(turn, work)))
    task.add_done_callback(_tell_of_end)
    return task


async def end(task: asyncio.Task[None]) -> None:
    """Break the work off, and wait until it has ended."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _kept(work: Work) -> None:
    """When the database or the disk fails the work, it begins again a little later."""
    while True:
        try:
            await work()
        except (LightboxError, OSError) as error:
            log.error("A background task failed and begins again.", extra={"error": type(error).__name__})
            await asyncio.sleep(RESTART_S)


async def _alone(turn: Turn, work: Work) -> None:
    while True:
        async with turn() as is_ours:
            if is_ours:
                await work()
        await asyncio.sleep(TURN_EVERY_S)


@asynccontextmanager
async def turn_of_host(lock: Path) -> AsyncIterator[bool]:
    """Whether it is this process's turn among those of this host; held for the block."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _tell_of_end(task: asyncio.Task[None]) -> None:
    """A background task ends by being cancelled or by a fault of ours; the second must not go unseen."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("A background task has ended by a fault.", exc_info=error)
