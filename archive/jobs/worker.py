"""A worker: claims units, does them, and tells what became of them, once a second and in one transaction.

Any number of them, in any number of processes and on several machines, share one queue. A worker that stops gives back
what it has; what one has that died is claimed again when its lease is over.
"""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack

from archive.database.engine import Database
from archive.errors import LightboxError
from archive.jobs.kinds import HINDRANCES, PLANNING, Kind, Work
from archive.jobs.queue import (
    Claim,
    Ended,
    Lease,
    Unit,
    claim_units,
    give_back,
    remove_finished,
    renew_leases,
    settle_units,
)
from archive.jobs.reports import has_open_jobs

LEASE_MS = 60_000
RENEWALS = 6
"""How often a lease is renewed within its time: several may be late before it is over."""
LOOK_EVERY_S = 2.0
TELL_EVERY_S = 1.0
KEPT_DAYS = 14
DAY_MS = 86_400_000
TIDY_EVERY_S = 3600.0
log = logging.getLogger("lightbox.jobs")
Running = dict["asyncio.Task[Ended]", Unit]


class Worker:
    """Does jobs of the kinds that it knows. `now_ms` is the time that leases are measured by."""

    def __init__(
        self, database: Database, kinds: Mapping[str, Kind], now_ms: Callable[[], int], lease_ms: int = LEASE_MS
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._database, self._kinds, self._now_ms, self._lease_ms = database, kinds, now_ms, lease_ms
        self._batches = {name: kind.batch for name, kind in kinds.items()}

    async def keep(self) -> None:
        """Do what there is, and what comes; never ends. Raises as `work`."""
        while True:
            await self.work()
            await asyncio.sleep(LOOK_EVERY_S)

    async def drain(self) -> None:
        """Work until every job has ended, also those whose units other workers have. Raises as `work`."""
        await self.work()
        while await self._database.read(has_open_jobs):
            await asyncio.sleep(LOOK_EVERY_S)
            await self.work()

    async def work(self) -> None:
        """Do what can be claimed now.

        What makes a kind ready, such as codec processes, is kept until there is nothing more. Raises one of
        `HINDRANCES` when disk, database or store cannot be had. However it ends, it gives back what it has not done.
        """
        if not await self._database.read(has_open_jobs):
            return
        ready: dict[str, Work] = {}
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._database.write, give_back, self.name)
            while claim := await self._database.write(claim_units, self._batches, self._lease()):
                if claim.kind not in ready:
                    ready[claim.kind] = await stack.enter_async_context(self._kinds[claim.kind].open())
                await self._do(claim, ready[claim.kind])

    def _lease(self) -> Lease:
        now_ms = self._now_ms()
        return Lease(self.name, now_ms, now_ms + self._lease_ms)

    async def _do(self, claim: Claim, work: Work) -> None:
        turns = asyncio.Semaphore(self._kinds[claim.kind].at_once)
        running: Running = {
            asyncio.create_task(_try(claim, unit, work, turns), name=f"job {claim.job_id}"): unit
            for unit in claim.units
        }
        try:
            await self._follow(claim, running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _follow(self, claim: Claim, running: Running) -> None:
        """Write down what ends, and hold the leases of what does not; ends with the last of `running`."""
        loop = asyncio.get_running_loop()
        renewed_s = loop.time()
        while running:
            done, _ = await asyncio.wait(running, timeout=TELL_EVERY_S)
            ended, hindrances = _results(done)
            if ended:
                await self._database.write_batch(settle_units, claim, ended, self.name, self._now_ms())
            for task in done:
                del running[task]
            if hindrances:
                raise hindrances[0]
            if running and loop.time() - renewed_s >= self._lease_ms / 1000 / RENEWALS:
                renewed_s = loop.time()
                await self._renew(running)

    async def _renew(self, running: Running) -> None:
        """Hold what is running for longer; break off what was cancelled or is another worker's by now."""
        unit_ids = [unit.id for unit in running.values()]
        held = await self._database.write(renew_leases, unit_ids, self._lease())
        for task, unit in running.items():
            if unit.id not in held:
                task.cancel()


async def keep_bounded(database: Database, now_ms: Callable[[], int]) -> None:
    """Remove jobs that ended `KEPT_DAYS` ago; never ends."""
    while True:
        while await database.write(remove_finished, now_ms() - KEPT_DAYS * DAY_MS):
            pass
        await asyncio.sleep(TIDY_EVERY_S)


async def _try(claim: Claim, unit: Unit, work: Work, turns: asyncio.Semaphore) -> Ended:
    """Do a unit, or say why it failed. Raises one of `HINDRANCES`."""
    async with turns:
        try:
            if unit.size == PLANNING:
                return Ended(unit.id, units=await work.plan(claim.argument, unit.argument))
            return Ended(unit.id, await work.do(claim.argument, unit.argument))
        except HINDRANCES:
            raise
        except LightboxError as error:
            return Ended(unit.id, reason=error.message or type(error).__name__)
        except OSError as error:
            return Ended(unit.id, reason=f"It cannot be read or written: {error.strerror}.")
        except Exception as error:  # whatever befalls one unit, the others go on, and its job says so
            log.exception("A unit of a job failed by a fault of the program.", extra={"job": claim.job_id})
            return Ended(unit.id, reason=f"A fault of the program ({type(error).__name__}); the log says where.")


def _results(done: Iterable["asyncio.Task[Ended]"]) -> tuple[list[Ended], list[BaseException]]:
    """What ended units came to, and what kept others from being tried."""
    ended, hindrances = [], []
    for task in done:
        if not task.cancelled():  # else it was broken off: it is nobody's, or another worker's
            error = task.exception()
            if error is None:
                ended.append(task.result())
            else:
                hindrances.append(error)
    return ended, hindrances
