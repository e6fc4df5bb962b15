"""De-identified copies of studies, made for shares without a name: which they are, and how they go.

A copy lies in the index like any study, under UIDs of its own, so everything that reads works on it as it is. Only a
scope that names it sees it: to one of all studies, copies are not there.
"""

from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa

from archive.database.access_tables import share_studies
from archive.database.index_tables import (
    instance_metadata,
    instances,
    sequence_values,
    series,
    studies,
)
from archive.database.statements import rows_among
from archive.identifiers import Digest, StudyUID
from archive.index.inventory import is_named

DROPPED_AT_ONCE = 200
_FIND_COPIES = sa.select(share_studies.c.copy_uid).where(
    share_studies.c.copy_uid.in_(sa.bindparam("uids", expanding=True))
)

_copies = studies.alias("copies")
_COPY_UIDS = sa.select(share_studies.c.copy_uid).where(share_studies.c.copy_uid.is_not(None))
_COPY_IDS = sa.select(_copies.c.id).where(_copies.c.study_uid.in_(_COPY_UIDS))
"""Not a join: SQLite, which has no statistics of an empty table, would look for a share of every study."""


is_copy = studies.c.study_uid.in_(_COPY_UIDS)
"""Whether a row of `studies` is a copy."""


def is_original(study_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Whether the study of this number is no copy; a condition that needs no row of `studies`."""
    return study_id.not_in(_COPY_IDS)


def is_original_row() -> sa.ColumnElement[bool]:
    """The same of a row of `studies`, for queries that look up a few: this asks the index once for each."""
    return ~sa.exists().where(share_studies.c.copy_uid == studies.c.study_uid)


def find_copies(connection: sa.Connection, study_uids: Iterable[str]) -> set[str]:
    """Which of these studies are, or were, copies for a share."""
    return {row[0] for row in rows_among(connection, _FIND_COPIES, "uids", list(study_uids))}


def find_stored_copies(connection: sa.Connection) -> set[StudyUID]:
    """Every copy of which something is stored."""
    query = sa.select(studies.c.study_uid).where(studies.c.id.in_(_COPY_IDS))
    return {StudyUID(uid) for uid in connection.execute(query).scalars()}


def find_members(connection: sa.Connection, study_uid: StudyUID) -> list[str]:
    """The SOP Instance UIDs of a study."""
    query = sa.select(instances.c.instance_uid).join(studies, studies.c.id == instances.c.study_id)
    return list(connection.execute(query.where(studies.c.study_uid == study_uid)).scalars())


def drop_instances(
    connection: sa.Connection, instance_uids: Sequence[str], remove: Callable[[Digest], None]
) -> tuple[set[int], set[int]]:
    """Take instances of copies out of the index for good, at most `DROPPED_AT_ONCE`; their studies' and series' ids.

    `remove` is called with each blob that nothing names any more, before the change is on the disk: after a crash in
    between, the copy is made again or dropped again.
    """
    rows = connection.execute(
        sa.select(instances.c.id, instances.c.digest, instances.c.study_id, instances.c.series_id).where(
            instances.c.instance_uid.in_(instance_uids[:DROPPED_AT_ONCE]), instances.c.study_id.in_(_COPY_IDS)
        )
    ).all()
    ids = [row[0] for row in rows]
    connection.execute(sa.delete(sequence_values).where(sequence_values.c.instance_id.in_(ids)))
    connection.execute(sa.delete(instance_metadata).where(instance_metadata.c.instance_id.in_(ids)))
    connection.execute(sa.delete(instances).where(instances.c.id.in_(ids)))
    for digest in sorted({Digest(row[1]) for row in rows}):
        if not is_named(connection, digest):
            remove(digest)
    return {row[2] for row in rows}, {row[3] for row in rows}


def drop_empty(connection: sa.Connection, study_ids: Iterable[int], series_ids: Iterable[int]) -> None:
    """A series, and a study, without an instance is not there."""
    filled = sa.exists().where(instances.c.series_id == series.c.id)
    empty = list(connection.execute(sa.select(series.c.id).where(series.c.id.in_(list(series_ids)), ~filled)).scalars())
    connection.execute(sa.delete(sequence_values).where(sequence_values.c.series_id.in_(empty)))
    connection.execute(sa.delete(series).where(series.c.id.in_(empty)))
    left = sa.exists().where(series.c.study_id == studies.c.id)
    connection.execute(sa.delete(studies).where(studies.c.id.in_(list(study_ids)), ~left))
