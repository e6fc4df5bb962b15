"""The kind `verify`: every blob that the index names is read and compared with its SHA-256, a span at a time.

The job's argument is {"quick": bool}; a unit is a span of digests. What is damaged is set aside, as `scrub` does it.
"""

import asyncio
import logging
from collections.abc import Sequence
from itertools import pairwise

from archive.database.engine import Database
from archive.index.inventory import find_named_blobs, find_named_digests
from archive.jobs.kinds import PLANNING, Argument, NewUnit, Outcome
from archive.jobs.scrub import find_fault
from archive.store.contract import Store

SPAN = 50
PAGE = 40 * SPAN
log = logging.getLogger("lightbox.jobs")


class Verifying:
    """Reads blobs; quarantines what is damaged, and names the instances."""

    def __init__(self, database: Database, store: Store) -> None:
        self._database, self._store = database, store

    async def plan(self, _job: Argument, unit: Argument) -> Sequence[NewUnit]:
        after = unit.get("after", "")
        digests = await self._database.read(find_named_digests, after, PAGE)
        sizes = [len(digests[start : start + SPAN]) for start in range(0, len(digests), SPAN)]
        ends = [after, *digests[SPAN - 1 :: SPAN]]
        if digests and ends[-1] != digests[-1]:
            ends.append(digests[-1])
        spans = [
            NewUnit({"after": first, "through": last}, size)
            for (first, last), size in zip(pairwise(ends), sizes, strict=True)
        ]
        return [*spans, NewUnit({"after": digests[-1]}, PLANNING)] if digests else []

    async def do(self, job: Argument, unit: Argument) -> Outcome:
        blobs = await self._database.read(find_named_blobs, (unit["after"], unit["through"]))
        notes: list[str] = []
        damaged = 0
        for blob in blobs:
            if fault := await asyncio.to_thread(find_fault, self._store, blob.digest, job.get("quick", False)):
                log.critical("A stored instance is damaged and was set aside.", extra={"digest": blob.digest})
                damaged += len(blob.instance_uids)
                notes += [f"{uid}: {fault}" for uid in blob.instance_uids]
        return Outcome({"checked": sum(len(blob.instance_uids) for blob in blobs), "damaged": damaged}, notes)
