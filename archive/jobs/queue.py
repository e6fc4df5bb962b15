"""The durable queue of jobs: added, claimed by workers under a lease, ended, cancelled, removed.

Writing units of work come one after another on both databases, so what a SELECT finds here still holds at the UPDATE
that follows it: two workers never claim the same unit. The row of the job is locked beside that where the database has
such locks, and all counts of a job change together with its units.

A lease is over by the clock of the machine that asks. Machines that share a database need clocks that agree to within
a fraction of a lease; where they do not, a unit is done twice, and counted once.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile
from typing import Any

import sqlalchemy as sa

from archive.database.job_tables import job_failures, job_units, jobs
from archive.errors import ConflictError, NotFoundError
from archive.jobs.kinds import PLANNING, Argument, NewUnit, Outcome

ATTEMPTS = 3
RETRY_MS = 2_000
"""How long a unit rests that failed once; twice as long after the second time."""
KEPT_NOTES = 200
KEPT_FAILURES = 1000
"""Most lines and failures that are kept of a job; all are counted."""
LINE_LENGTH = 300
REMOVED_AT_ONCE = 100
WORKER_DIED = f"Its worker died {ATTEMPTS} times."


class State(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    INCOMPLETE = "incomplete"
    """It has ended, and some of its units were given up."""
    CANCELLED = "cancelled"


OPEN = (State.WAITING, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as a worker has it. `attempts` counts this one."""

    id: int
    argument: Argument
    size: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Some units of one job that a worker has until the lease is over."""

    job_id: int
    kind: str
    argument: Argument
    units: Sequence[Unit]


@dataclass(frozen=True, slots=True)
class Ended:
    """A unit that was tried. `reason` says why it failed; with "" it is done."""

    unit_id: int
    outcome: Outcome = field(default_factory=Outcome)
    units: Sequence[NewUnit] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who claims, and until when: times are milliseconds since 1970, UTC."""

    worker: str
    now_ms: int
    until_ms: int


def add_job(connection: sa.Connection, kind: str, argument: Argument, asked_by: str, now_ms: int) -> int:
    """Put a job at the end of the queue; its number."""
    values = {
        "kind": kind,
        "argument": json.dumps(dict(argument)),
        "asked_by": asked_by,
        "state": State.WAITING,
        "created_ms": now_ms,
    }
    key = connection.execute(sa.insert(jobs).values(**values)).inserted_primary_key
    assert key is not None
    _add_units(connection, int(key[0]), [NewUnit({}, PLANNING)])
    return int(key[0])


def claim_units(connection: sa.Connection, batches: Mapping[str, int], lease: Lease) -> Claim | None:
    """Take units of the job whose turn it is, so many as its kind's batch says; None where there is nothing to do.

    Jobs take turns, so that a small one does not wait for a large one to end. Units whose worker let the lease pass are
    free again. One that was tried before comes alone: should it be what kills workers, it takes no other along.
    """
    query = sa.select(jobs.c.id, jobs.c.kind, jobs.c.argument).where(jobs.c.state.in_(OPEN), jobs.c.kind.in_(batches))
    for job in connection.execute(query.order_by(jobs.c.claimed_ms, jobs.c.id).with_for_update()).all():
        if units := _free_units(connection, job.id, batches[job.kind], lease.now_ms):
            own = job_units.c.id.in_([unit.id for unit in units])
            taken = {"worker": lease.worker, "lease_until_ms": lease.until_ms, "attempts": job_units.c.attempts + 1}
            connection.execute(sa.update(job_units).where(own).values(**taken))
            begun = {"claimed_ms": lease.now_ms, "state": State.RUNNING}
            connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(**begun))
            return Claim(job.id, job.kind, json.loads(job.argument), units)
    return None


def renew_leases(connection: sa.Connection, unit_ids: Sequence[int], lease: Lease) -> set[int]:
    """Hold units for longer; which of them are still the worker's: not what was cancelled or taken by another."""
    own = sa.and_(job_units.c.id.in_(unit_ids), job_units.c.worker == lease.worker)
    connection.execute(sa.update(job_units).where(own).values(lease_until_ms=lease.until_ms))
    return set(connection.execute(sa.select(job_units.c.id).where(own)).scalars())


def settle_units(connection: sa.Connection, claim: Claim, ended: Iterable[Ended], worker: str, now_ms: int) -> None:
    """Write down what became of units, and count it. What is not the worker's any more is left to who has it now."""
    by_id = {one.unit_id: one for one in ended}
    job = connection.execute(sa.select(jobs).where(jobs.c.id == claim.job_id).with_for_update()).one_or_none()
    query = sa.select(job_units).where(job_units.c.id.in_(by_id), job_units.c.worker == worker)
    held = connection.execute(query).all()
    if job is None or not held:
        return
    done = [row for row in held if not by_id[row.id].reason]
    _add_units(connection, job.id, [unit for row in done for unit in by_id[row.id].units])
    _remove_units(connection, done)
    counted = {
        "done": jobs.c.done + sum(row.size for row in done),
        "result": _merged(job.result, [by_id[row.id].outcome for row in done]),
    }
    connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(**counted))
    failed = [row for row in held if by_id[row.id].reason]
    _give_up(connection, job.id, [(row, by_id[row.id].reason) for row in failed if row.attempts >= ATTEMPTS])
    for row in failed:
        if row.attempts < ATTEMPTS:
            rest = {"worker": "", "lease_until_ms": now_ms + row.attempts * RETRY_MS}
            connection.execute(sa.update(job_units).where(job_units.c.id == row.id).values(**rest))
    _close_if_empty(connection, job.id, now_ms)


def give_back(connection: sa.Connection, worker: str) -> None:
    """Free what a worker has, as if it had not been tried: the worker stops."""
    freed = {"worker": "", "lease_until_ms": 0, "attempts": job_units.c.attempts - 1}
    connection.execute(sa.update(job_units).where(job_units.c.worker == worker).values(**freed))


def cancel_job(connection: sa.Connection, job_id: int, now_ms: int) -> None:
    """End a job; what is done stays done. Raises NotFoundError, and ConflictError for one that has ended."""
    job = connection.execute(sa.select(jobs.c.state).where(jobs.c.id == job_id).with_for_update()).one_or_none()
    if job is None:
        raise NotFoundError("There is no such job.")
    if job.state not in OPEN:
        raise ConflictError(f"The job has ended already: it is {job.state}.")
    connection.execute(sa.delete(job_units).where(job_units.c.job_id == job_id))
    ended = {"state": State.CANCELLED, "finished_ms": now_ms}
    connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**ended))


def remove_finished(connection: sa.Connection, before_ms: int) -> int:
    """Remove some jobs that ended before then; how many."""
    query = sa.select(jobs.c.id).where(jobs.c.finished_ms < before_ms).limit(REMOVED_AT_ONCE)
    ids = list(connection.execute(query).scalars())
    connection.execute(sa.delete(job_failures).where(job_failures.c.job_id.in_(ids)))
    connection.execute(sa.delete(jobs).where(jobs.c.id.in_(ids)))
    return len(ids)


def _free_units(connection: sa.Connection, job_id: int, most: int, now_ms: int) -> list[Unit]:
    """Units that nobody has, those that are to be planned before and apart from others; gives up what kills workers."""
    free = sa.and_(job_units.c.job_id == job_id, job_units.c.lease_until_ms <= now_ms)
    query = sa.select(job_units).where(free).order_by(job_units.c.size, job_units.c.id).limit(most)
    while rows := connection.execute(query).all():
        spent = [(row, WORKER_DIED) for row in rows if row.attempts >= ATTEMPTS]
        if not spent:
            return [Unit(row.id, json.loads(row.argument), row.size, row.attempts + 1) for row in _together(rows)]
        _give_up(connection, job_id, spent)
        _close_if_empty(connection, job_id, now_ms)
    return []


def _together(rows: Sequence[sa.Row[Any]]) -> Sequence[sa.Row[Any]]:
    """The first that may be taken together: untried ones, and none that is to be planned with one that is not."""
    is_planning = rows[0].size == PLANNING
    return list(takewhile(lambda row: not row.attempts and (row.size == PLANNING) is is_planning, rows)) or rows[:1]


def _add_units(connection: sa.Connection, job_id: int, units: Sequence[NewUnit]) -> None:
    if not units:
        return
    rows = [{"job_id": job_id, "argument": json.dumps(dict(unit.argument)), "size": unit.size} for unit in units]
    connection.execute(sa.insert(job_units), rows)
    more = jobs.c.total + sum(unit.size for unit in units)
    connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(total=more))


def _remove_units(connection: sa.Connection, rows: Iterable[sa.Row[Any]]) -> None:
    connection.execute(sa.delete(job_units).where(job_units.c.id.in_([row.id for row in rows])))


def _give_up(connection: sa.Connection, job_id: int, failed: Sequence[tuple[sa.Row[Any], str]]) -> None:
    if not failed:
        return
    kept = sa.select(sa.func.count()).where(job_failures.c.job_id == job_id)
    room = max(0, KEPT_FAILURES - connection.execute(kept).scalar_one())
    told = [
        {"job_id": job_id, "argument": row.argument, "reason": reason[:LINE_LENGTH]} for row, reason in failed[:room]
    ]
    if told:
        connection.execute(sa.insert(job_failures), told)
    _remove_units(connection, [row for row, _ in failed])
    more = jobs.c.failed + sum(row.size for row, _ in failed)
    connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(failed=more))


def _close_if_empty(connection: sa.Connection, job_id: int, now_ms: int) -> None:
    left = sa.exists().where(job_units.c.job_id == job_id)
    if connection.execute(sa.select(left)).scalar_one():
        return
    has_failed = connection.execute(sa.select(sa.exists().where(job_failures.c.job_id == job_id))).scalar_one()
    ended = {"state": State.INCOMPLETE if has_failed else State.DONE, "finished_ms": now_ms}
    connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**ended))


def _merged(result: str, outcomes: Iterable[Outcome]) -> str:
    """The result of a job with what more units came to."""
    kept = json.loads(result)
    counts, notes = Counter[str](kept.get("counts", {})), list(kept.get("notes", ()))
    for outcome in outcomes:
        counts.update(outcome.counts)
        notes += [note[:LINE_LENGTH] for note in outcome.notes]
    return json.dumps({"counts": counts, "notes": notes[:KEPT_NOTES]})
