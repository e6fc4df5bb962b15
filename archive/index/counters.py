"""How many series and instances a study has, how many instances a series, and of which modalities.

What is added is added to the counters; what is taken away is counted again.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from archive.attributes import Level
from archive.database.index_tables import index_totals, instances, series, studies
from archive.database.statements import run_each
from archive.index.copies import is_copy

_COUNT_STUDY = (
    sa.update(studies)
    .where(studies.c.id == sa.bindparam("of_id"))
    .values(
        series_count=studies.c.series_count + sa.bindparam("further_series"),
        instance_count=studies.c.instance_count + sa.bindparam("further_instances"),
        ModalitiesInStudy=sa.bindparam("modalities"),
        updated_ms=sa.bindparam("at_ms"),
    )
)
_COUNT_SERIES = (
    sa.update(series)
    .where(series.c.id == sa.bindparam("of_id"))
    .values(
        instance_count=series.c.instance_count + sa.bindparam("further_instances"), updated_ms=sa.bindparam("at_ms")
    )
)


_TOTALS = (
    (index_totals.c.study_count, sa.func.count()),
    (index_totals.c.series_count, sa.func.coalesce(sa.func.sum(studies.c.series_count), 0)),
    (index_totals.c.instance_count, sa.func.coalesce(sa.func.sum(studies.c.instance_count), 0)),
)
_ALL = {
    level: sa.select(total - sa.select(of_copies).where(is_copy, studies.c.instance_count > 0).scalar_subquery())
    for level, (total, of_copies) in zip(Level, _TOTALS, strict=True)
}


@dataclass(slots=True)
class Growth:
    """What one transaction adds to a study."""

    series: int = 0
    instances: int = 0
    modalities: set[str] = field(default_factory=set)
    """All of the study's: those it had, and those of the series that grow."""


def count_further(
    connection: sa.Connection, of_studies: Mapping[int, Growth], of_series: Mapping[int, int], now_ms: int
) -> None:
    """Add what was stored to the counters, in two statements whatever the number of rows."""
    rows = [
        {"of_id": series_id, "further_instances": further, "at_ms": now_ms} for series_id, further in of_series.items()
    ]
    run_each(connection, _COUNT_SERIES, rows)
    grown = [
        {
            "of_id": study_id,
            "further_series": growth.series,
            "further_instances": growth.instances,
            "modalities": "\\".join(sorted(growth.modalities)),
            "at_ms": now_ms,
        }
        for study_id, growth in of_studies.items()
    ]
    run_each(connection, _COUNT_STUDY, grown)


def modalities_in(text: str) -> Iterable[str]:
    """The single ones of a text that joins them by backslashes."""
    return filter(None, text.split("\\"))


def count_all(connection: sa.Connection, level: Level) -> int:
    """How many studies, series or instances there are; copies for shares are not counted."""
    return int(connection.execute(_ALL[level]).scalar_one())


def count_again(connection: sa.Connection, study_ids: Iterable[int], series_ids: Iterable[int]) -> None:
    """Bring the counters and ModalitiesInStudy of these studies and series up to date."""
    in_series = sa.select(sa.func.count()).where(instances.c.series_id == series.c.id).scalar_subquery()
    connection.execute(sa.update(series).where(series.c.id.in_(list(series_ids))).values(instance_count=in_series))
    ids = list(study_ids)
    modalities: dict[int, set[str]] = defaultdict(set)
    counts: dict[int, list[int]] = {study_id: [0, 0] for study_id in ids}
    query = sa.select(series.c.study_id, series.c.Modality, series.c.instance_count).where(series.c.study_id.in_(ids))
    for study_id, modality, count in connection.execute(query):
        if count == 0:
            continue
        counts[study_id][0] += 1
        counts[study_id][1] += count
        modalities[study_id].update(modalities_in(modality))
    for study_id, (series_count, instance_count) in counts.items():
        connection.execute(
            sa.update(studies)
            .where(studies.c.id == study_id)
            .values(
                series_count=series_count,
                instance_count=instance_count,
                ModalitiesInStudy="\\".join(sorted(modalities[study_id])),
            )
        )
