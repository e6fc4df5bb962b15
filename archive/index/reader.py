"""Ask the index by UID. The scope is the first argument of everything here, and part of the SQL."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import orjson
import sqlalchemy as sa

from archive.database.index_tables import instance_metadata, instances, series, studies
from archive.database.statements import row_of, rows_of
from archive.identifiers import Digest, InstanceUID, SeriesUID, StudyUID
from archive.index.copies import is_original_row
from archive.instances import FrameIndex, Instance, PixelFacts
from archive.scope import Scope

Row = sa.Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class InstanceSummary:
    """What a page needs to list an instance."""

    instance_uid: InstanceUID
    sop_class_uid: str
    instance_number: str
    frame_count: int
    is_image: bool
    is_report: bool


@dataclass(frozen=True, slots=True)
class SeriesOverview:
    series_uid: SeriesUID
    modality: str
    number: str
    description: str
    instances: tuple[InstanceSummary, ...]


@dataclass(frozen=True, slots=True)
class StudyOverview:
    """A study as a page shows it: within the scope, in the order in which people read it."""

    study_uid: StudyUID
    patient_name: str
    patient_id: str
    patient_birth_date: str
    study_date: str
    description: str
    accession_number: str
    modalities: tuple[str, ...]
    updated_ms: int
    series: tuple[SeriesOverview, ...]


@dataclass(frozen=True, slots=True)
class MetadataDocument:
    """The stored DICOM JSON of one instance, and the digest of the blob that it was made from."""

    digest: Digest
    document: bytes


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """An instance, and what of it decides which scopes see it."""

    instance: Instance
    stored_ms: int
    is_report: bool
    is_copy: bool

    def seen_by(self, scope: Scope) -> bool:
        """What `in_scope` says in SQL."""
        return (
            scope.may_see_study(self.instance.study_uid)
            and not (self.is_copy and scope.study_uids is None)
            and (scope.stored_until_ms is None or self.stored_ms <= scope.stored_until_ms)
            and (scope.with_reports or not self.is_report)
        )


def in_scope(scope: Scope) -> sa.ColumnElement[bool]:
    """The scope as a condition on `instances` joined with `studies`; belongs in every WHERE."""
    if scope.study_uids is None:
        return sa.and_(is_original_row(), within_studies(scope))
    return sa.and_(studies.c.study_uid.in_(sorted(scope.study_uids)), within_studies(scope))


def within_studies(scope: Scope) -> sa.ColumnElement[bool]:
    """What a scope says of the instances of a study that it may see; no more than a part of `in_scope`."""
    conditions: list[sa.ColumnElement[bool]] = []
    if scope.stored_until_ms is not None:
        conditions.append(instances.c.stored_ms <= scope.stored_until_ms)
    if not scope.with_reports:
        conditions.append(instances.c.is_report.is_(False))
    return sa.and_(sa.true(), *conditions)


FACTS = (
    studies.c.study_uid,
    series.c.series_uid,
    instances.c.instance_uid,
    instances.c.sop_class_uid,
    instances.c.transfer_syntax_uid,
    instances.c.digest,
    instances.c.length_bytes,
    instances.c.frames,
    instances.c.pixels,
    instances.c.checksum,
)
JOINED = instances.join(studies, studies.c.id == instances.c.study_id).join(
    series, series.c.id == instances.c.series_id
)


_PIXEL_FACTS = frozenset(field.name for field in fields(PixelFacts))


@lru_cache(256)
def _pixel_facts(stored: bytes) -> PixelFacts:
    """The facts as this program knows them: a row of another version may hold more, or fewer that have a default."""
    return PixelFacts(**{name: value for name, value in orjson.loads(stored).items() if name in _PIXEL_FACTS})


def instance_of(row: Row) -> Instance:
    return Instance(
        StudyUID(row[0]),
        SeriesUID(row[1]),
        InstanceUID(row[2]),
        row[3],
        row[4],
        Digest(row[5]),
        row[6],
        FrameIndex.from_bytes(row[7]),
        _pixel_facts(row[8]) if row[8] is not None else None,
        row[9],
    )


def _chain(
    study_uid: StudyUID | None, series_uid: SeriesUID | None, instance_uid: InstanceUID | None
) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if study_uid is not None:
        conditions.append(studies.c.study_uid == study_uid)
    if series_uid is not None:
        conditions.append(series.c.series_uid == series_uid)
    if instance_uid is not None:
        conditions.append(instances.c.instance_uid == instance_uid)
    return conditions


_BY_CHAIN = (
    sa.select(*FACTS, instances.c.stored_ms, instances.c.is_report, ~is_original_row())
    .select_from(JOINED)
    .where(
        studies.c.study_uid == sa.bindparam("study"),
        series.c.series_uid == sa.bindparam("series"),
        instances.c.instance_uid == sa.bindparam("instance"),
    )
)
"""Made once: making it costs more than running it."""


def find_facts(
    connection: sa.Connection, study_uid: StudyUID, series_uid: SeriesUID, instance_uid: InstanceUID
) -> InstanceFacts | None:
    """The instance of the three UIDs and what its scopes go by; `seen_by` is the caller's to ask."""
    chain = {"study": study_uid, "series": series_uid, "instance": instance_uid}
    row = row_of(connection, _BY_CHAIN, chain)
    return InstanceFacts(instance_of(row), row[-3], bool(row[-2]), bool(row[-1])) if row is not None else None


def find_instance(
    scope: Scope, connection: sa.Connection, study_uid: StudyUID, series_uid: SeriesUID, instance_uid: InstanceUID
) -> Instance | None:
    """The instance, if the three UIDs belong together and the scope may see it."""
    query = (
        sa.select(*FACTS).select_from(JOINED).where(*_chain(study_uid, series_uid, instance_uid)).where(in_scope(scope))
    )
    row = connection.execute(query).first()
    return instance_of(row) if row is not None else None


def find_instances(
    scope: Scope, connection: sa.Connection, study_uid: StudyUID, series_uid: SeriesUID | None = None
) -> list[Instance]:
    """The instances of a study or series that the scope may see, in the order in which they were stored."""
    query = (
        sa.select(*FACTS)
        .select_from(JOINED)
        .where(*_chain(study_uid, series_uid, None))
        .where(in_scope(scope))
        .order_by(instances.c.series_id, instances.c.id)
    )
    return [instance_of(row) for row in connection.execute(query)]


def find_metadata(
    scope: Scope,
    connection: sa.Connection,
    study_uid: StudyUID,
    series_uid: SeriesUID | None = None,
    instance_uid: InstanceUID | None = None,
) -> list[MetadataDocument]:
    """The stored DICOM JSON of what the UIDs name and the scope may see, in the order of `find_instances`."""
    if not scope.may_see_study(study_uid):
        return []
    named = {"study": study_uid, "series": series_uid, "instance": instance_uid}
    given = {name: uid for name, uid in named.items() if uid is not None}
    statement = _documents(replace(scope, study_uids=_NAMED if scope.study_uids is not None else None), tuple(given))
    return [MetadataDocument(Digest(row[0]), row[1]) for row in rows_of(connection, statement, given)]


_NAMED: frozenset[StudyUID] = frozenset()
"""In place of the studies of a scope, where the one asked for is among them: all scopes of a kind share statements."""


@lru_cache(64)
def _documents(kind: Scope, given: tuple[str, ...]) -> sa.Select[*tuple[Any, ...]]:
    """Find the documents of what is given by name; `kind` is a scope whose studies were looked at already."""
    chain = {"study": studies.c.study_uid, "series": series.c.series_uid, "instance": instances.c.instance_uid}
    return (
        sa.select(instances.c.digest, instance_metadata.c.document)
        .select_from(JOINED.join(instance_metadata, instance_metadata.c.instance_id == instances.c.id))
        .where(*(chain[name] == sa.bindparam(name, type_=sa.Text) for name in given))
        .where(in_scope(kind) if kind.study_uids is None else within_studies(kind))
        .order_by(instances.c.series_id, instances.c.id)
    )


def read_documents(
    scope: Scope, connection: sa.Connection, study_uid: StudyUID, instance_uids: Sequence[InstanceUID]
) -> Iterator[tuple[InstanceUID, bytes]]:
    """The stored DICOM JSON of some instances of a study, as far as the scope may see them, one after another."""
    query = (
        sa.select(instances.c.instance_uid, instance_metadata.c.document)
        .select_from(JOINED.join(instance_metadata, instance_metadata.c.instance_id == instances.c.id))
        .where(studies.c.study_uid == study_uid, instances.c.instance_uid.in_(instance_uids))
        .where(in_scope(scope))
    )
    for row in connection.execute(query):
        yield InstanceUID(row[0]), row[1]


def find_study_overview(scope: Scope, connection: sa.Connection, study_uid: StudyUID) -> StudyOverview | None:
    """A study with its series and instances; None when nothing of it is in the scope."""
    study = connection.execute(sa.select(studies).where(studies.c.study_uid == study_uid)).mappings().first()
    query = (
        sa.select(
            series.c.series_uid,
            series.c.Modality,
            series.c.SeriesNumber,
            series.c.SeriesDescription,
            instances.c.instance_uid,
            instances.c.sop_class_uid,
            instances.c.InstanceNumber,
            instances.c.NumberOfFrames,
            instances.c.is_image,
            instances.c.is_report,
        )
        .select_from(JOINED)
        .where(studies.c.study_uid == study_uid)
        .where(in_scope(scope))
        .order_by(instances.c.series_id, instances.c.id)
    )
    rows = connection.execute(query).all()
    if study is None or not rows:
        return None
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row[0], []).append(row)
    overviews = [
        SeriesOverview(SeriesUID(uid), own[0][1], own[0][2], own[0][3], _summaries(own)) for uid, own in grouped.items()
    ]
    overviews.sort(key=lambda one: _number(one.number))
    return StudyOverview(
        study_uid,
        study["PatientName"],
        study["PatientID"],
        study["PatientBirthDate"],
        study["StudyDate"],
        study["StudyDescription"],
        study["AccessionNumber"],
        tuple(sorted({modality for one in overviews for modality in one.modality.split("\\") if modality})),
        study["updated_ms"],
        tuple(overviews),
    )


def _summaries(
    rows: Sequence[Row],
) -> tuple[InstanceSummary, ...]:
    summaries = [
        InstanceSummary(InstanceUID(row[4]), row[5], row[6], int(_number(row[7], 1)), bool(row[8]), bool(row[9]))
        for row in rows
    ]
    summaries.sort(key=lambda one: _number(one.instance_number))
    return tuple(summaries)


def _number(text: str, default: float = float("inf")) -> float:
    """The value of an IS for sorting; what is none comes last."""
    try:
        return float(text)
    except ValueError:
        return default
