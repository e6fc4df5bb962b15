"""A queue of its own for each test, with a clock that is set by hand."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import at

from archive.database.engine import Database, migrate, open_database
from archive.database.job_tables import job_units
from archive.jobs.kinds import NewUnit, Outcome
from archive.jobs.queue import Claim, Ended, Lease, add_job, claim_units, settle_units
from archive.jobs.reports import Job, find_job

LEASE_MS = 60_000


@dataclass
class Queue:
    """A database with jobs of the kind "count", whose units say how much they count."""

    database: Database
    now_ms: int = 1_000_000

    def clock(self) -> int:
        return self.now_ms

    async def add(self, *sizes: int, kind: str = "count") -> int:
        """A job that is planned already: one unit of each size."""
        job_id = await self.database.write(add_job, kind, {}, "test", self.now_ms)
        planning = await self.claim("planner", kinds={kind: 1})
        assert planning is not None
        assert planning.job_id == job_id
        units = [NewUnit({"number": number}, size) for number, size in enumerate(sizes)]
        await self.settle(planning, Ended(planning.units[0].id, units=units), worker="planner")
        return job_id

    async def claim(self, worker: str, batch: int = 1, kinds: Mapping[str, int] | None = None) -> Claim | None:
        lease = Lease(worker, self.now_ms, self.now_ms + LEASE_MS)
        return await self.database.write(claim_units, kinds or {"count": batch}, lease)

    async def settle(self, claim: Claim, *ended: Ended, worker: str) -> None:
        await self.database.write_batch(settle_units, claim, ended, worker, self.now_ms)

    async def finish(self, claim: Claim | None, worker: str) -> None:
        assert claim is not None
        await self.settle(claim, *(Ended(unit.id, Outcome({"units": 1})) for unit in claim.units), worker=worker)

    async def job(self, job_id: int) -> Job:
        """The job, whose counts and units have to add up whenever one looks."""

        def look(connection: sa.Connection) -> tuple[Job, int]:
            left = sa.select(sa.func.coalesce(sa.func.sum(job_units.c.size), 0)).where(job_units.c.job_id == job_id)
            connection.begin()
            return find_job(connection, job_id), connection.execute(left).scalar_one()

        job, left = await self.database.read(look)
        assert job.done + job.failed + left == job.total or job.state == "cancelled"
        return job


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    migrate(at(tmp_path / "lightbox.sqlite"))
    database = open_database(at(tmp_path / "lightbox.sqlite"))
    yield Queue(database)
    await database.close()
