"""Keeps the copies that shares without a name show: made soon after the share or a new image, gone soon after its end.

The copies are ordinary instances under UIDs of their own (`archive.index.copies`), and such a share's scope names them
and nothing else. So no route has to know of it, and none can forget. What cannot be cleaned is not copied; it is
remembered why, so that the page can say so.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import orjson
import sqlalchemy as sa

from archive.database.access_tables import share_exclusions, shares
from archive.database.engine import Database
from archive.database.index_tables import instances, studies
from archive.dicom.burned_in import Exclusion, exclusion_of
from archive.dicom.coercion import Coercion
from archive.dicom.deidentification import deidentify
from archive.dicom.pseudonyms import Pseudonyms
from archive.errors import NotAcceptableError, PayloadTooLargeError, RefusedInstanceError, StoreError
from archive.identifiers import StudyUID
from archive.index.copies import DROPPED_AT_ONCE, drop_empty, drop_instances, find_members, find_stored_copies
from archive.index.counters import count_again
from archive.index.reader import find_instances, find_metadata
from archive.index.writer import NewInstance
from archive.ingest import Ingest
from archive.instances import Instance
from archive.store.contract import Store
from auth.shares import Share, find_share

LOOK_EVERY_S = 1.0
AT_ONCE = 32
"""Copies made before they are indexed together."""

log = logging.getLogger("lightbox.without_name")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a share without a name does not show, in numbers. `preparing` is still to be copied."""

    burned_in: int = 0
    documents: int = 0
    unclear: int = 0
    preparing: int = 0


@dataclass(frozen=True, slots=True)
class _Difference:
    """What has to be done for one study of a share."""

    to_make: tuple[Instance, ...]
    to_drop: tuple[str, ...]


def left_out(connection: sa.Connection, share: Share) -> LeftOut:
    """What the page tells of a share without a name."""
    query = (
        sa.select(share_exclusions.c.reason, sa.func.count())
        .where(share_exclusions.c.share_id == share.root_id)
        .group_by(share_exclusions.c.reason)
    )
    counted = {str(row[0]): int(row[1]) for row in connection.execute(query)}
    preparing = sum(
        len(_difference(connection, share, source, copy).to_make)
        for source, copy in zip(share.source_uids, share.study_uids, strict=True)
    )
    return LeftOut(
        counted.get(Exclusion.BURNED_IN, 0),
        counted.get(Exclusion.DOCUMENT, 0),
        counted.get(Exclusion.UNCLEAR, 0),
        preparing,
    )


class Copies:
    """Kept in one process; copies are the same whoever makes them, so that another may take over at any moment."""

    def __init__(self, database: Database, store: Store, ingest: Ingest, forget: Callable[[], None]) -> None:
        self._database = database
        self._store = store
        self._ingest = ingest
        self._forget = forget
        self._versions: dict[str, Hashable] = {}
        """What was there when a share's copies were last right; one for each living share without a name."""

    async def keep(self, now_ms: Callable[[], int]) -> None:
        """Look for work for ever."""
        while True:
            await self.bring_up_to_date(now_ms())
            await asyncio.sleep(LOOK_EVERY_S)

    async def bring_up_to_date(self, now_ms: int) -> None:
        """Make what is missing of the living shares' copies; drop what no living share shows."""
        living = await self._database.read(_living_roots, now_ms)
        shown = {uid for share in living for uid in share.study_uids}
        for study_uid in sorted(await self._database.read(find_stored_copies) - shown):
            await self._drop(await self._database.read(find_members, study_uid))
        self._versions = {share_id: seen for share_id, seen in self._versions.items() if share_id in _ids(living)}
        for share in living:
            version = await self._database.read(_version, share)
            if self._versions.get(share.share_id) == version:
                continue
            if await self._update(share):
                self._versions[share.share_id] = await self._database.read(_version, share)

    async def _update(self, share: Share) -> bool:
        """Bring one share's copies up to date; whether all could be done."""
        complete = True
        for source, copy in zip(share.source_uids, share.study_uids, strict=True):
            await self._database.write(_forget_gone, share, source)
            difference = await self._database.read(_difference, share, source, copy)
            await self._drop(difference.to_drop)
            for start in range(0, len(difference.to_make), AT_ONCE):
                complete &= await self._make(share, difference.to_make[start : start + AT_ONCE])
        return complete

    async def _make(self, share: Share, sources: Sequence[Instance]) -> bool:
        made: list[tuple[Instance, NewInstance]] = []
        excluded: list[tuple[Instance, Exclusion]] = []
        complete = True
        for source in sources:
            try:
                found = await self._copy(share, source)
            except StoreError:
                complete = False  # `verify` tells of the missing blob; it may come back
                continue
            except (RefusedInstanceError, NotAcceptableError, PayloadTooLargeError):
                found = Exclusion.UNCLEAR
            if isinstance(found, Exclusion):
                excluded.append((source, found))
            elif found is not None:
                made.append((source, found))
        if made:
            outcomes = await self._ingest.index([new for _, new in made])
            for (source, _), outcome in zip(made, outcomes, strict=True):
                if isinstance(outcome, RefusedInstanceError):
                    excluded.append((source, Exclusion.UNCLEAR))
        if excluded:
            await self._database.write(_exclude, share.root_id, excluded)
        return complete

    async def _copy(self, share: Share, source: Instance) -> NewInstance | Exclusion | None:
        """The copy, ready to be indexed; why there must be none; None where the source has just been deleted."""
        documents = await self._database.read(_documents, share, source)
        if not documents:
            return None
        exclusion = exclusion_of(orjson.loads(documents[0]))
        if exclusion is not None:
            return exclusion
        pseudonyms = _pseudonyms(share)
        await asyncio.to_thread(self._store.path_of, source.digest)  # it may have to be fetched first
        with self._store.contents(source.digest) as data:
            plan = await asyncio.to_thread(deidentify, data, pseudonyms, self._ingest.limits.parsing)
            blocks = plan.blocks()
            upload = self._ingest.begin(Coercion())  # no setting puts a name back
            try:
                while block := await asyncio.to_thread(next, blocks, b""):
                    await upload.write(block)
            except BaseException:
                await upload.abort()
                raise
        study_uid = StudyUID(pseudonyms.other_uid(source.study_uid))
        new = await upload.finish(study_uid=study_uid, by=f"share {share.root_id}")
        return replace(new, is_copy=True)

    async def _drop(self, instance_uids: Sequence[str]) -> None:
        for start in range(0, len(instance_uids), DROPPED_AT_ONCE):
            part = instance_uids[start : start + DROPPED_AT_ONCE]
            await self._database.write_batch(_drop_part, part, self._store)
            self._forget()


def _pseudonyms(share: Share) -> Pseudonyms:
    if share.deidentification_key is None:
        raise LookupError("This share shows the studies as they are.")
    return Pseudonyms(share.deidentification_key)


def _ids(living: Sequence[Share]) -> set[str]:
    return {share.share_id for share in living}


def _living_roots(connection: sa.Connection, now_ms: int) -> list[Share]:
    """The shares without a name whose copies somebody may still see, people's links counted to what they are under."""
    query = sa.select(sa.func.coalesce(shares.c.parent_id, shares.c.id)).where(
        shares.c.deidentification_key.is_not(None), shares.c.ended_ms.is_(None), shares.c.expires_ms > now_ms
    )
    found = (find_share(connection, root, now_ms) for root in sorted(set(connection.execute(query).scalars())))
    return [share for share in found if share is not None]


def _version(connection: sa.Connection, share: Share) -> Hashable:
    """What changes whenever an instance of the share's studies or of their copies comes or goes."""
    named = studies.c.study_uid.in_([*share.source_uids, *share.study_uids])
    query = sa.select(studies.c.id, studies.c.updated_ms, studies.c.instance_count).where(named).order_by(studies.c.id)
    return tuple(tuple(row) for row in connection.execute(query))


def _difference(connection: sa.Connection, share: Share, source: StudyUID, copy: StudyUID) -> _Difference:
    pseudonyms = _pseudonyms(share)
    excluded = sa.select(share_exclusions.c.instance_uid).where(share_exclusions.c.share_id == share.root_id)
    left_out_uids = set(connection.execute(excluded.where(share_exclusions.c.study_uid == source)).scalars())
    wanted = {
        pseudonyms.other_uid(instance.instance_uid): instance
        for instance in find_instances(share.source_scope, connection, source)
        if instance.instance_uid not in left_out_uids
    }
    there = set(find_members(connection, copy))
    return _Difference(
        tuple(instance for uid, instance in wanted.items() if uid not in there), tuple(sorted(there - wanted.keys()))
    )


def _documents(connection: sa.Connection, share: Share, source: Instance) -> list[bytes]:
    chain = (source.study_uid, source.series_uid, source.instance_uid)
    return [found.document for found in find_metadata(share.source_scope, connection, *chain)]


def _exclude(connection: sa.Connection, share_id: str, excluded: Sequence[tuple[Instance, Exclusion]]) -> None:
    for instance, reason in excluded:
        same = (share_exclusions.c.share_id == share_id, share_exclusions.c.instance_uid == instance.instance_uid)
        connection.execute(sa.delete(share_exclusions).where(*same))
        row = {"share_id": share_id, "instance_uid": instance.instance_uid, "study_uid": instance.study_uid}
        connection.execute(sa.insert(share_exclusions).values(**row, reason=str(reason)))


def _forget_gone(connection: sa.Connection, share: Share, source: StudyUID) -> None:
    """What is not stored any more is not left out any more."""
    there = sa.exists().where(instances.c.instance_uid == share_exclusions.c.instance_uid)
    same = (share_exclusions.c.share_id == share.root_id, share_exclusions.c.study_uid == source)
    connection.execute(sa.delete(share_exclusions).where(*same, ~there))


def _drop_part(connection: sa.Connection, instance_uids: Sequence[str], store: Store) -> None:
    study_ids, series_ids = drop_instances(connection, instance_uids, store.remove)
    drop_empty(connection, study_ids, series_ids)
    count_again(connection, study_ids, series_ids)
