"""The queue: each unit is one worker's at a time, none is lost, and progress is what was done."""

import asyncio

import pytest

from archive.errors import ConflictError, NotFoundError
from archive.jobs.kinds import NewUnit, Outcome
from archive.jobs.queue import (
    ATTEMPTS,
    KEPT_NOTES,
    Ended,
    Lease,
    add_job,
    cancel_job,
    give_back,
    remove_finished,
    renew_leases,
)
from archive.jobs.reports import count_waiting, find_failures, find_job, find_jobs, has_open_jobs

LEASE_MS = 60_000


async def test_a_job_waits_runs_and_is_done_and_its_progress_is_what_was_done(queue):
    job_id = await queue.add(1, 1, 5)
    assert ((await queue.job(job_id)).total, (await queue.job(job_id)).done) == (7, 0)
    seen = []
    while claim := await queue.claim("a"):
        await queue.finish(claim, "a")
        seen.append(((await queue.job(job_id)).state, (await queue.job(job_id)).done))
    assert seen == [("running", 1), ("running", 2), ("done", 7)]
    assert (await queue.job(job_id)).counts == {"units": 3}
    assert not await queue.database.read(has_open_jobs)


async def test_a_job_without_anything_to_do_is_done(queue):
    assert (await queue.job(await queue.add())).state == "done"


async def test_no_unit_is_two_workers_at_the_same_time(queue):
    await queue.add(*[1] * 40)
    claims = await asyncio.gather(*(queue.claim(f"worker {number}", 3) for number in range(14)))
    claimed = [unit.id for claim in claims if claim for unit in claim.units]
    assert len(claimed) == len(set(claimed)) == 40


async def test_the_unit_of_a_worker_that_died_is_claimed_again_when_its_lease_is_over(queue):
    job_id = await queue.add(1)
    lost = await queue.claim("dead")
    queue.now_ms += LEASE_MS - 1
    assert await queue.claim("other") is None
    queue.now_ms += 1
    again = await queue.claim("other")
    assert [unit.id for unit in again.units] == [unit.id for unit in lost.units]
    await queue.finish(again, "other")
    assert (await queue.job(job_id)).done == 1


async def test_what_a_worker_ends_after_another_took_it_is_counted_once(queue):
    job_id = await queue.add(1, 1)
    slow = await queue.claim("slow")
    queue.now_ms += LEASE_MS
    taken = await queue.claim("other")
    await queue.finish(slow, "slow")
    assert (await queue.job(job_id)).done == 0
    await queue.finish(taken, "other")
    await queue.finish(slow, "slow")
    assert (await queue.job(job_id)).done == 1


async def test_a_lease_that_is_renewed_is_not_over(queue):
    await queue.add(1)
    claim = await queue.claim("a")
    queue.now_ms += LEASE_MS - 1
    ids = [unit.id for unit in claim.units]
    lease = Lease("a", queue.now_ms, queue.now_ms + LEASE_MS)
    assert await queue.database.write(renew_leases, ids, lease) == set(ids)
    queue.now_ms += LEASE_MS - 1
    assert await queue.claim("other") is None


async def test_a_unit_that_fails_is_tried_again_later_and_given_up_in_the_end_while_the_job_goes_on(queue):
    job_id = await queue.add(1, 2)
    for attempt in range(1, ATTEMPTS + 1):
        claim = await queue.claim("a")
        (unit,) = claim.units
        assert (unit.argument, unit.attempts) == ({"number": 0}, attempt)
        await queue.settle(claim, Ended(unit.id, reason="It is cut short."), worker="a")
        if attempt == 1:
            await queue.finish(await queue.claim("a"), "a")
            assert await queue.claim("a") is None, "it rests before it is tried again"
        queue.now_ms += LEASE_MS
    job = await queue.job(job_id)
    assert (job.state, job.done, job.failed, job.total) == ("incomplete", 2, 1, 3)
    (failure,) = await queue.database.read(find_failures, job_id)
    assert (failure.argument, failure.reason) == ({"number": 0}, "It is cut short.")


async def test_a_unit_that_kills_its_workers_is_given_up_and_takes_no_other_along(queue):
    job_id = await queue.add(*[1] * 6)
    deaths = 0
    while claim := await queue.claim(f"worker {deaths}", batch=4):
        if any(unit.argument == {"number": 2} for unit in claim.units):
            deaths += 1
            queue.now_ms += LEASE_MS
        else:
            await queue.finish(claim, f"worker {deaths}")
    job = await queue.job(job_id)
    assert (job.done, job.failed, job.state) == (5, 1, "incomplete")
    (failure,) = await queue.database.read(find_failures, job_id)
    assert failure.argument == {"number": 2}
    assert "died 3 times" in failure.reason
    assert deaths == ATTEMPTS


async def test_what_is_given_back_is_free_at_once_and_counts_as_no_attempt(queue):
    await queue.add(1, 1)
    await queue.claim("a", batch=2)
    await queue.database.write(give_back, "a")
    claim = await queue.claim("b", batch=2)
    assert [unit.attempts for unit in claim.units] == [1, 1]


async def test_a_cancelled_job_gives_no_more_work_and_counts_no_more(queue):
    job_id = await queue.add(1, 1, 1)
    await queue.finish(await queue.claim("a"), "a")
    claim = await queue.claim("a")
    await queue.database.write(cancel_job, job_id, queue.now_ms)
    await queue.finish(claim, "a")
    assert await queue.claim("a") is None
    assert ((await queue.job(job_id)).state, (await queue.job(job_id)).done) == ("cancelled", 1)
    lease = Lease("a", queue.now_ms, queue.now_ms + LEASE_MS)
    assert await queue.database.write(renew_leases, [unit.id for unit in claim.units], lease) == set()
    with pytest.raises(ConflictError, match="cancelled"):
        await queue.database.write(cancel_job, job_id, queue.now_ms)
    with pytest.raises(NotFoundError):
        await queue.database.write(cancel_job, 999, queue.now_ms)


async def test_a_small_job_does_not_wait_for_a_large_one(queue):
    large = await queue.add(*[1] * 100)
    await queue.finish(await queue.claim("a"), "a")
    queue.now_ms += 1
    small = await queue.add(1)
    for _ in range(3):
        queue.now_ms += 1
        await queue.finish(await queue.claim("a"), "a")
    assert (await queue.job(small)).state == "done"
    assert (await queue.job(large)).state == "running"


async def test_a_worker_takes_no_kind_that_it_does_not_know(queue):
    await queue.add(1, kind="future")
    assert await queue.claim("a") is None


async def test_a_job_is_planned_before_it_is_done(queue):
    job_id = await queue.database.write(add_job, "count", {}, "test", 1)
    pages = 0
    claim = await queue.claim("a", batch=10)
    while claim.units[0].size == 0:
        pages += 1
        more = [NewUnit({}, 0)] if pages < 3 else []
        await queue.settle(claim, Ended(claim.units[0].id, units=[NewUnit({}, 1), *more]), worker="a")
        claim = await queue.claim("a", batch=10)
    assert (pages, len(claim.units)) == (3, 3)
    assert (await queue.job(job_id)).total == 3


async def test_notes_are_bounded_and_counts_are_not(queue):
    job_id = await queue.add(*[1] * 3)
    while claim := await queue.claim("a"):
        outcome = Outcome({"damaged": KEPT_NOTES}, ["a line"] * KEPT_NOTES)
        await queue.settle(claim, Ended(claim.units[0].id, outcome), worker="a")
    job = await queue.job(job_id)
    assert (len(job.notes), job.counts["damaged"]) == (KEPT_NOTES, 3 * KEPT_NOTES)


async def test_jobs_are_removed_some_time_after_they_ended_and_their_numbers_are_not_given_again(queue):
    old, running = await queue.add(), await queue.add(1)
    last = await queue.add()
    assert [job.id for job in await queue.database.read(find_jobs)] == [running, last, old]
    assert await queue.database.write(remove_finished, queue.now_ms) == 0
    assert await queue.database.write(remove_finished, queue.now_ms + 1) == 2
    assert [job.id for job in await queue.database.read(find_jobs)] == [running]
    assert await queue.add() > last
    with pytest.raises(NotFoundError):
        await queue.database.read(find_job, old)


async def test_ten_thousand_units_are_queued_and_done_and_what_waits_is_told(queue):
    job_id = await queue.add(*[1] * 10_000)
    assert await queue.database.read(count_waiting) == 10_000
    while claim := await queue.claim("a", batch=100):
        await queue.finish(claim, "a")
    job = await queue.job(job_id)
    assert (job.done, job.state, job.counts) == (10_000, "done", {"units": 10_000})
    assert await queue.database.read(count_waiting) == 0
