"""A cookie ↔ a session: who has passed what was asked, kept on the server so that it can be ended at once."""

import secrets
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from aiohttp import web

from archive.database.access_tables import sessions, tickets
from auth.tokens import hash_secret

IDLE_MS = 30 * 60_000
ABSOLUTE_MS = 8 * 3_600_000
SEEN_EVERY_MS = 60_000
"""How often at most a use of the session is written down."""
MAXIMUM_DEVICE_LENGTH = 40


class SessionKind(StrEnum):
    SHARE = "share"
    OWNER = "owner"
    STAFF = "staff"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a request came from: the network it is counted by, and the family of its device."""

    address: str
    network: str
    device: str


@dataclass(frozen=True, slots=True)
class Session:
    """`subject` is the id of the share, request or staff member; `open` says that every step has been passed.

    `passed` names the step that was passed where another is to follow.
    """

    session_id: int
    kind: SessionKind
    subject: str
    open: bool
    passed: str
    created_ms: int
    seen_ms: int
    expires_ms: int
    tries: int
    next_try_ms: int


@dataclass(frozen=True, slots=True)
class Cookies:
    """Names and attributes of the cookies. `https` is the scheme of the public base.

    `__Host-` binds the cookie to this host and needs Secure, so it is for https only; it forces `Path=/`, and the
    name carries the id instead.
    """

    https: bool

    def name(self, kind: SessionKind, subject: str = "") -> str:
        mark = {SessionKind.SHARE: "s", SessionKind.OWNER: "o", SessionKind.STAFF: "staff"}[kind]
        return ("__Host-" if self.https else "lightbox-") + (f"{mark}-{subject}" if subject else mark)

    def give(self, response: web.StreamResponse, kind: SessionKind, subject: str, token: str) -> None:
        """Set the cookie; it ends with the browser, the session ends earlier by its own times."""
        response.set_cookie(self.name(kind, subject), token, path="/", httponly=True, secure=self.https, samesite="Lax")

    @property
    def sign_in_name(self) -> str:
        """The cookie that binds a sign-in at the identity provider to the browser in which it was begun."""
        return ("__Host-" if self.https else "lightbox-") + "sign-in"

    def give_sign_in(self, response: web.StreamResponse, token: str) -> None:
        """Lax: the provider sends the browser back by a link, and the cookie has to come with it."""
        response.set_cookie(
            self.sign_in_name, token, path="/", httponly=True, secure=self.https, samesite="Lax", max_age=600
        )

    def take(self, response: web.StreamResponse, kind: SessionKind, subject: str) -> None:
        response.del_cookie(self.name(kind, subject), path="/", httponly=True, secure=self.https, samesite="Lax")


@dataclass(frozen=True, slots=True)
class NewSession:
    kind: SessionKind
    subject: str
    visitor: Visitor
    open: bool


def start_session(connection: sa.Connection, new: NewSession, now_ms: int) -> str:
    """Begin a session and return the cookie's value."""
    token = secrets.token_urlsafe(32)
    connection.execute(
        sa.insert(sessions).values(
            token_sha256=hash_secret(token),
            kind=str(new.kind),
            subject=new.subject,
            open=new.open,
            created_ms=now_ms,
            seen_ms=now_ms,
            expires_ms=now_ms + ABSOLUTE_MS,
            network=new.visitor.network,
            device=new.visitor.device[:MAXIMUM_DEVICE_LENGTH],
        )
    )
    return token


def open_session(connection: sa.Connection, session: Session, now_ms: int) -> str:
    """All steps are passed: the session gets a new cookie value, so that one seen before the step is worth nothing."""
    token = secrets.token_urlsafe(32)
    connection.execute(
        sa.update(sessions)
        .where(sessions.c.id == session.session_id)
        .values(token_sha256=hash_secret(token), open=True, seen_ms=now_ms, expires_ms=now_ms + ABSOLUTE_MS)
    )
    return token


def pass_step(connection: sa.Connection, session: Session, step: str, now_ms: int) -> str:
    """One step is passed and another follows: a new cookie value, and a mark that lets the next one begin."""
    token = secrets.token_urlsafe(32)
    connection.execute(
        sa.update(sessions)
        .where(sessions.c.id == session.session_id)
        .values(token_sha256=hash_secret(token), passed=step, seen_ms=now_ms)
    )
    return token


def find_session(connection: sa.Connection, kind: SessionKind, subject: str, token: str, now_ms: int) -> Session | None:
    """The living session of this cookie; for this subject only, whatever the cookie's name says ("" is any)."""
    row = connection.execute(
        sa.select(sessions).where(
            sessions.c.token_sha256 == hash_secret(token), sessions.c.kind == str(kind), sessions.c.ended_ms.is_(None)
        )
    ).one_or_none()
    if row is None or (subject and row.subject != subject):
        return None
    if row.expires_ms <= now_ms or row.seen_ms + IDLE_MS <= now_ms:
        return None
    return Session(
        row.id,
        kind,
        row.subject,
        row.open,
        row.passed,
        row.created_ms,
        row.seen_ms,
        row.expires_ms,
        row.tries,
        row.next_try_ms,
    )


def touch_session(connection: sa.Connection, session_id: int, now_ms: int) -> None:
    connection.execute(sa.update(sessions).where(sessions.c.id == session_id).values(seen_ms=now_ms))


def end_session(connection: sa.Connection, session_id: int, now_ms: int) -> None:
    connection.execute(
        sa.update(sessions).where(sessions.c.id == session_id, sessions.c.ended_ms.is_(None)).values(ended_ms=now_ms)
    )


def end_everything(connection: sa.Connection, now_ms: int) -> None:
    """End every session and every ticket: the database is a copy, and who was signed out since is signed in in it."""
    for table in (sessions, tickets):
        connection.execute(sa.update(table).where(table.c.ended_ms.is_(None)).values(ended_ms=now_ms))


def end_sessions(connection: sa.Connection, kind: SessionKind, subject: str, now_ms: int) -> None:
    """End every session of a share, an owner or a staff member."""
    connection.execute(
        sa.update(sessions)
        .where(sessions.c.kind == str(kind), sessions.c.subject == subject, sessions.c.ended_ms.is_(None))
        .values(ended_ms=now_ms)
    )
