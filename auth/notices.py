"""What owners are told without asking: first openings at once, later ones once a day, failures at once, an end ahead.

Notices are written in the transaction of what they tell of; a task gathers those that are due into one message.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from archive.database.access_tables import shares
from archive.database.engine import Database
from archive.database.journey_tables import notices
from archive.delivery.outbox import Channel, NewMessage, Outbox
from archive.delivery.wording import Wording
from archive.errors import TooManyRequestsError
from auth.matching import newly_ready
from auth.requests import Request, find_request, mark

LOOK_EVERY_S = 2.0
DAY_MS = 86_400_000
WARN_BEFORE_MS = 3 * DAY_MS
MAXIMUM_LINES = 10


class Notice(StrEnum):
    OPENED = "opened"
    AGAIN = "again"
    FAILURES = "failures"
    EXPIRES = "expires"
    CLAIM = "claim"
    ASK = "ask"
    PASSKEY = "passkey"
    PAUSED = "paused"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class Telling:
    """What the task works with."""

    database: Database
    outbox: Outbox
    wording: Callable[[str], Wording]
    now_ms: Callable[[], int]
    quiet_ms: int


def note(connection: sa.Connection, request_id: str | None, share_id: str, kind: Notice, now_ms: int) -> None:
    """Have the owner told, if there is one. Openings after the first wait for the day's message; repeats are one."""
    if request_id is None:
        return
    same = sa.and_(notices.c.request_id == request_id, notices.c.share_id == share_id)
    if (
        kind is Notice.OPENED
        and connection.execute(sa.select(notices.c.id).where(same, notices.c.kind == kind)).first()
    ):
        kind = Notice.AGAIN
    waiting = sa.select(notices.c.id).where(same, notices.c.kind == kind, notices.c.sent_ms.is_(None))
    if connection.execute(waiting).first() is not None:
        return
    due_ms = now_ms + DAY_MS if kind is Notice.AGAIN else now_ms
    connection.execute(
        sa.insert(notices).values(
            request_id=request_id, share_id=share_id, kind=str(kind), created_ms=now_ms, due_ms=due_ms
        )
    )


def warn_of_ends(connection: sa.Connection, now_ms: int) -> None:
    """Note every owned share that ends within three days, once."""
    told = sa.select(notices.c.share_id).where(notices.c.kind == Notice.EXPIRES)
    ending = sa.select(shares.c.id, shares.c.owner_id).where(
        shares.c.owner_id.is_not(None),
        shares.c.parent_id.is_(None),
        shares.c.ended_ms.is_(None),
        shares.c.expires_ms.between(now_ms, now_ms + WARN_BEFORE_MS),
        shares.c.expires_ms - shares.c.created_ms > WARN_BEFORE_MS,
        shares.c.id.not_in(told),
    )
    for row in connection.execute(ending).all():
        note(connection, row.owner_id, row.id, Notice.EXPIRES, now_ms)


async def keep_telling(telling: Telling) -> None:
    """Tell for ever."""
    while True:
        if await telling.database.read(anything_due, telling.quiet_ms, telling.now_ms()):
            await telling.database.write(tell_due, telling, telling.now_ms())
            telling.outbox.wake()
        await asyncio.sleep(LOOK_EVERY_S)


def anything_due(connection: sa.Connection, quiet_ms: int, now_ms: int) -> bool:
    """Whether `tell_due` would do anything; keeps an idle archive from writing."""
    due = sa.select(notices.c.id).where(notices.c.sent_ms.is_(None), notices.c.due_ms <= now_ms).limit(1)
    told = sa.select(notices.c.share_id).where(notices.c.kind == Notice.EXPIRES)
    ending = sa.select(shares.c.id).where(
        shares.c.owner_id.is_not(None),
        shares.c.ended_ms.is_(None),
        shares.c.expires_ms.between(now_ms, now_ms + WARN_BEFORE_MS),
        shares.c.expires_ms - shares.c.created_ms > WARN_BEFORE_MS,
        shares.c.id.not_in(told),
        shares.c.parent_id.is_(None),
    )
    return (
        connection.execute(due).first() is not None
        or connection.execute(ending.limit(1)).first() is not None
        or bool(newly_ready(connection, quiet_ms, now_ms))
    )


def tell_due(connection: sa.Connection, telling: Telling, now_ms: int) -> None:
    """Queue one message for each owner who has something due, and one for each whose images have come."""
    warn_of_ends(connection, now_ms)
    due = sa.and_(notices.c.sent_ms.is_(None), notices.c.due_ms <= now_ms)
    owners = connection.execute(sa.select(notices.c.request_id).where(due).distinct()).scalars().all()
    for request_id in owners:
        kinds = connection.execute(
            sa.select(notices.c.kind).where(due, notices.c.request_id == request_id).order_by(notices.c.id)
        ).scalars()
        lines = list(dict.fromkeys(kinds))[:MAXIMUM_LINES]
        _send(connection, telling, request_id, lines, now_ms)
        connection.execute(sa.update(notices).where(due, notices.c.request_id == request_id).values(sent_ms=now_ms))
    for request_id in newly_ready(connection, telling.quiet_ms, now_ms):
        mark(connection, request_id, ready_ms=now_ms)
        _send(connection, telling, request_id, None, now_ms)


def contact_of(request: Request) -> tuple[Channel, str] | None:
    """Where an owner is told: by mail where there is an address, else by text message."""
    if request.email:
        return Channel.EMAIL, request.email
    if request.mobile:
        return Channel.SMS, request.mobile
    return None


def _send(connection: sa.Connection, telling: Telling, request_id: str, lines: list[str] | None, now_ms: int) -> None:
    request = find_request(connection, telling.outbox.vault, request_id)
    contact = contact_of(request) if request is not None and request.state.has_link else None
    if request is None or contact is None or contact[0] not in telling.outbox.channels.available:
        return
    wording = telling.wording(request.language)
    if lines is None:
        content = wording.ready(contact[0])
    else:
        content = wording.notice(contact[0], [wording.language.text(f"notice.{line}") for line in lines])
    purpose = "ready" if lines is None else "notice"
    message = NewMessage(contact[0], purpose, request_id, contact[1], content)
    try:
        telling.outbox.put(connection, message, now_ms)
    except TooManyRequestsError:
        return  # today's messages to this address are used up; the owner's page shows it all the same
