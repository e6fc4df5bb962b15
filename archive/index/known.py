"""What the index said before and still says: facts of instances, and documents made of them, kept in this process.

The facts of an instance never change; it can only be deleted. So what is kept holds until something is deleted: a
deletion in this process calls `forget`, one in another process is seen within `CHECK_EVERY_S`. The scope is checked
at every use, as nothing kept here was found by it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import sqlalchemy as sa

from archive.database.engine import Database
from archive.database.index_tables import deleted_instances, series, studies
from archive.database.statements import row_of
from archive.identifiers import InstanceUID, SeriesUID, StudyUID
from archive.index.reader import InstanceFacts, find_facts
from archive.instances import Instance
from archive.scope import Scope

CHECK_EVERY_S = 0.5
MAXIMUM_INSTANCES = 20_000
MAXIMUM_SPANS = 500_000
"""Instances with many fragments are large; of all kept ones together, so many."""
MAXIMUM_DOCUMENT_BYTES = 64 << 20

_NEWEST_DELETION = (
    sa.select(deleted_instances.c.id, deleted_instances.c.deleted_ms).order_by(deleted_instances.c.id.desc()).limit(1)
)
_SERIES_VERSION = (
    sa.select(series.c.id, series.c.updated_ms, series.c.instance_count)
    .join(studies, studies.c.id == series.c.study_id)
    .where(studies.c.study_uid == sa.bindparam("study"), series.c.series_uid == sa.bindparam("series"))
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be sent: as it is, and in the codings that it was asked for in."""

    body: bytes
    etag: str
    encoded: dict[str, bytes]

    @property
    def length_bytes(self) -> int:
        return len(self.body) + sum(map(len, self.encoded.values()))


class Known:
    """One for each process, over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._instances: OrderedDict[tuple[str, str, str], InstanceFacts] = OrderedDict()
        self._spans = 0
        self._documents: OrderedDict[Hashable, Prepared] = OrderedDict()
        self._newest_deletion: tuple[int, ...] | None = None
        self._check_again_s = 0.0
        self._forgotten = 0

    def forget(self) -> None:
        """Something was deleted."""
        self._instances.clear()
        self._spans = 0
        self._documents.clear()
        self._forgotten += 1

    async def find_instance(
        self, scope: Scope, study_uid: StudyUID, series_uid: SeriesUID, instance_uid: InstanceUID
    ) -> Instance | None:
        """The instance, if the three UIDs belong together and the scope may see it."""
        await self._notice_deletions()
        key = (study_uid, series_uid, instance_uid)
        facts = self._instances.get(key)
        if facts is None:
            facts = await self._database.keyed(find_facts, study_uid, series_uid, instance_uid)
            if facts is None:
                return None
            self._keep(key, facts)
        return facts.instance if facts.seen_by(scope) else None

    def _keep(self, key: tuple[str, str, str], facts: InstanceFacts) -> None:
        self._instances[key] = facts
        self._spans += len(facts.instance.frames.spans)
        while len(self._instances) > MAXIMUM_INSTANCES or self._spans > MAXIMUM_SPANS:
            _, oldest = self._instances.popitem(last=False)
            self._spans -= len(oldest.instance.frames.spans)

    async def series_version(self, scope: Scope, study_uid: StudyUID, series_uid: SeriesUID) -> Hashable | None:
        """What changes whenever the scope sees other instances of the series; None where there is no such series."""
        if not scope.may_see_study(study_uid):
            return None
        await self._notice_deletions()
        row = await self._database.keyed(
            lambda connection: row_of(connection, _SERIES_VERSION, {"study": study_uid, "series": series_uid})
        )
        if row is None:
            return None
        return (*row, self._forgotten, scope.stored_until_ms, scope.with_reports)

    def document(self, key: Hashable) -> Prepared | None:
        """The document of this key, which holds a version of what it was made from."""
        found = self._documents.get(key)
        if found is not None:
            self._documents.move_to_end(key)
        return found

    def keep_document(self, key: Hashable, document: Prepared) -> None:
        """Keep a document, instead of those that were used longest ago."""
        self._documents[key] = document
        self._documents.move_to_end(key)
        total = sum(kept.length_bytes for kept in self._documents.values())
        while total > MAXIMUM_DOCUMENT_BYTES:
            _, oldest = self._documents.popitem(last=False)
            total -= oldest.length_bytes

    async def _notice_deletions(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s < self._check_again_s:
            return
        newest = await self._database.keyed(lambda connection: row_of(connection, _NEWEST_DELETION))
        found = tuple(newest) if newest is not None else ()
        if found != self._newest_deletion:
            self.forget()
        self._newest_deletion, self._check_again_s = found, now_s + CHECK_EVERY_S
