"""The index made anew from the blobs alone, and compared with the one that is served."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa

from archive.database.engine import Database
from archive.database.index_tables import instance_metadata, instances, series, studies
from archive.errors import RefusedInstanceError, StoreError
from archive.identifiers import Digest
from archive.index.writer import add_instances
from archive.ingest import Ingest
from archive.store.contract import Store

AT_ONCE = 100
MAXIMUM_NAMED = 20
BY = "rebuilt"


@dataclass(slots=True)
class Rebuilt:
    """How far it is. `unreadable` are digests whose bytes are damaged or no instance any more."""

    total: int
    done: int = 0
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Difference:
    """An instance, series or study that the two indexes do not say the same of."""

    kind: str
    uid: str


async def rebuild(ingest: Ingest, store: Store, into: Database, named: Sequence[str]) -> AsyncIterator[Rebuilt]:
    """Index blobs into an empty database.

    `named` are the blobs of the index that is served, in its order: what it does not name was deleted, or refused and
    not swept yet, and which of two instances came first no blob says of itself. Without a served index it is empty, and
    every blob is taken, in the order in which they were stored.
    """
    dated = await asyncio.to_thread(_dated, store, named)
    state = Rebuilt(len(dated))
    for start in range(0, len(dated), AT_ONCE):
        batch = []
        for written_s, digest in dated[start : start + AT_ONCE]:
            try:
                batch.append((written_s, await ingest.read_again(digest, BY)))
            except (StoreError, RefusedInstanceError):
                state.unreadable.append(digest)
        if batch:
            await into.write_batch(add_instances, [new for _, new in batch], int(batch[-1][0] * 1000))
        state.done += len(dated[start : start + AT_ONCE])
        yield state


def _dated(store: Store, named: Sequence[str]) -> list[tuple[float, Digest]]:
    there = set(store.digests())
    if named:
        return [(store.written_s(Digest(one)), Digest(one)) for one in dict.fromkeys(named) if one in there]
    return sorted((store.written_s(digest), digest) for digest in there)


def find_named(connection: sa.Connection) -> list[str]:
    """Digests of the blobs that the index names as stored, in the order in which they were indexed."""
    return list(connection.execute(sa.select(instances.c.digest).order_by(instances.c.id)).scalars())


async def compare(served: Database, rebuilt: Database) -> list[Difference]:
    """What the two say differently: at most `MAXIMUM_NAMED` of each kind.

    When and by whom something was stored is not in the blobs, and not compared.
    """
    differences: list[Difference] = []
    for kind in ("instance", "series", "study"):
        one, other = await asyncio.gather(served.read(_rows, kind), rebuilt.read(_rows, kind))
        differences += list(_differing(kind, one, other))[:MAXIMUM_NAMED]
    return differences


def _differing(kind: str, one: Sequence[Any], other: Sequence[Any]) -> Iterator[Difference]:
    if [row[0] for row in one] != [row[0] for row in other]:
        for uid in sorted({row[0] for row in one} ^ {row[0] for row in other}):
            yield Difference(kind, uid)
        return
    for mine, theirs in zip_longest(one, other):
        if mine != theirs:
            yield Difference(kind, mine[0])


def _rows(connection: sa.Connection, kind: str) -> list[tuple[Any, ...]]:
    """Everything of that kind, as far as it comes from the blobs, in the order of the UIDs."""
    if kind == "instance":
        own = [instances.c[name] for name in instances.c.keys() if name not in _NOT_IN_BLOBS]  # noqa: SIM118 - a column collection is no dict
        query = (
            sa.select(instances.c.instance_uid, studies.c.study_uid, series.c.series_uid, *own)
            .add_columns(instance_metadata.c.document)
            .select_from(instances)
            .join(studies, studies.c.id == instances.c.study_id)
            .join(series, series.c.id == instances.c.series_id)
            .join(instance_metadata, instance_metadata.c.instance_id == instances.c.id)
            .order_by(instances.c.instance_uid)
        )
    elif kind == "series":
        own = [series.c[name] for name in series.c.keys() if name not in _NOT_IN_BLOBS]  # noqa: SIM118 - the same
        query = (
            sa.select(series.c.series_uid, studies.c.study_uid, *own)
            .join(studies, studies.c.id == series.c.study_id)
            .where(series.c.instance_count > 0)
            .order_by(series.c.series_uid, studies.c.study_uid)
        )
    else:
        own = [studies.c[name] for name in studies.c.keys() if name not in _NOT_IN_BLOBS]  # noqa: SIM118 - the same
        query = sa.select(studies.c.study_uid, *own).where(studies.c.instance_count > 0).order_by(studies.c.study_uid)
    return [tuple(row) for row in connection.execute(query)]


_NOT_IN_BLOBS = frozenset(("id", "study_id", "series_id", "stored_ms", "updated_ms", "stored_by", "original_digest"))
