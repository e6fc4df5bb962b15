"""Tickets: what a recipient gives to another viewer. Opaque, short-lived, for one share, killable, read-only.

A ticket works as `Authorization: Bearer`, as the password of `Basic`, and as a path: `/t/<ticket>/dicom-web`. It cannot
make another ticket: only a session can.
"""

import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from archive.audit import Action, Event, append
from archive.database.access_tables import tickets
from archive.errors import BadRequestError, NotFoundError
from auth.shares import Share, find_share
from auth.tokens import hash_secret

TICKET_PREFIX = "lbt_"
DEFAULT_TTL_S = 4 * 3600
MAXIMUM_TTL_S = 12 * 3600
MAXIMUM_LIVING = 20
MAXIMUM_LABEL_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Ticket:
    """What is known of a ticket; not the ticket."""

    ticket_id: int
    share_id: str
    label: str
    created_ms: int
    expires_ms: int
    used_ms: int | None


@dataclass(frozen=True, slots=True)
class NewTicket:
    share_id: str
    label: str
    ttl_s: int = DEFAULT_TTL_S

    def check(self) -> None:
        """Raise BadRequestError when a value is outside its limits."""
        if not 60 <= self.ttl_s <= MAXIMUM_TTL_S:
            raise BadRequestError("A ticket lives from 60 seconds to 12 hours.", parameter="ttl_s")
        if len(self.label) > MAXIMUM_LABEL_LENGTH or not self.label.isprintable():
            raise BadRequestError(f"label is at most {MAXIMUM_LABEL_LENGTH} printable characters.", parameter="label")


def create_ticket(connection: sa.Connection, new: NewTicket, now_ms: int) -> tuple[int, str]:
    """Make a ticket; return its number and the ticket, which can be seen this once. It ends no later than its share."""
    share = find_share(connection, new.share_id, now_ms)
    if share is None or share.ended_reason is not None:
        raise NotFoundError
    share.require_running()
    if len(list_tickets(connection, new.share_id, now_ms)) >= MAXIMUM_LIVING:
        raise BadRequestError(f"At most {MAXIMUM_LIVING} viewers at a time; switch one off first.")
    ticket = TICKET_PREFIX + secrets.token_urlsafe(24)
    expires_ms = min(now_ms + new.ttl_s * 1000, share.expires_ms)
    ticket_id = connection.execute(
        sa.insert(tickets)
        .values(
            ticket_sha256=hash_secret(ticket),
            share_id=new.share_id,
            label=new.label,
            created_ms=now_ms,
            expires_ms=expires_ms,
        )
        .returning(tickets.c.id)
    ).scalar_one()
    detail = {"ticket": str(ticket_id), "expires_ms": str(expires_ms)}
    event = Event(Action.TICKET_CREATE, "share", new.share_id, share_id=new.share_id, detail=detail)
    append(connection, [event], now_ms)
    return ticket_id, ticket


def list_tickets(connection: sa.Connection, share_id: str, now_ms: int) -> list[Ticket]:
    """The living tickets of a share."""
    living = sa.select(tickets).where(
        tickets.c.share_id == share_id, tickets.c.ended_ms.is_(None), tickets.c.expires_ms > now_ms
    )
    return [
        Ticket(row.id, row.share_id, row.label, row.created_ms, row.expires_ms, row.used_ms)
        for row in connection.execute(living.order_by(tickets.c.id))
    ]


def end_ticket(connection: sa.Connection, share_id: str, ticket_id: int, now_ms: int) -> None:
    """Switch one ticket of this share off."""
    ended = connection.execute(
        sa.update(tickets)
        .where(tickets.c.id == ticket_id, tickets.c.share_id == share_id, tickets.c.ended_ms.is_(None))
        .values(ended_ms=now_ms)
    )
    if not ended.rowcount:
        raise NotFoundError
    event = Event(Action.TICKET_REVOKE, "share", share_id, share_id=share_id, detail={"ticket": str(ticket_id)})
    append(connection, [event], now_ms)


def find_ticket(connection: sa.Connection, ticket: str, now_ms: int) -> tuple[Ticket, Share] | None:
    """The living ticket that this text is, with its living share."""
    row = connection.execute(
        sa.select(tickets).where(tickets.c.ticket_sha256 == hash_secret(ticket), tickets.c.ended_ms.is_(None))
    ).one_or_none()
    if row is None or row.expires_ms <= now_ms:
        return None
    share = find_share(connection, row.share_id, now_ms)
    if share is None or share.ended_reason is not None:
        return None
    return Ticket(row.id, row.share_id, row.label, row.created_ms, row.expires_ms, row.used_ms), share


def touch_ticket(connection: sa.Connection, ticket_id: int, now_ms: int) -> None:
    connection.execute(sa.update(tickets).where(tickets.c.id == ticket_id).values(used_ms=now_ms))
