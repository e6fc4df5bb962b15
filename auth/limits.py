"""Tries counted (sharing by link, §2.6 of the design): guessing is hopeless, and no stranger can lock anyone out.

A password or code can be tried only after the link's secret matched. A try is taken from the count *before* it is
checked, in one statement, and given back when it was right: so parallel tries cannot pass the limit.
"""

import ipaddress
from dataclasses import dataclass

import sqlalchemy as sa

from archive.database.access_tables import network_counts, sessions, shares
from archive.database.engine import Database
from archive.database.journey_tables import requests, staff
from archive.errors import TooManyRequestsError
from auth.sessions import Session, SessionKind

FREE_TRIES = 3
FIRST_DELAY_MS = 1_000
MAXIMUM_DELAY_MS = 5 * 60_000
WINDOW_MS = 3_600_000
WINDOW_FAILURES = 20
PAUSE_MS = 15 * 60_000
LIFETIME_FAILURES = 100
UNKNOWN_PER_MINUTE = 30
FORMS_PER_MINUTE = 10
SIGN_INS_PER_MINUTE = 60
MAXIMUM_NETWORKS = 10_000
MINUTE_MS = 60_000


_COUNTED = {SessionKind.SHARE: shares, SessionKind.OWNER: requests, SessionKind.STAFF: staff}
"""The tables whose rows count the tries made on them."""


@dataclass(frozen=True, slots=True)
class Tries:
    """Where the counter of a share (an owner link, an account) stands after a try was taken from it."""

    failures: int
    window_failures: int
    last: bool
    """This try, if it is wrong, was the last before a pause or the end: the owner is told."""


def take_try(connection: sa.Connection, session: Session, now_ms: int) -> Tries:
    """Take one try for this visitor from the share's counters, or raise TooManyRequestsError."""
    waited = connection.execute(
        sa.update(sessions)
        .where(sessions.c.id == session.session_id, sessions.c.next_try_ms <= now_ms, sessions.c.ended_ms.is_(None))
        .values(tries=sessions.c.tries + 1)
        .returning(sessions.c.tries)
    ).one_or_none()
    if waited is None:
        raise TooManyRequestsError("Too many tries; wait a moment.", retry_after_s=_wait_s(connection, session, now_ms))
    if waited.tries > FREE_TRIES:
        delay_ms = min(FIRST_DELAY_MS << (waited.tries - FREE_TRIES - 1), MAXIMUM_DELAY_MS)
        connection.execute(
            sa.update(sessions).where(sessions.c.id == session.session_id).values(next_try_ms=now_ms + delay_ms)
        )
    return take_from(connection, session.kind, session.subject, now_ms)


def give_back(connection: sa.Connection, kind: SessionKind, subject: str, tries: Tries) -> None:
    """The try was right: it does not count, and a pause that it brought about is lifted."""
    counted = _COUNTED[kind]
    connection.execute(
        sa.update(counted)
        .where(counted.c.id == subject)
        .values(
            failures=counted.c.failures - 1,
            window_failures=counted.c.window_failures - 1,
            paused_until_ms=0 if tries.last else counted.c.paused_until_ms,
        )
    )


def resume(connection: sa.Connection, kind: SessionKind, subject: str) -> None:
    """Whoever is in charge lets tries go on."""
    counted = _COUNTED[kind]
    connection.execute(
        sa.update(counted).where(counted.c.id == subject).values(failures=0, window_failures=0, paused_until_ms=0)
    )


def take_from(connection: sa.Connection, kind: SessionKind, subject: str, now_ms: int) -> Tries:
    """Take one try from the counters of a share, an owner link or an account, or raise TooManyRequestsError."""
    counted = _COUNTED[kind]
    fresh = counted.c.window_started_ms <= now_ms - WINDOW_MS
    taken = connection.execute(
        sa.update(counted)
        .where(
            counted.c.id == subject,
            counted.c.paused_until_ms <= now_ms,
            counted.c.failures < LIFETIME_FAILURES,
        )
        .values(
            failures=counted.c.failures + 1,
            window_failures=sa.case((fresh, 1), else_=counted.c.window_failures + 1),
            window_started_ms=sa.case((fresh, now_ms), else_=counted.c.window_started_ms),
            paused_until_ms=sa.case(
                (sa.and_(sa.not_(fresh), counted.c.window_failures + 1 >= WINDOW_FAILURES), now_ms + PAUSE_MS),
                else_=counted.c.paused_until_ms,
            ),
        )
        .returning(counted.c.failures, counted.c.window_failures, counted.c.paused_until_ms)
    ).one_or_none()
    if taken is None:
        raise TooManyRequestsError(
            "Too many wrong tries here. It is paused for a while, and whoever is in charge has been told.",
            retry_after_s=PAUSE_MS // 1000,
        )
    last = taken.paused_until_ms > now_ms or taken.failures >= LIFETIME_FAILURES
    return Tries(taken.failures, taken.window_failures, last)


def _wait_s(connection: sa.Connection, session: Session, now_ms: int) -> int:
    next_try_ms = connection.execute(
        sa.select(sessions.c.next_try_ms).where(sessions.c.id == session.session_id)
    ).scalar_one_or_none()
    return max(1, ((next_try_ms or now_ms) - now_ms + 999) // 1000)


def network_of(address: str) -> str:
    """The network an address is counted by: IPv4 /32, IPv6 /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


class PerNetwork:
    """Something that strangers can do, counted per network and minute, by all processes together.

    For links that do not exist it is only asked when the link was wrong: a right one is not held up by neighbours. What
    is over the limit is refused without a write, so that a flood costs no more than reading.
    """

    def __init__(self, database: Database, what: str, per_minute: int, message: str) -> None:
        self._database = database
        self._what, self._per_minute, self._message = what, per_minute, message

    async def count(self, network: str, now_ms: int) -> None:
        """Count one, or raise TooManyRequestsError."""
        seen = await self._database.keyed(_seen, self._what, network, now_ms)
        if seen < self._per_minute:
            seen = await self._database.write(_count, self._what, network, now_ms)
        else:
            seen += 1
        if seen > self._per_minute:
            raise TooManyRequestsError(self._message, retry_after_s=60)


def unknown_links(database: Database) -> PerNetwork:
    message = "Too many unknown links from your network; wait a minute."
    return PerNetwork(database, "unknown-link", UNKNOWN_PER_MINUTE, message)


def patients_forms(database: Database) -> PerNetwork:
    return PerNetwork(database, "form", FORMS_PER_MINUTE, "Too many forms from your network; wait a minute.")


def begun_sign_ins(database: Database) -> PerNetwork:
    message = "Too many sign-ins were begun from your network; wait a minute."
    return PerNetwork(database, "sign-in", SIGN_INS_PER_MINUTE, message)


def _seen(connection: sa.Connection, what: str, network: str, now_ms: int) -> int:
    table = network_counts.c
    query = sa.select(table.count).where(
        table.what == what, table.network == network, table.started_ms > now_ms - MINUTE_MS
    )
    return connection.execute(query).scalar_one_or_none() or 0


def _count(connection: sa.Connection, what: str, network: str, now_ms: int) -> int:
    """Count one; forget what is older than a minute, and the oldest when there are too many."""
    table = network_counts.c
    connection.execute(sa.delete(network_counts).where(table.started_ms <= now_ms - MINUTE_MS))
    more = sa.update(network_counts).where(table.what == what, table.network == network)
    seen = connection.execute(more.values(count=table.count + 1).returning(table.count)).scalar_one_or_none()
    if seen is not None:
        return int(seen)
    newest = sa.select(table.started_ms).order_by(table.started_ms.desc()).offset(MAXIMUM_NETWORKS - 1).limit(1)
    connection.execute(sa.delete(network_counts).where(table.started_ms <= newest.scalar_subquery()))
    connection.execute(sa.insert(network_counts).values(what=what, network=network, started_ms=now_ms, count=1))
    return 1
