"""Who asks: the principal of a request, and the credential it was found by."""

import base64
import binascii
from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa
from aiohttp import web

from archive.database.journey_tables import request_studies, requests, staff
from archive.identifiers import StudyUID
from archive.scope import Scope
from auth.holding import is_shown
from auth.sessions import SEEN_EVERY_MS, Cookies, SessionKind, find_session, touch_session
from auth.shares import find_share
from auth.tickets import TICKET_PREFIX, find_ticket, touch_ticket
from auth.tokens import TOKEN_PREFIX, Role, decode_code, find_token, touch_token

MAXIMUM_CREDENTIAL_LENGTH = 512
SHARE_ROOTS, OWNER_ROOTS, STAFF_ROOTS = ("s",), ("o",), ("desk", "admin", "audit", "staff")


class Kind(StrEnum):
    NOBODY = "nobody"
    MACHINE = "machine"
    STAFF = "staff"
    OWNER = "owner"
    SHARE = "share"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Principal:
    """`label` names it in the audit trail. `session_id` is a session's, token's or ticket's number."""

    kind: Kind
    label: str
    roles: frozenset[str] = field(default_factory=frozenset)
    scope: Scope = field(default_factory=Scope.nothing)
    share_id: str = ""
    subject: str = ""
    session_id: int = 0
    may_download: bool = True

    @property
    def may_read(self) -> bool:
        return self.kind in (Kind.SHARE, Kind.TICKET) or (
            self.kind is Kind.MACHINE and bool(self.roles & {Role.READ, Role.ADMIN})
        )

    def sees(self, scope: Scope) -> bool:
        """Whether every study of the scope is one that this principal may see."""
        if scope.study_uids is None or self.scope.study_uids is None:
            return self.scope.study_uids is None
        return scope.study_uids <= self.scope.study_uids

    @property
    def may_store(self) -> bool:
        return self.kind is Kind.MACHINE and bool(self.roles & {Role.STORE, Role.ADMIN})

    @property
    def may_administer(self) -> bool:
        return self.kind is Kind.MACHINE and Role.ADMIN in self.roles


NOBODY = Principal(Kind.NOBODY, "nobody")


class Way(StrEnum):
    """How a credential came; each root takes one way only."""

    HEADER = "header"
    PATH = "path"
    SHARE_COOKIE = "share-cookie"
    OWNER_COOKIE = "owner-cookie"
    STAFF_COOKIE = "staff-cookie"


@dataclass(frozen=True, slots=True)
class Credential:
    """`subject` is the share's or owner's id in the path, which the session must belong to."""

    way: Way
    secret: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A principal, and the unit of work that writes its use down when that is due."""

    principal: Principal
    touch: tuple[str, int] | None = None


def credential_of(request: web.Request, cookies: Cookies) -> Credential | None:
    """The one credential that the root of this request takes; others are not looked at."""
    segments = request.path.split("/")[1:]
    if segments[:1] == ["api"]:
        segments = segments[1:]
    root, subject = (segments[0] if segments else ""), (segments[1] if len(segments) > 1 else "")
    if root == "t":
        credential: Credential | None = Credential(Way.PATH, subject)
    elif root in SHARE_ROOTS:
        credential = _cookie(request, cookies, SessionKind.SHARE, decode_code(subject, len(subject)) or "")
    elif root in OWNER_ROOTS:
        credential = _cookie(request, cookies, SessionKind.OWNER, decode_code(subject, len(subject)) or "")
    elif root in STAFF_ROOTS:
        credential = _cookie(request, cookies, SessionKind.STAFF, "")
    else:
        credential = _header(request)
    if credential is None or not 0 < len(credential.secret) <= MAXIMUM_CREDENTIAL_LENGTH:
        return None
    return credential


def find_principal(connection: sa.Connection, credential: Credential, now_ms: int) -> Found | None:
    """Whoever this credential stands for, if it is alive."""
    if credential.way is Way.SHARE_COOKIE:
        return _share_session(connection, credential, now_ms)
    if credential.way is Way.OWNER_COOKIE:
        return _owner_session(connection, credential, now_ms)
    if credential.way is Way.STAFF_COOKIE:
        return _staff_session(connection, credential, now_ms)
    if credential.way in (Way.HEADER, Way.PATH) and credential.secret.startswith(TICKET_PREFIX):
        return _ticket(connection, credential.secret, now_ms)
    if credential.way is Way.HEADER and credential.secret.startswith(TOKEN_PREFIX):
        return _token(connection, credential.secret, now_ms)
    return None


def touch(connection: sa.Connection, table: str, number: int, now_ms: int) -> None:
    """Write down that a session, ticket or token was used."""
    {"session": touch_session, "ticket": touch_ticket, "token": touch_token}[table](connection, number, now_ms)


def _share_session(connection: sa.Connection, credential: Credential, now_ms: int) -> Found | None:
    session = find_session(connection, SessionKind.SHARE, credential.subject, credential.secret, now_ms)
    if session is None or not session.open:
        return None
    share = find_share(connection, session.subject, now_ms)
    if share is None or share.ended_reason is not None:
        return None
    principal = Principal(
        Kind.SHARE,
        f"share {share.share_id}",
        scope=share.scope,
        share_id=share.share_id,
        subject=share.share_id,
        session_id=session.session_id,
        may_download=share.may_download,
    )
    return Found(principal, _due("session", session.session_id, session.seen_ms, now_ms))


def _owner_session(connection: sa.Connection, credential: Credential, now_ms: int) -> Found | None:
    session = find_session(connection, SessionKind.OWNER, credential.subject, credential.secret, now_ms)
    if session is None or not session.open:
        return None
    request = connection.execute(
        sa.select(requests.c.id).where(
            requests.c.id == session.subject, requests.c.secret_sha256.is_not(None), requests.c.expires_ms > now_ms
        )
    ).one_or_none()
    if request is None:
        return None
    study_uids = connection.execute(
        sa.select(request_studies.c.study_uid).where(
            request_studies.c.request_id == session.subject, is_shown(request_studies)
        )
    ).scalars()
    principal = Principal(
        Kind.OWNER,
        f"owner {session.subject}",
        scope=Scope(frozenset(StudyUID(uid) for uid in study_uids)),
        share_id=session.subject,
        subject=session.subject,
        session_id=session.session_id,
    )
    return Found(principal, _due("session", session.session_id, session.seen_ms, now_ms))


def _staff_session(connection: sa.Connection, credential: Credential, now_ms: int) -> Found | None:
    session = find_session(connection, SessionKind.STAFF, "", credential.secret, now_ms)
    if session is None or not session.open:
        return None
    member = connection.execute(
        sa.select(staff).where(staff.c.id == session.subject, staff.c.ended_ms.is_(None))
    ).one_or_none()
    if member is None:
        return None
    principal = Principal(
        Kind.STAFF,
        f"staff {member.id}",
        roles=frozenset(member.roles.split()),
        subject=member.id,
        session_id=session.session_id,
    )
    return Found(principal, _due("session", session.session_id, session.seen_ms, now_ms))


def _ticket(connection: sa.Connection, secret: str, now_ms: int) -> Found | None:
    found = find_ticket(connection, secret, now_ms)
    if found is None:
        return None
    ticket, share = found
    principal = Principal(
        Kind.TICKET,
        f"ticket {ticket.ticket_id} of share {share.share_id}",
        scope=share.scope,
        share_id=share.share_id,
        subject=share.share_id,
        session_id=ticket.ticket_id,
        may_download=share.may_download,
    )
    return Found(principal, _due("ticket", ticket.ticket_id, ticket.used_ms or 0, now_ms))


def _token(connection: sa.Connection, secret: str, now_ms: int) -> Found | None:
    token = find_token(connection, secret, now_ms)
    if token is None:
        return None
    reads = bool(token.roles & {Role.READ, Role.ADMIN})
    principal = Principal(
        Kind.MACHINE,
        f"{token.name} (token {token.token_id})",
        roles=frozenset(map(str, token.roles)),
        scope=Scope.everything() if reads else Scope.nothing(),
        session_id=token.token_id,
    )
    return Found(principal, _due("token", token.token_id, token.used_ms or 0, now_ms))


def _due(table: str, number: int, seen_ms: int, now_ms: int) -> tuple[str, int] | None:
    return (table, number) if now_ms - seen_ms >= SEEN_EVERY_MS else None


def _cookie(request: web.Request, cookies: Cookies, kind: SessionKind, subject: str) -> Credential | None:
    way = {
        SessionKind.SHARE: Way.SHARE_COOKIE,
        SessionKind.OWNER: Way.OWNER_COOKIE,
        SessionKind.STAFF: Way.STAFF_COOKIE,
    }[kind]
    if kind is not SessionKind.STAFF and not subject:
        return None
    value = request.cookies.get(cookies.name(kind, subject))
    return Credential(way, value, subject) if value else None


def _header(request: web.Request) -> Credential | None:
    """`Authorization: Bearer SECRET`, or `Basic`, whose password is the secret and whose user name is not looked at."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return Credential(Way.HEADER, value)
    if scheme.lower() != "basic" or len(value) > 2 * MAXIMUM_CREDENTIAL_LENGTH:
        return None
    try:
        _, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Credential(Way.HEADER, password)
