"""Studies held back: one that was deleted, or has become another patient's, is shown by no link until it is back.

Which patient a study was of is remembered when it is shared or attached. What is held back is worked out from the index
whenever a share or a request is looked up, so it begins and ends at once.
"""

from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from archive.database.access_tables import share_studies, shares
from archive.database.index_tables import studies
from archive.database.journey_tables import request_studies
from archive.identifiers import StudyUID

_present = studies.alias("present")
"""A name of its own, so that a query which has `studies` beside it does not take one for the other."""


class Why(StrEnum):
    DELETED = "deleted"
    PATIENT = "patient"


@dataclass(frozen=True, slots=True)
class HeldStudy:
    """`patient_id` is whose the study was; `now_patient_id` whose it is, "" where it is not there."""

    study_uid: StudyUID
    why: Why
    patient_id: str
    now_patient_id: str


def is_shown(table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether the study in a row of `share_studies` or `request_studies` is there, and the patient's that it was."""
    same = sa.or_(table.c.patient_id.is_(None), _present.c.PatientID == table.c.patient_id)
    return sa.exists().where(_present.c.study_uid == table.c.study_uid, same)


def patient_of(study_uid: sa.ColumnElement[str]) -> sa.ScalarSelect[str]:
    """The patient ID that a study has now."""
    return sa.select(_present.c.PatientID).where(_present.c.study_uid == study_uid).scalar_subquery()


def held_studies(connection: sa.Connection, request_id: str) -> tuple[HeldStudy, ...]:
    """What is held back of a request's studies, and why; for the desk to settle."""
    query = (
        sa.select(request_studies.c.study_uid, request_studies.c.patient_id, patient_of(request_studies.c.study_uid))
        .where(request_studies.c.request_id == request_id, ~is_shown(request_studies))
        .order_by(request_studies.c.study_uid)
    )
    return tuple(
        HeldStudy(StudyUID(uid), Why.DELETED if now is None else Why.PATIENT, was or "", now or "")
        for uid, was, now in connection.execute(query)
    )


def settle(connection: sa.Connection, request_id: str, study_uids: list[StudyUID]) -> None:
    """The desk says that these studies are this patient's, whatever ID they have now."""
    of_request = sa.and_(request_studies.c.request_id == request_id, request_studies.c.study_uid.in_(study_uids))
    owned = sa.select(shares.c.id).where(shares.c.owner_id == request_id)
    of_shares = sa.and_(share_studies.c.share_id.in_(owned), share_studies.c.study_uid.in_(study_uids))
    for table, condition in ((request_studies, of_request), (share_studies, of_shares)):
        now = patient_of(table.c.study_uid)
        connection.execute(sa.update(table).where(condition).values(patient_id=now))
