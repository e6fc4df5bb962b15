"""Take instances out of the index, bring them back, and forget them for good.

What is deleted leaves the tables that are read and searched, so that no reader can give it away; a row here remembers
it. Its blob is kept until it is purged: till then it can be restored by reading the blob again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from archive.database.index_tables import (
    deleted_instances,
    instance_metadata,
    instances,
    sequence_values,
    series,
    studies,
)
from archive.identifiers import Digest, InstanceUID, SeriesUID, StudyUID
from archive.index.counters import count_again
from archive.index.writer import NewInstance, add_instances
from archive.scope import Scope

PURGED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Chain:
    """A study, a series of it, or an instance of that."""

    study_uid: StudyUID
    series_uid: SeriesUID | None = None
    instance_uid: InstanceUID | None = None

    def among(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """What the chain names, as a condition on a table that has columns for the three UIDs."""
        uids = {"study_uid": self.study_uid, "series_uid": self.series_uid, "instance_uid": self.instance_uid}
        return sa.and_(sa.true(), *(table.c[name] == uid for name, uid in uids.items() if uid is not None))


@dataclass(frozen=True, slots=True)
class Deletion:
    """Who deletes, and when. `rejected`: the instances are never taken again, unless they are restored."""

    now_ms: int
    by: str
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class DeletedInstance:
    """What is remembered of a deleted instance whose blob is still there."""

    digest: Digest
    stored_by: str
    original_digest: Digest | None = None


def delete_instances(connection: sa.Connection, chain: Chain, deletion: Deletion) -> int:
    """Take what the chain names out of the index; how many instances that were."""
    study = connection.execute(sa.select(studies.c.id).where(studies.c.study_uid == chain.study_uid)).scalar()
    if study is None:
        return 0
    chosen = sa.select(instances.c.id).join(series, series.c.id == instances.c.series_id)
    chosen = chosen.where(instances.c.study_id == study)
    if chain.series_uid is not None:
        chosen = chosen.where(series.c.series_uid == chain.series_uid)
    if chain.instance_uid is not None:
        chosen = chosen.where(instances.c.instance_uid == chain.instance_uid)
    touched = sa.select(instances.c.series_id).where(instances.c.id.in_(chosen)).distinct()
    of_series = list(connection.execute(touched).scalars())
    count = _remember(connection, chosen, deletion)
    if count:
        connection.execute(sa.delete(sequence_values).where(sequence_values.c.instance_id.in_(chosen)))
        connection.execute(sa.delete(instance_metadata).where(instance_metadata.c.instance_id.in_(chosen)))
        connection.execute(sa.delete(instances).where(instances.c.id.in_(chosen)))
        _drop_empty(connection, study, of_series)
        count_again(connection, {study}, set(of_series))
    return count


def _remember(connection: sa.Connection, chosen: sa.Select[tuple[int]], deletion: Deletion) -> int:
    copied = ("instance_uid", "digest", "original_digest", "length_bytes", "is_report", "stored_ms", "stored_by")
    rows = (
        sa.select(
            studies.c.study_uid,
            series.c.series_uid,
            *(instances.c[name] for name in copied),
            sa.literal(deletion.now_ms),
            sa.literal(deletion.by),
            sa.literal(deletion.rejected),
            sa.false(),
        )
        .select_from(
            instances.join(studies, studies.c.id == instances.c.study_id).join(
                series, series.c.id == instances.c.series_id
            )
        )
        .where(instances.c.id.in_(chosen))
        .order_by(instances.c.id)
    )
    names = ["study_uid", "series_uid", *copied, "deleted_ms", "deleted_by", "rejected", "purged"]
    return connection.execute(sa.insert(deleted_instances).from_select(names, rows)).rowcount


def _drop_empty(connection: sa.Connection, study_id: int, series_ids: Sequence[int]) -> None:
    """A series, and a study, without an instance is not there."""
    filled = sa.exists().where(instances.c.series_id == series.c.id)
    of_series = sa.select(series.c.id).where(series.c.id.in_(series_ids), ~filled)
    empty = list(connection.execute(of_series).scalars())
    connection.execute(sa.delete(sequence_values).where(sequence_values.c.series_id.in_(empty)))
    connection.execute(sa.delete(series).where(series.c.id.in_(empty)))
    left = sa.exists().where(series.c.study_id == studies.c.id)
    connection.execute(sa.delete(studies).where(studies.c.id == study_id, ~left))


def was_deleted(scope: Scope, connection: sa.Connection, chain: Chain) -> bool:
    """Whether the scope saw what the chain names, before it was deleted."""
    if not scope.may_see_study(chain.study_uid):
        return False
    conditions = [chain.among(deleted_instances)]
    if scope.stored_until_ms is not None:
        conditions.append(deleted_instances.c.stored_ms <= scope.stored_until_ms)
    if not scope.with_reports:
        conditions.append(deleted_instances.c.is_report.is_(False))
    return connection.execute(sa.select(sa.exists().where(*conditions))).scalar_one()


def find_deleted(connection: sa.Connection, chain: Chain) -> list[DeletedInstance]:
    """What can be restored of what the chain names, in the order in which it was stored."""
    table = deleted_instances.c
    query = (
        sa.select(table.digest, table.stored_by, table.original_digest)
        .where(chain.among(deleted_instances), table.purged.is_(False))
        .order_by(table.stored_ms, table.id)
    )
    return [DeletedInstance(Digest(row[0]), row[1], row[2]) for row in connection.execute(query)]


def restore_instances(connection: sa.Connection, batch: Sequence[NewInstance], now_ms: int) -> int:
    """Put instances, read again from their blobs, back as they were; how many were still there to be restored."""
    table = deleted_instances.c
    uids = [new.parsed.instance_uid for new in batch]
    query = sa.select(table.instance_uid, table.stored_ms).where(table.instance_uid.in_(uids), table.purged.is_(False))
    stored_ms = {row[0]: row[1] for row in connection.execute(query)}
    connection.execute(sa.delete(deleted_instances).where(table.instance_uid.in_(list(stored_ms))))
    add_instances(connection, [new for new in batch if new.parsed.instance_uid in stored_ms], now_ms)
    for uid, time_ms in stored_ms.items():  # a frozen share goes by this time
        connection.execute(sa.update(instances).where(instances.c.instance_uid == uid).values(stored_ms=time_ms))
    return len(stored_ms)


def purge(connection: sa.Connection, chain: Chain | None, before_ms: int, remove: Callable[[Digest], None]) -> int:
    """Forget what was deleted before a time, some at once, as each file that goes holds the index up; how many.

    `remove` is called with each blob that nothing names any more. It is called before the change is on the disk: a
    crash in between finds the blob gone, and comes here again.
    """
    table = deleted_instances.c
    due = sa.select(table.id, table.digest).where(table.purged.is_(False), table.deleted_ms < before_ms)
    if chain is not None:
        due = due.where(chain.among(deleted_instances))
    rows = connection.execute(due.order_by(table.id).limit(PURGED_AT_ONCE)).all()
    ids = [row[0] for row in rows]
    connection.execute(sa.update(deleted_instances).where(table.id.in_(ids)).values(purged=True))
    connection.execute(sa.delete(deleted_instances).where(table.id.in_(ids), table.rejected.is_(False)))
    for digest in sorted({row[1] for row in rows}):
        stored = sa.exists().where(instances.c.digest == digest)
        kept = sa.exists().where(table.digest == digest, table.purged.is_(False))
        if not connection.execute(sa.select(sa.or_(stored, kept))).scalar_one():
            remove(Digest(digest))
    return len(rows)
