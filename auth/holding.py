"""Studies held back: one that was deleted, or has become another patient's, is shown by no link until it is back.

Which patient a study was of is remembered when it is shared or attached. What is held back is worked out from the index
whenever a share or a request is looked up, so it begins and ends at once.
"""

from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from archive.database.access_tables import share_studies, shares
from archive.database.index_tables import instances, studies
from archive.database.journey_tables import request_studies
from archive.identifiers import StudyUID

OWNERS = "owner "
"""How `matched_by` and `stored_by` begin where an owner's own import is what put a study there; see `auth.permits`."""
_present = studies.alias("present")
"""A name of its own, so that a query which has `studies` beside it does not take one for the other."""
_there = studies.alias("there")
_imported = request_studies.alias("imported")
_owned = shares.alias("owned")


class Why(StrEnum):
    DELETED = "deleted"
    PATIENT = "patient"
    MIXED = "mixed"
    """Images of somebody else have come into a study that its owner imported under this UID."""


@dataclass(frozen=True, slots=True)
class HeldStudy:
    """`patient_id` is whose the study was; `now_patient_id` whose it is, "" where it is not there."""

    study_uid: StudyUID
    why: Why
    patient_id: str
    now_patient_id: str


def is_shown(table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether the study in a row of `share_studies` or `request_studies` is there, and the patient's that it was.

    A study that is an owner's because they imported it is shown while nobody else has added to it: who imports under a
    UID that is another study's sees nothing of that one when it comes.
    """
    same = sa.or_(table.c.patient_id.is_(None), _present.c.PatientID == table.c.patient_id)
    return sa.and_(sa.exists().where(_present.c.study_uid == table.c.study_uid, same), ~_is_mixed(table))


def _is_mixed(table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether what an owner imported under the row's UID stands beside what others stored."""
    imported = _imported.c.matched_by.startswith(OWNERS, autoescape=True)
    if table is request_studies:
        whose = _imported.c.request_id == table.c.request_id
    else:
        whose = _imported.c.request_id == (
            sa.select(_owned.c.owner_id).where(_owned.c.id == table.c.share_id).correlate(table).scalar_subquery()
        )
    others = (
        sa.exists()
        .where(instances.c.study_id == _there.c.id, _there.c.study_uid == _imported.c.study_uid)
        .where(instances.c.stored_by != _imported.c.matched_by)
    )
    return sa.exists().where(_imported.c.study_uid == table.c.study_uid, whose, imported, others)


def is_imported(connection: sa.Connection, study_uid: str) -> bool:
    """Whether anything of a study came from a patient's own import."""
    by_owner = instances.c.stored_by.startswith(OWNERS, autoescape=True)
    query = sa.select(instances.c.id).join(studies, studies.c.id == instances.c.study_id)
    return connection.execute(query.where(studies.c.study_uid == study_uid, by_owner).limit(1)).first() is not None


def patient_of(study_uid: sa.ColumnElement[str]) -> sa.ScalarSelect[str]:
    """The patient ID that a study has now."""
    return sa.select(_present.c.PatientID).where(_present.c.study_uid == study_uid).scalar_subquery()


def held_studies(connection: sa.Connection, request_id: str) -> tuple[HeldStudy, ...]:
    """What is held back of a request's studies, and why; for the desk to settle."""
    query = (
        sa.select(
            request_studies.c.study_uid,
            request_studies.c.patient_id,
            patient_of(request_studies.c.study_uid),
            _is_mixed(request_studies),
        )
        .where(request_studies.c.request_id == request_id, ~is_shown(request_studies))
        .order_by(request_studies.c.study_uid)
    )
    return tuple(
        HeldStudy(StudyUID(uid), _why(now, mixed), was or "", now or "")
        for uid, was, now, mixed in connection.execute(query)
    )


def _why(now_patient_id: str | None, mixed: bool) -> Why:
    if now_patient_id is None:
        return Why.DELETED
    return Why.MIXED if mixed else Why.PATIENT


def settle(connection: sa.Connection, request_id: str, study_uids: list[StudyUID], by: str) -> None:
    """The desk says that these studies are this patient's, whatever ID they have now."""
    of_request = sa.and_(request_studies.c.request_id == request_id, request_studies.c.study_uid.in_(study_uids))
    owned = sa.select(shares.c.id).where(shares.c.owner_id == request_id)
    of_shares = sa.and_(share_studies.c.share_id.in_(owned), share_studies.c.study_uid.in_(study_uids))
    for table, condition in ((request_studies, of_request), (share_studies, of_shares)):
        now = patient_of(table.c.study_uid)
        connection.execute(sa.update(table).where(condition).values(patient_id=now))
    if not by.startswith(OWNERS):  # whoever looked at it answers for it now
        connection.execute(sa.update(request_studies).where(of_request).values(matched_by=by))
