"""Which study a request is about. Accession number and patient ID together decide; anything less is the desk's to say.

The matcher looks at the index every few seconds, so a study is found however it came: by STOW-RS, by the command line,
before the request or after it, through whichever process.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from archive.audit import Action
from archive.database.engine import Database
from archive.database.index_tables import instances, studies
from archive.database.journey_tables import request_studies, requests
from archive.errors import NotFoundError
from archive.identifiers import StudyUID
from archive.index.copies import is_original
from auth.holding import is_imported, is_shown, settle
from auth.requests import RequestState, tell

LOOK_EVERY_S = 2.0
MAXIMUM_CANDIDATES = 50
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Candidate:
    """A study that may be meant; what the desk sees to decide."""

    study_uid: StudyUID
    patient_id: str
    patient_name: str
    accession_number: str
    study_date: str
    description: str
    modalities: str
    image_count: int


@dataclass(frozen=True, slots=True)
class Completeness:
    """What has come of a request's studies. `quiet_since_ms` is when the last instance came."""

    image_count: int
    report_count: int
    quiet_since_ms: int

    def is_ready(self, now_ms: int, quiet_ms: int) -> bool:
        """There are images, and none came for a while."""
        return self.image_count > 0 and now_ms - self.quiet_since_ms >= quiet_ms


def match_waiting(connection: sa.Connection, now_ms: int) -> int:
    """Look for the studies of all requests that wait; how many changed."""
    waiting = connection.execute(
        sa.select(
            requests.c.id, requests.c.accession_number, requests.c.patient_id, requests.c.state, requests.c.reason
        )
        .where(requests.c.state.in_([RequestState.WAITING, RequestState.DOUBTFUL]))
        .order_by(requests.c.created_ms)
        .limit(AT_ONCE)
    ).all()
    return sum(_match(connection, row, now_ms) for row in waiting)


def find_candidates(connection: sa.Connection, accession_number: str, patient_id: str) -> list[Candidate]:
    """Studies with this accession number or this patient ID, the newest first."""
    either = [
        column == value
        for column, value in ((studies.c.AccessionNumber, accession_number), (studies.c.PatientID, patient_id))
        if value
    ]
    if not either:
        return []
    images = (
        sa.select(sa.func.count())
        .where(instances.c.study_id == studies.c.id, instances.c.is_image.is_(True))
        .scalar_subquery()
    )
    query = sa.select(studies, images.label("images")).where(sa.or_(*either), is_original(studies.c.id))
    rows = connection.execute(query.order_by(studies.c.StudyDate.desc()).limit(MAXIMUM_CANDIDATES)).mappings()
    return [
        Candidate(
            StudyUID(row["study_uid"]),
            row["PatientID"],
            row["PatientName"],
            row["AccessionNumber"],
            row["StudyDate"],
            row["StudyDescription"],
            row["ModalitiesInStudy"],
            row["images"],
        )
        for row in rows
    ]


def attach(connection: sa.Connection, request_id: str, study_uids: list[StudyUID], by: str, now_ms: int) -> None:
    """These studies are the request's, says the desk (or an exact match), whatever patient ID they have now."""
    present = set(
        connection.execute(
            sa.select(studies.c.study_uid).where(studies.c.study_uid.in_(study_uids), is_original(studies.c.id))
        ).scalars()
    )
    if not study_uids or present != set(study_uids):
        raise NotFoundError("There is no such study.", parameter="study_uids")
    known = set(
        connection.execute(
            sa.select(request_studies.c.study_uid).where(request_studies.c.request_id == request_id)
        ).scalars()
    )
    fresh = [
        {"request_id": request_id, "study_uid": uid, "matched_ms": now_ms, "matched_by": by}
        for uid in sorted(present - known)
    ]
    if fresh:
        connection.execute(sa.insert(request_studies), fresh)
    settle(connection, request_id, sorted(map(StudyUID, present)), by)
    _change(connection, request_id, RequestState.MATCHED, "", now_ms)
    detail = {"match": "attached", "studies": str(len(fresh))}
    tell(connection, Action.REQUEST_CHANGE, request_id, by, detail, now_ms)


def completeness(connection: sa.Connection, request_id: str) -> Completeness:
    """What the index holds of a request's studies."""
    joined = instances.join(studies, studies.c.id == instances.c.study_id).join(
        request_studies, request_studies.c.study_uid == studies.c.study_uid
    )
    row = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(sa.cast(instances.c.is_image, sa.Integer)), 0),
            sa.func.coalesce(sa.func.sum(sa.cast(instances.c.is_report, sa.Integer)), 0),
            sa.func.coalesce(sa.func.max(instances.c.stored_ms), 0),
        )
        .select_from(joined)
        .where(request_studies.c.request_id == request_id, is_shown(request_studies))
    ).one()
    return Completeness(int(row[0]), int(row[1]), int(row[2]))


def newly_ready(connection: sa.Connection, quiet_ms: int, now_ms: int) -> list[str]:
    """Matched requests whose images are all here and whose owners have not been told."""
    matched = connection.execute(
        sa.select(requests.c.id).where(requests.c.state == RequestState.MATCHED, requests.c.ready_ms.is_(None))
    ).scalars()
    return [request_id for request_id in matched if completeness(connection, request_id).is_ready(now_ms, quiet_ms)]


async def keep_matching(database: Database, now_ms: Callable[[], int]) -> None:
    """Match for ever."""
    while True:
        if await database.read(_any_waiting):
            await database.write(match_waiting, now_ms())
        await asyncio.sleep(LOOK_EVERY_S)


def _any_waiting(connection: sa.Connection) -> bool:
    """Whether a waiting request could be changed by what is in the index now; keeps idle archives from writing."""
    same_accession = sa.and_(
        studies.c.AccessionNumber == requests.c.accession_number, requests.c.accession_number != ""
    )
    same_patient = sa.and_(studies.c.PatientID == requests.c.patient_id, requests.c.patient_id != "")
    changeable = sa.or_(
        requests.c.state == RequestState.WAITING,
        sa.and_(
            requests.c.state == RequestState.DOUBTFUL, requests.c.reason != "several", same_accession, same_patient
        ),
    )
    candidates = (
        sa.select(requests.c.id)
        .join(studies, sa.or_(same_accession, same_patient))
        .where(requests.c.state.in_([RequestState.WAITING, RequestState.DOUBTFUL]), changeable)
        .limit(1)
    )
    return connection.execute(candidates).first() is not None


def _match(connection: sa.Connection, row: sa.Row[str, str, str, str, str], now_ms: int) -> bool:
    request_id, accession_number, patient_id, state, reason = row
    found = find_candidates(connection, accession_number, patient_id)
    exact = [
        one
        for one in found
        if accession_number
        and patient_id
        and (one.accession_number, one.patient_id) == (accession_number, patient_id)
        and not is_imported(connection, one.study_uid)  # what a patient's disc says of itself is the desk's to judge
    ]
    if len(exact) == 1:
        attach(connection, request_id, [exact[0].study_uid], "matching", now_ms)
        return True
    if not found:
        return False
    why = "several" if len(exact) > 1 else "unlike" if accession_number and patient_id else "incomplete"
    if (state, reason) == (RequestState.DOUBTFUL, why):
        return False
    _change(connection, request_id, RequestState.DOUBTFUL, why, now_ms)
    tell(connection, Action.REQUEST_CHANGE, request_id, "matching", {"match": "doubtful", "why": why}, now_ms)
    return True


def _change(connection: sa.Connection, request_id: str, state: RequestState, reason: str, now_ms: int) -> None:
    changed = connection.execute(
        sa.update(requests)
        .where(requests.c.id == request_id, requests.c.state.in_([one for one in RequestState if one.has_link]))
        .values(state=str(state), reason=reason, changed_ms=now_ms)
    )
    if not changed.rowcount:
        raise NotFoundError
