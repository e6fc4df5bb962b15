"""What an import holds, for people: patients, studies and series before sending, and what became of them after."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from archive.database.dialects import total
from archive.database.import_tables import import_files, import_series
from archive.database.index_tables import instances, studies
from archive.database.journey_tables import request_studies
from archive.imports.record import Role, State
from archive.index.copies import is_original
from archive.index.texts import readable_name
from archive.media.files import neutral_name

MAXIMUM_NAMES = 500
"""Names of files that are given out; beyond, only their number is."""
DONE = (State.STORED, State.THERE)


@dataclass(frozen=True, slots=True)
class Local:
    """A patient of the archive: what the desk compares before it puts images under an ID."""

    name: str
    birth_date: str
    study_count: int


@dataclass(slots=True)
class Preview:
    """`patients` as the API gives them; `refused` by name, code and reason."""

    patients: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    refused: list[dict[str, str]] = field(default_factory=list)


def read_preview(connection: sa.Connection, import_id: str) -> Preview:
    """Everything that an import lists, in the order of patients, studies and series."""
    preview = Preview(_patients(connection, import_id), _counts(connection, import_id))
    own = import_files.c.import_id == import_id
    rows = connection.execute(
        sa.select(import_files.c.path, import_files.c.code, import_files.c.message)
        .where(own, import_files.c.state == State.REFUSED)
        .order_by(import_files.c.number)
        .limit(MAXIMUM_NAMES)
    )
    preview.refused = [{"path": neutral_name(row.path), "code": row.code, "message": row.message} for row in rows]
    return preview


def missing_uids(connection: sa.Connection, import_id: str) -> list[tuple[str, str, str]]:
    """Study, series and instance UID of what was chosen and never came."""
    rows = connection.execute(
        sa.select(import_series.c.study_uid, import_series.c.series_uid, import_files.c.instance_uid)
        .select_from(import_files.join(import_series, import_series.c.id == import_files.c.series_id))
        .where(
            import_files.c.import_id == import_id,
            import_series.c.chosen.is_(True),
            import_files.c.state == State.WAITING,
            import_files.c.instance_uid != "",
        )
    )
    return [(row[0], row[1], row[2]) for row in rows]


def taken_studies(connection: sa.Connection, import_id: str) -> list[str]:
    """The chosen studies of which something is in the archive by this import."""
    query = (
        sa.select(import_series.c.study_uid)
        .distinct()
        .select_from(import_files.join(import_series, import_series.c.id == import_files.c.series_id))
        .where(import_files.c.import_id == import_id, import_series.c.chosen.is_(True), import_files.c.state.in_(DONE))
    )
    return sorted(connection.execute(query).scalars())


def find_locals(connection: sa.Connection, patient_id: str) -> list[Local]:
    """Who has this patient ID in the archive."""
    query = (
        sa.select(studies.c.PatientName, studies.c.PatientBirthDate, sa.func.count())
        .where(studies.c.PatientID == patient_id, is_original(studies.c.id))
        .group_by(studies.c.PatientName, studies.c.PatientBirthDate)
        .limit(10)
    )
    return [Local(readable_name(row[0]), row[1], row[2]) for row in connection.execute(query)]


def is_all_of(connection: sa.Connection, study_uid: str, by: str) -> bool:
    """Whether every instance of a study was stored by the one named; False where there is none."""
    return set(_storers(connection, study_uid)) == {by}


def is_attached(connection: sa.Connection, request_id: str, study_uid: str) -> bool:
    """Whether a study is among those of a request."""
    named = sa.and_(request_studies.c.request_id == request_id, request_studies.c.study_uid == study_uid)
    return connection.execute(sa.select(request_studies.c.study_uid).where(named)).first() is not None


def has_bytes(connection: sa.Connection, study_uids: Iterable[str], sha256: str) -> bool:
    """Whether one of these studies has an instance of exactly these bytes, as they are kept or as they were sent."""
    query = (
        sa.select(instances.c.id)
        .select_from(instances.join(studies, studies.c.id == instances.c.study_id))
        .where(
            sa.or_(instances.c.digest == sha256, instances.c.original_digest == sha256),
            studies.c.study_uid.in_(list(study_uids)),
        )
    )
    return connection.execute(query.limit(1)).first() is not None


def _storers(connection: sa.Connection, study_uid: str) -> list[str]:
    query = (
        sa.select(instances.c.stored_by)
        .distinct()
        .select_from(instances.join(studies, studies.c.id == instances.c.study_id))
        .where(studies.c.study_uid == study_uid)
    )
    return list(connection.execute(query).scalars())


def _counts(connection: sa.Connection, import_id: str) -> dict[str, int]:
    """Files by state; and by role, of those that are in the archive now."""
    left_out = sa.and_(import_files.c.state == State.WAITING, import_series.c.chosen.is_(False))
    state = sa.case((left_out, sa.literal_column("'left_out'")), else_=import_files.c.state)
    rows = connection.execute(
        sa.select(
            state.label("state"),
            import_files.c.role,
            sa.func.count().label("files"),
            total(import_files.c.length_bytes).label("length_bytes"),
        )
        .select_from(import_files.join(import_series, import_series.c.id == import_files.c.series_id, isouter=True))
        .where(import_files.c.import_id == import_id)
        .group_by(state, import_files.c.role)
    ).all()
    counts = dict.fromkeys((*State, "left_out", *Role, "waiting_bytes"), 0)
    for row in rows:
        counts[row.state] += row.files
        if row.state in DONE:
            counts[row.role] += row.files
        if row.state == State.WAITING:
            counts["waiting_bytes"] += row.length_bytes
    return {str(name): count for name, count in counts.items()}


def _patients(connection: sa.Connection, import_id: str) -> list[dict[str, Any]]:
    def of(role: Role) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((import_files.c.role == role, 1), else_=0)), 0)

    rows = connection.execute(
        sa.select(import_series, sa.func.count(import_files.c.id).label("files"), of(Role.IMAGE), of(Role.REPORT))
        .select_from(import_series.join(import_files, import_files.c.series_id == import_series.c.id))
        .where(import_series.c.import_id == import_id)
        .group_by(import_series.c.id)
        .order_by(import_series.c.patient_key, import_series.c.study_date, import_series.c.study_uid)
        .order_by(sa.func.length(import_series.c.series_number), import_series.c.series_number)
    ).all()
    patients: dict[str, dict[str, Any]] = {}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        patient = patients.setdefault(
            row.patient_key,
            {
                "key": row.patient_key,
                "name": readable_name(row.patient_name),
                "patient_id": row.patient_id,
                "birth_date": row.birth_date,
                "studies": [],
            },
        )
        study = found.get((row.patient_key, row.study_uid))
        if study is None:
            study = {
                "study_uid": row.study_uid,
                "date": row.study_date,
                "description": row.study_description,
                "images": 0,
                "reports": 0,
                "chosen": False,
                "series": [],
            }
            found[row.patient_key, row.study_uid] = study
            patient["studies"].append(study)
        study["images"] += row[-2]
        study["reports"] += row[-1]
        study["chosen"] = study["chosen"] or row.chosen
        study["series"].append(
            {
                "number": row.series_number,
                "description": row.series_description,
                "modality": row.modality,
                "count": row.files,
            }
        )
    return list(patients.values())
