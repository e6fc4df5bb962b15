"""A worker: does what there is, tells what failed, stops cleanly, and stops working on what was cancelled."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest

from archive.errors import LightboxError, StorageFullError
from archive.jobs.kinds import PLANNING, Kind, NewUnit, Outcome
from archive.jobs.queue import add_job, cancel_job
from archive.jobs.reports import find_failures
from archive.jobs.worker import Worker

SHORT_LEASE_MS = 60


class Counting:
    """Plans three pages of ten units; what is done can be made to fail or to wait."""

    def __init__(self):
        self.done = []
        self.faults = {}
        self.held = asyncio.Event()
        self.waits = False
        self.broken_off = 0
        self.open = 0

    async def plan(self, _job, unit):
        page = unit.get("page", 0)
        more = [NewUnit({"page": page + 1}, PLANNING)] if page < 2 else []
        return [NewUnit({"number": page * 10 + number}, 1) for number in range(10)] + more

    async def do(self, _job, unit):
        if self.waits:
            self.held.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.broken_off += 1
                raise
        if fault := self.faults.get(unit["number"]):
            raise fault
        self.done.append(unit["number"])
        return Outcome({"units": 1})

    def kind(self):
        @asynccontextmanager
        async def opened():
            self.open += 1
            yield self
            self.open -= 1

        return Kind(opened, batch=4, at_once=2)


@pytest.fixture
def counting():
    return Counting()


def worker_of(queue, counting, **options):
    return Worker(queue.database, {"count": counting.kind()}, queue.clock, **options)


async def added(queue):
    return await queue.database.write(add_job, "count", {}, "test", queue.now_ms)


async def test_every_unit_is_done_and_what_was_made_ready_is_put_away(queue, counting):
    job_id = await added(queue)
    await worker_of(queue, counting).drain()
    assert sorted(counting.done) == list(range(30))
    job = await queue.job(job_id)
    assert (job.state, job.done, job.total, job.counts) == ("done", 30, 30, {"units": 30})
    assert counting.open == 0


async def test_several_workers_share_a_job(queue, counting):
    job_id = await added(queue)
    await asyncio.gather(*(worker_of(queue, counting).drain() for _ in range(3)))
    assert sorted(counting.done) == list(range(30))
    assert (await queue.job(job_id)).state == "done"


async def test_what_fails_each_time_is_given_up_with_its_reason_and_a_fault_of_the_program_says_no_more(
    queue, counting, caplog
):
    job_id = await added(queue)
    counting.faults = {3: LightboxError("It is cut short."), 4: ValueError("Doe^Jane"), 5: OSError(5, "I/O error")}
    worker = worker_of(queue, counting)
    with caplog.at_level(logging.ERROR):
        while (await queue.job(job_id)).is_open:
            await worker.work()
            queue.now_ms += 60_000
    job = await queue.job(job_id)
    assert (job.state, job.done, job.failed) == ("incomplete", 27, 3)
    reasons = sorted(failure.reason for failure in await queue.database.read(find_failures, job_id))
    assert reasons == [
        "A fault of the program (ValueError); the log says where.",
        "It cannot be read or written: I/O error.",
        "It is cut short.",
    ]


async def test_a_full_disk_stops_the_work_and_is_no_attempt(queue, counting):
    job_id = await added(queue)
    counting.faults = {number: StorageFullError("The disk is full.") for number in range(30)}
    worker = worker_of(queue, counting)
    for _ in range(5):
        with pytest.raises(StorageFullError):
            await worker.work()
    assert (await queue.job(job_id)).done == 0
    counting.faults = {}
    await worker.drain()
    job = await queue.job(job_id)
    assert (job.state, job.done, job.failed) == ("done", 30, 0)


async def test_a_worker_that_stops_gives_its_units_back_at_once(queue, counting):
    job_id = await added(queue)
    counting.waits = True
    working = asyncio.create_task(worker_of(queue, counting).keep())
    await counting.held.wait()
    working.cancel()
    await asyncio.wait([working])
    counting.waits = False
    await worker_of(queue, counting).work()
    assert (await queue.job(job_id)).done == 30


async def test_what_is_being_done_is_broken_off_when_its_job_is_cancelled(queue, counting):
    job_id = await added(queue)
    counting.waits = True
    working = asyncio.create_task(worker_of(queue, counting, lease_ms=SHORT_LEASE_MS).drain())
    await counting.held.wait()
    await queue.database.write(cancel_job, job_id, queue.now_ms)
    await asyncio.wait_for(working, 30)
    assert counting.broken_off == 2
    assert (await queue.job(job_id)).state == "cancelled"
