"""Writes down which studies begin and end to be held back (`auth.holding`): into the trail, and to owner and desk."""

import asyncio
from collections.abc import Callable

import sqlalchemy as sa

from archive.audit import Action, Event, append
from archive.database.access_tables import share_studies, shares
from archive.database.engine import Database
from archive.database.journey_tables import request_studies, requests
from auth.holding import is_shown
from auth.notices import Notice, note

LOOK_EVERY_S = 1.0


async def keep_watching(database: Database, now_ms: Callable[[], int]) -> None:
    """Write down for ever what begins and ends to be held back."""
    while True:
        if await database.read(_anything_changed):
            await database.write(write_changes_down, now_ms())
        await asyncio.sleep(LOOK_EVERY_S)


def write_changes_down(connection: sa.Connection, now_ms: int) -> None:
    """Owners are told, the trail has it, and the desk's list begins with it."""
    for begins in (True, False):
        held_ms = now_ms if begins else None
        of_requests = _changed(request_studies, begins=begins)
        for request_id, study_uid in connection.execute(of_requests).all():
            row = sa.and_(request_studies.c.request_id == request_id, request_studies.c.study_uid == study_uid)
            connection.execute(sa.update(request_studies).where(row).values(held_ms=held_ms))
            connection.execute(sa.update(requests).where(requests.c.id == request_id).values(changed_ms=now_ms))
            note(connection, request_id, "", Notice.PAUSED if begins else Notice.RESUMED, now_ms)
            _tell(connection, (Action.REQUEST_CHANGE, request_id, study_uid), begins=begins, now_ms=now_ms)
        for share_id, study_uid in connection.execute(_changed(share_studies, begins=begins)).all():
            row = sa.and_(share_studies.c.share_id == share_id, share_studies.c.study_uid == study_uid)
            connection.execute(sa.update(share_studies).where(row).values(held_ms=held_ms))
            _tell(connection, (Action.SHARE_CHANGE, share_id, study_uid), begins=begins, now_ms=now_ms)


def _tell(connection: sa.Connection, what: tuple[Action, str, str], *, begins: bool, now_ms: int) -> None:
    action, share_id, study_uid = what
    detail = {"study": "paused" if begins else "resumed"}
    event = Event(action, "archive", "archive", share_id=share_id, study_uid=study_uid, detail=detail)
    append(connection, [event], now_ms)


def _anything_changed(connection: sa.Connection) -> bool:
    """Keeps an archive in which nothing changes from writing."""
    return any(
        connection.execute(_changed(table, begins=begins).limit(1)).first() is not None
        for table in (request_studies, share_studies)
        for begins in (True, False)
    )


def _changed(table: sa.Table, *, begins: bool) -> sa.Select[str, str]:
    """Rows whose study has begun (or ended) to be held back since that was last written down; of what still lives."""
    if table is request_studies:
        holder, living = requests, requests.c.secret_sha256.is_not(None)
        number = table.c.request_id
    else:
        holder, living = shares, shares.c.ended_ms.is_(None)
        number = table.c.share_id
    now = ~is_shown(table) if begins else is_shown(table)
    before = table.c.held_ms.is_(None) if begins else table.c.held_ms.is_not(None)
    return sa.select(number, table.c.study_uid).join(holder, holder.c.id == number).where(living, before, now)
