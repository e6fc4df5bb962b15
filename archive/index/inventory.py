"""The whole index, for checking it against the store; not for requests, so it knows no scope."""

from collections import defaultdict

import sqlalchemy as sa

from archive.database.index_tables import deleted_instances, instances, series, studies
from archive.identifiers import Digest


def find_named_blobs(connection: sa.Connection) -> dict[Digest, list[str]]:
    """Every blob that the index names, with the SOP Instance UIDs of its instances, deleted ones too.

    What was deleted is named for as long as it can be restored.
    """
    named: dict[Digest, list[str]] = defaultdict(list)
    restorable = sa.select(deleted_instances.c.digest, deleted_instances.c.instance_uid).where(
        deleted_instances.c.purged.is_(False)
    )
    query = sa.select(instances.c.digest, instances.c.instance_uid).union_all(restorable)
    for digest, instance_uid in connection.execute(query):
        named[Digest(digest)].append(instance_uid)
    return dict(named)


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
