"""The kind of job `transcode`: lossless HTJ2K copies of what is stored. A unit is one instance.

The job's argument is {"study": Study Instance UID, or None for all}.
"""

from collections.abc import Sequence

from archive.index.uncopied import find_by_digest, find_image_digests
from archive.jobs.kinds import PLANNING, Argument, NewUnit, Outcome
from wado.copying import Copier
from wado.copying import Outcome as Copied

PAGE = 1000


class Transcoding:
    """Copies frames; an instance whose copy is there is left alone."""

    def __init__(self, copier: Copier) -> None:
        self._copier = copier

    async def plan(self, job: Argument, unit: Argument) -> Sequence[NewUnit]:
        found = await self._copier.database.read(find_image_digests, job.get("study"), unit.get("after", 0), PAGE)
        units = [NewUnit({"digest": digest}, 1) for digest in found.values()]
        return [*units, NewUnit({"after": max(found)}, PLANNING)] if found else []

    async def do(self, _job: Argument, unit: Argument) -> Outcome:
        instance = await self._copier.database.read(find_by_digest, unit["digest"])
        if instance is None:
            return Outcome({"gone": 1})
        outcome = await self._copier.copy_instance(instance)
        notes = [f"{instance.instance_uid}: The stored file is missing or damaged."]
        return Outcome({outcome.value: 1}, notes if outcome is Copied.DAMAGED else ())
