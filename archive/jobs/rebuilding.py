"""The index made anew from the blobs alone, and compared with the one that is served."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from archive.database.engine import Database
from archive.database.index_tables import deleted_instances, instance_metadata, instances, series, studies
from archive.errors import RefusedInstanceError, StoreError, StoreUnreachableError
from archive.identifiers import Digest
from archive.index.copies import is_original
from archive.index.writer import add_instances
from archive.ingest import Ingest
from archive.store.contract import Store

AT_ONCE = 100
PAGE = 500
MAXIMUM_NAMED = 20
BY = "rebuilt"


@dataclass(slots=True)
class Rebuilt:
    """How far it is. `unreadable` are digests whose bytes are damaged or no instance any more."""

    total: int
    done: int = 0
    unreadable: list[str] = field(default_factory=list)


class Kind(StrEnum):
    INSTANCE = "instance"
    SERIES = "series"
    STUDY = "study"


@dataclass(frozen=True, slots=True)
class Difference:
    """An instance, series or study that the two indexes do not say the same of."""

    kind: Kind
    uid: str


async def rebuild(ingest: Ingest, store: Store, into: Database, named: Sequence[str] | None) -> AsyncIterator[Rebuilt]:
    """Index blobs into an empty database.

    `named` are the blobs of the index that is served, in its order: what it does not name was deleted, or refused and
    not swept yet, and which of two instances came first no blob says of itself. None without a served index: then every
    blob is taken, in the order in which they were stored.
    """
    dated = await asyncio.to_thread(_dated, store, named)
    state = Rebuilt(len(dated))
    for start in range(0, len(dated), AT_ONCE):
        batch = []
        for written_s, digest in dated[start : start + AT_ONCE]:
            try:
                batch.append((written_s, await ingest.read_again(digest, BY)))
            except StoreUnreachableError:
                raise
            except (StoreError, RefusedInstanceError):
                state.unreadable.append(digest)
        if batch:
            await into.write_batch(add_instances, [new for _, new in batch], int(batch[-1][0] * 1000))
        state.done += len(dated[start : start + AT_ONCE])
        yield state


def _dated(store: Store, named: Sequence[str] | None) -> list[tuple[float, Digest]]:
    there = set(store.digests())
    if named is not None:
        return [(store.written_s(Digest(one)), Digest(one)) for one in dict.fromkeys(named) if one in there]
    return sorted((store.written_s(digest), digest) for digest in there)


def find_named(connection: sa.Connection) -> list[str] | None:
    """Digests of the blobs that the index names as stored, in the order in which they were indexed.

    None where nothing was ever stored by it. Copies for shares are not among them: a new index has no shares, and would
    take them for studies.
    """
    anything = sa.or_(sa.exists().where(instances.c.id > 0), sa.exists().where(deleted_instances.c.id > 0))
    if not connection.execute(sa.select(anything)).scalar_one():
        return None
    originals = sa.select(instances.c.digest).where(is_original(instances.c.study_id)).order_by(instances.c.id)
    return list(connection.execute(originals).scalars())


async def compare(served: Database, rebuilt: Database) -> list[Difference]:
    """What the two say differently: at most `MAXIMUM_NAMED` of each kind; both are read a page at a time.

    When and by whom something was stored is not in the blobs, and not compared.
    """
    differences: list[Difference] = []
    for kind in Kind:
        found = [uid async for uid in _differing(kind, served, rebuilt)]
        differences += [Difference(kind, uid) for uid in sorted(set(found))[:MAXIMUM_NAMED]]
    return differences


async def _differing(kind: Kind, served: Database, rebuilt: Database) -> AsyncIterator[str]:
    """The UIDs that one of the two has alone or says something else of, at least the first of them."""
    after = ""
    count = 0
    while count < MAXIMUM_NAMED:
        one, other = await asyncio.gather(served.read(_page, kind, after), rebuilt.read(_page, kind, after))
        if not one and not other:
            return
        # Both are looked at as far as both pages reach: what lies behind comes with the next ones.
        ends = [page[-1][0] for page in (one, other) if len(page) == PAGE]
        end = min(ends) if ends else max(page[-1][0] for page in (one, other) if page)
        mine, theirs = ([row for row in page if row[0] <= end] for page in (one, other))
        for uid in sorted({row[0] for row in set(mine) ^ set(theirs)}):
            count += 1
            yield uid
        after = end


def _page(connection: sa.Connection, kind: Kind, after: str) -> list[tuple[Any, ...]]:
    """Up to `PAGE` rows of that kind, as far as they come from the blobs, by UID."""
    query = _QUERIES[kind].where(_UIDS[kind] > after).order_by(_UIDS[kind]).limit(PAGE)
    return [tuple(row) for row in connection.execute(query)]


_NOT_IN_BLOBS = frozenset(("id", "study_id", "series_id", "stored_ms", "updated_ms", "stored_by", "original_digest"))


def _own(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.columns if column.name not in _NOT_IN_BLOBS]


_UIDS: dict[Kind, sa.Column[str]] = {
    Kind.INSTANCE: instances.c.instance_uid,
    Kind.SERIES: series.c.series_uid,
    Kind.STUDY: studies.c.study_uid,
}
_QUERIES: dict[Kind, sa.Select[Any]] = {
    Kind.INSTANCE: sa.select(instances.c.instance_uid, studies.c.study_uid, series.c.series_uid, *_own(instances))
    .add_columns(instance_metadata.c.document)
    .select_from(instances)
    .join(studies, studies.c.id == instances.c.study_id)
    .join(series, series.c.id == instances.c.series_id)
    .join(instance_metadata, instance_metadata.c.instance_id == instances.c.id)
    .where(is_original(instances.c.study_id)),
    Kind.SERIES: sa.select(series.c.series_uid, studies.c.study_uid, *_own(series))
    .join(studies, studies.c.id == series.c.study_id)
    .where(series.c.instance_count > 0, is_original(series.c.study_id)),
    Kind.STUDY: sa.select(studies.c.study_uid, *_own(studies)).where(
        studies.c.instance_count > 0, is_original(studies.c.id)
    ),
}
