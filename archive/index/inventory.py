"""The whole index, for checking it against the store; not for requests, so it knows no scope."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from archive.database.dialects import total
from archive.database.index_tables import deleted_instances, index_totals, instances, series, studies
from archive.identifiers import Digest

NEWEST = 8


@dataclass(frozen=True, slots=True)
class Stored:
    """How much the index holds."""

    studies: int
    instances: int


@dataclass(frozen=True, slots=True)
class NamedBlob:
    """A blob that the index names, and the SOP Instance UIDs of its instances, deleted ones too."""

    digest: Digest
    length_bytes: int
    instance_uids: list[str]


def find_named_blobs(connection: sa.Connection, span: tuple[str, str] | None = None) -> list[NamedBlob]:
    """Every blob that the index names, or those in a span of digests: after the first, up to the second.

    What was deleted is named for as long as it can be restored.
    """
    table = deleted_instances.c
    restorable = sa.select(table.digest, table.length_bytes, table.instance_uid).where(table.purged.is_(False))
    stored = sa.select(instances.c.digest, instances.c.length_bytes, instances.c.instance_uid)
    if span is not None:
        restorable = restorable.where(table.digest > span[0], table.digest <= span[1])
        stored = stored.where(instances.c.digest > span[0], instances.c.digest <= span[1])
    named: dict[str, NamedBlob] = {}
    for digest, length_bytes, instance_uid in connection.execute(stored.union_all(restorable)):
        named.setdefault(digest, NamedBlob(Digest(digest), length_bytes, [])).instance_uids.append(instance_uid)
    return list(named.values())


def find_named_digests(connection: sa.Connection, after: str, most: int) -> list[str]:
    """The next blobs that the index names, in the order of their digests."""
    found: set[str] = set()
    for digest, rule in (
        (instances.c.digest, ()),
        (deleted_instances.c.digest, (deleted_instances.c.purged.is_(False),)),
    ):
        query = sa.select(digest).where(digest > after, *rule).distinct().order_by(digest).limit(most)
        found.update(connection.execute(query).scalars())
    return sorted(found)[:most]


def find_unnamed(connection: sa.Connection, digests: Sequence[Digest]) -> list[Digest]:
    """Those of the digests that no row names; some hundreds at a time."""
    stored = sa.select(instances.c.digest).where(instances.c.digest.in_(digests))
    table = deleted_instances.c
    restorable = sa.select(table.digest).where(table.digest.in_(digests), table.purged.is_(False))
    named = set(connection.execute(stored.union(restorable)).scalars())
    return [digest for digest in digests if digest not in named]


def is_named(connection: sa.Connection, digest: Digest) -> bool:
    """Whether a row names the blob."""
    stored = sa.exists().where(instances.c.digest == digest)
    restorable = sa.exists().where(deleted_instances.c.digest == digest, deleted_instances.c.purged.is_(False))
    return bool(connection.execute(sa.select(sa.or_(stored, restorable))).scalar_one())


def find_miscounted(connection: sa.Connection) -> int:
    """How many studies and series have a counter that differs from the rows."""
    in_series = sa.select(sa.func.count()).where(instances.c.series_id == series.c.id).scalar_subquery()
    in_study = sa.select(sa.func.count()).where(instances.c.study_id == studies.c.id).scalar_subquery()
    wrong_series = sa.select(sa.func.count()).select_from(series).where(series.c.instance_count != in_series)
    wrong_studies = sa.select(sa.func.count()).select_from(studies).where(studies.c.instance_count != in_study)
    return connection.execute(wrong_series).scalar_one() + connection.execute(wrong_studies).scalar_one()


def count_stored(connection: sa.Connection) -> Stored:
    """How much is stored, copies for shares among it."""
    row = connection.execute(sa.select(index_totals.c.study_count, index_totals.c.instance_count)).one()
    return Stored(row.study_count, row.instance_count)


def add_lengths(connection: sa.Connection) -> int:
    """The bytes of all instances; reads every row."""
    query = sa.select(total(instances.c.length_bytes))
    return int(connection.execute(query).scalar_one())


def find_newest_blobs(connection: sa.Connection) -> list[Digest]:
    """The blobs of the instances that were stored last."""
    query = sa.select(instances.c.digest).order_by(instances.c.id.desc()).limit(NEWEST)
    return [Digest(digest) for digest in connection.execute(query).scalars()]
