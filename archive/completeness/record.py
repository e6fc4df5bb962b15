"""Findings kept beside the index: made when a study has been quiet, made anew when it has changed."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from archive.completeness.findings import Finding, Lack, Picture, SeriesFacts, findings_of_series
from archive.database.completeness_tables import announced_instances, study_findings
from archive.database.engine import Database
from archive.database.index_tables import instance_metadata, instances, series, studies

LOOK_EVERY_S = 2.0
AT_ONCE = 20
DOCUMENT_LIMIT_BYTES = 256 << 10
"""A larger document is of a multi-frame image or a report; the rules look at single slices only."""
MAXIMUM_IMAGES = 20_000
MAXIMUM_FINDINGS = 100
MAXIMUM_UIDS = 500
log = logging.getLogger("lightbox.completeness")
Announced = tuple[str, str, str]
"""Study, series and SOP Instance UID of an image that a sender said it has."""


def read_findings(connection: sa.Connection, study_uid: str) -> list[Finding]:
    """What is missing in a study: what is kept where nothing came since, else found now. Writes nothing."""
    row = connection.execute(_KEPT.where(studies.c.study_uid == study_uid)).first()
    if row is None:
        return []
    if row.findings is not None and (row.updated_ms, row.instance_count) == (row.seen_ms, row.seen_count):
        found = [Finding(Lack(lack), count, title) for lack, count, title in orjson.loads(row.findings)]
    else:
        found = _find(connection, row.id)
    return found + _announced(connection, study_uid)


def announce(connection: sa.Connection, announced: Iterable[Announced], now_ms: int) -> None:
    """Remember images that a sender said it has, where they are not here: they are missed until they come."""
    by_uid = {instance_uid: (study_uid, series_uid, instance_uid) for study_uid, series_uid, instance_uid in announced}
    uids = sorted(by_uid)
    for start in range(0, len(uids), MAXIMUM_UIDS):
        part = uids[start : start + MAXIMUM_UIDS]
        known: set[str] = set()
        for table in (instances, announced_instances):
            query = sa.select(table.c.instance_uid).where(table.c.instance_uid.in_(part))
            known.update(connection.execute(query).scalars())
        names = ("study_uid", "series_uid", "instance_uid")
        rows = [
            dict(zip(names, by_uid[uid], strict=True)) | {"announced_ms": now_ms} for uid in part if uid not in known
        ]
        if rows:
            connection.execute(sa.insert(announced_instances), rows)


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a study as it stood: it had changed at `seen_ms` and had `seen_count` instances."""

    study_uid: str
    findings: bytes
    seen_ms: int
    seen_count: int


def check_study(connection: sa.Connection, study_uid: str) -> Checked | None:
    """Find what is missing in a study. Takes seconds for a large one, and so writes nothing: `keep_checked` does."""
    row = connection.execute(_KEPT.where(studies.c.study_uid == study_uid)).first()
    if row is None:
        return None
    found = orjson.dumps([[str(one.lack), one.count, one.series] for one in _find(connection, row.id)])
    return Checked(study_uid, found, row.updated_ms, row.instance_count)


def keep_checked(connection: sa.Connection, checked: Checked, now_ms: int) -> None:
    """Keep what was found, unless something was kept that was found later."""
    values = {
        "findings": checked.findings,
        "seen_ms": checked.seen_ms,
        "seen_count": checked.seen_count,
        "checked_ms": now_ms,
    }
    own = study_findings.c.study_uid == checked.study_uid
    seen_ms = connection.execute(sa.select(study_findings.c.seen_ms).where(own)).scalar()
    if seen_ms is None:
        connection.execute(sa.insert(study_findings).values(study_uid=checked.study_uid, **values))
    elif seen_ms <= checked.seen_ms:
        connection.execute(sa.update(study_findings).where(own).values(**values))


async def check_and_keep(database: Database, study_uid: str, now_ms: int) -> None:
    """Look at a study and keep what is missing; writers wait for the one small row only."""
    checked = await database.read(check_study, study_uid)
    if checked is not None:
        await database.write(keep_checked, checked, now_ms)


def changed_studies(connection: sa.Connection, since_ms: int, until_ms: int) -> list[str]:
    """Studies that changed from then on, were quiet since, and were not looked at after that; the oldest first."""
    query = (
        sa.select(studies.c.study_uid)
        .join(study_findings, study_findings.c.study_uid == studies.c.study_uid, isouter=True)
        .where(
            studies.c.updated_ms.between(since_ms, until_ms),
            sa.or_(study_findings.c.seen_ms.is_(None), study_findings.c.seen_ms < studies.c.updated_ms),
        )
        .order_by(studies.c.updated_ms)
        .limit(AT_ONCE)
    )
    return list(connection.execute(query).scalars())


def last_seen_ms(connection: sa.Connection) -> int:
    """Where looking goes on: at the last study that was looked at. What is older is looked at when it is asked for."""
    seen = connection.execute(sa.select(sa.func.max(study_findings.c.seen_ms))).scalar()
    return int(seen or connection.execute(sa.select(sa.func.max(studies.c.updated_ms))).scalar() or 0)


async def keep_checking(database: Database, now_ms: Callable[[], int], quiet_ms: int) -> None:
    """Look at every study that comes, after it has been quiet; storing never waits for this."""
    since_ms = await database.read(last_seen_ms)
    while True:
        for study_uid in await database.read(changed_studies, since_ms, now_ms() - quiet_ms):
            await check_and_keep(database, study_uid, now_ms())
        since_ms = max(since_ms, await database.read(last_seen_ms))
        await asyncio.sleep(LOOK_EVERY_S)


_KEPT = sa.select(
    studies.c.id,
    studies.c.updated_ms,
    studies.c.instance_count,
    study_findings.c.findings,
    study_findings.c.seen_ms,
    study_findings.c.seen_count,
).select_from(studies.join(study_findings, study_findings.c.study_uid == studies.c.study_uid, isouter=True))


def _announced(connection: sa.Connection, study_uid: str) -> list[Finding]:
    query = (
        sa.select(sa.func.count())
        .select_from(
            announced_instances.join(
                instances, instances.c.instance_uid == announced_instances.c.instance_uid, isouter=True
            )
        )
        .where(announced_instances.c.study_uid == study_uid, instances.c.id.is_(None))
    )
    count = connection.execute(query).scalar_one()
    return [Finding(Lack.ANNOUNCED, count)] if count else []


def _find(connection: sa.Connection, study_id: int) -> list[Finding]:
    images, reports, total = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(sa.cast(instances.c.is_image, sa.Integer)), 0),
            sa.func.coalesce(sa.func.sum(sa.cast(instances.c.is_report, sa.Integer)), 0),
            sa.func.count(),
        ).where(instances.c.study_id == study_id)
    ).one()
    if total and not images:
        return [Finding(Lack.REPORT_ONLY if reports else Lack.NO_IMAGES)]
    found = [finding for one in _series_of(connection, study_id) for finding in findings_of_series(one)]
    return found[:MAXIMUM_FINDINGS]


def _series_of(connection: sa.Connection, study_id: int) -> list[SeriesFacts]:
    query = (
        sa.select(
            series.c.id,
            series.c.Modality,
            series.c.SeriesNumber,
            series.c.SeriesDescription,
            instances.c.ImageType,
            instances.c.NumberOfFrames,
            sa.case(
                (sa.func.length(instance_metadata.c.document) <= DOCUMENT_LIMIT_BYTES, instance_metadata.c.document)
            ).label("document"),
        )
        .select_from(
            instances.join(series, series.c.id == instances.c.series_id).join(
                instance_metadata, instance_metadata.c.instance_id == instances.c.id, isouter=True
            )
        )
        .where(instances.c.study_id == study_id, instances.c.is_image.is_(True))
        .limit(MAXIMUM_IMAGES)
    )
    grouped: dict[int, list[Any]] = defaultdict(list)
    heads: dict[int, tuple[str, str]] = {}
    for row in connection.execute(query):
        picture = _picture(row.document, row.ImageType) if row.NumberOfFrames in ("", "1") and row.document else None
        grouped[row.id].append(picture)
        heads[row.id] = (row.SeriesDescription or f"{row.Modality} {row.SeriesNumber}".strip(), row.Modality)
    return [
        SeriesFacts(*heads[number], len(own), tuple(picture for picture in own if picture is not None))
        for number, own in grouped.items()
    ]


def _picture(document: bytes, image_type: str) -> Picture | None:
    if "LOCALIZER" in image_type:
        return None
    attributes = orjson.loads(document)

    def values(tag: str) -> Sequence[Any]:
        found = attributes.get(tag, {}).get("Value") or ()
        return found if isinstance(found, list) else ()

    announced = [_whole(values(tag)) or 0 for tag in ("00201209", "00201002")]
    group = tuple(str(values(tag)) for tag in ("00200012", "00200100", "00180086", "00189087", "00280010", "00280011"))
    return Picture(
        _whole(values("00200013")),
        _numbers(values("00200032")),
        _numbers(values("00200037")),
        group,
        max(announced),
        "DERIVED" in image_type,
    )


def _whole(values: Sequence[Any]) -> int | None:
    try:
        return int(values[0])
    except (IndexError, TypeError, ValueError, OverflowError):
        return None


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError):
        return ()
