"""What is told of jobs: how far they are, what came of them, what could not be done."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from archive.database.job_tables import job_failures, jobs
from archive.errors import NotFoundError
from archive.jobs.kinds import Argument
from archive.jobs.queue import OPEN, State

MOST = 100


@dataclass(frozen=True, slots=True)
class Job:
    """A job as people see it; times are milliseconds since 1970, UTC.

    `total` grows while the job is planned. `counts` and `notes` are its kind's own.
    """

    id: int
    kind: str
    argument: Argument
    asked_by: str
    state: State
    created_ms: int
    finished_ms: int | None
    total: int
    done: int
    failed: int
    counts: Mapping[str, int]
    notes: Sequence[str]

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class Failure:
    """A unit that was given up."""

    argument: Argument
    reason: str


def find_jobs(connection: sa.Connection, most: int = MOST) -> list[Job]:
    """Jobs that have not ended, and after them the others; the newest first."""
    ended = sa.case((jobs.c.finished_ms.is_(None), 0), else_=1)
    return [_job(row) for row in connection.execute(sa.select(jobs).order_by(ended, jobs.c.id.desc()).limit(most))]


def find_job(connection: sa.Connection, job_id: int) -> Job:
    """One job. Raises NotFoundError."""
    row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise NotFoundError("There is no such job.")
    return _job(row)


def find_failures(connection: sa.Connection, job_id: int) -> list[Failure]:
    """Units of a job that were given up, at most `queue.KEPT_FAILURES`."""
    query = sa.select(job_failures).where(job_failures.c.job_id == job_id).order_by(job_failures.c.id)
    return [Failure(json.loads(row.argument), row.reason) for row in connection.execute(query)]


def has_open_jobs(connection: sa.Connection) -> bool:
    """Whether any job has not ended."""
    return bool(connection.execute(sa.select(sa.exists().where(jobs.c.state.in_(OPEN)))).scalar_one())


def count_waiting(connection: sa.Connection) -> int:
    """How much all jobs have still to do, in the things that they count."""
    left = sa.func.coalesce(sa.func.sum(jobs.c.total - jobs.c.done - jobs.c.failed), 0)
    return int(connection.execute(sa.select(left).where(jobs.c.state.in_(OPEN))).scalar_one())


def _job(row: sa.Row[Any]) -> Job:
    result = json.loads(row.result)
    return Job(
        row.id,
        row.kind,
        json.loads(row.argument),
        row.asked_by,
        State(row.state),
        row.created_ms,
        row.finished_ms,
        row.total,
        row.done,
        row.failed,
        result.get("counts", {}),
        result.get("notes", ()),
    )
