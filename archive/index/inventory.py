"""The whole index, for checking it against the store; not for requests, so it knows no scope."""

from collections import defaultdict

import sqlalchemy as sa

from archive.database.index_tables import instances, series, studies
from archive.identifiers import Digest


def find_named_blobs(connection: sa.Connection) -> dict[Digest, list[str]]:
    """Every blob that the index names, with the SOP Instance UIDs of its instances."""
    named: dict[Digest, list[str]] = defaultdict(list)
    for digest, instance_uid in connection.execute(sa.select(instances.c.digest, instances.c.instance_uid)):
        named[Digest(digest)].append(instance_uid)
    return dict(named)


def find_miscounted(connection: sa.Connection) -> int:
    """How many studies and series have a counter that differs from the rows."""
    in_series = sa.select(sa.func.count()).where(instances.c.series_id == series.c.id).scalar_subquery()
    in_study = sa.select(sa.func.count()).where(instances.c.study_id == studies.c.id).scalar_subquery()
    wrong_series = sa.select(sa.func.count()).select_from(series).where(series.c.instance_count != in_series)
    wrong_studies = sa.select(sa.func.count()).select_from(studies).where(studies.c.instance_count != in_study)
    return connection.execute(wrong_series).scalar_one() + connection.execute(wrong_studies).scalar_one()
