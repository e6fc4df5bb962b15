"""Staff accounts: sign-in with a password and an authenticator app or a passkey; roles desk, admin, auditor.

A new account has a password made for it, to be changed at the first sign-in, where the app is set up too. An unknown
name is answered exactly like a wrong password, after as long.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from archive.audit import Action, Event, Outcome, append
from archive.database.engine import Database
from archive.database.journey_tables import staff
from archive.errors import BadRequestError, ConflictError, ForbiddenError, NotFoundError, UnauthorizedError
from auth.access import Access
from auth.factors import Passwords, check_new_password, new_password
from auth.limits import Tries, give_back, resume, take_from
from auth.passkeys import Account, has_passkey, register, registration_options, sign_in, sign_in_options
from auth.people import WrongCodeError
from auth.sessions import (
    NewSession,
    Session,
    SessionKind,
    Visitor,
    end_session,
    end_sessions,
    find_session,
    open_session,
    pass_step,
    start_session,
)
from auth.totp import matching_step, new_seed, setup_uri

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")
SEED = "staff seed"
PASSWORD, CHANGED = "password", "changed"
MAXIMUM_NAME_LENGTH = 80


class StaffRole(StrEnum):
    """DESK: requests and handouts. ADMIN: accounts and channels. AUDITOR: the trail."""

    DESK = "desk"
    ADMIN = "admin"
    AUDITOR = "auditor"


class SignInError(ForbiddenError):
    code = "wrong-sign-in"


class StaffNext(StrEnum):
    NONE = "none"
    CHANGE = "change-password"
    TOTP = "totp"
    SETUP_TOTP = "setup-totp"
    PASSKEY = "passkey"


@dataclass(frozen=True, slots=True)
class StaffStep:
    next: StaffNext
    cookie: str
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    """An account, without its secrets."""

    staff_id: str
    name: str
    roles: frozenset[StaffRole]
    has_app: bool
    created_ms: int
    signed_in_ms: int | None
    ended_ms: int | None
    is_elsewhere: bool = False
    """Signs in at the identity provider."""


def parse_staff_roles(names: list[str]) -> frozenset[StaffRole]:
    try:
        roles = frozenset(StaffRole(name) for name in names)
    except ValueError:
        roles = frozenset()
    if not roles:
        raise BadRequestError(f"role is one of {', '.join(StaffRole)}.", parameter="role")
    return roles


async def create_staff(
    database: Database, passwords: Passwords, member: tuple[str, str, frozenset[StaffRole]], now_ms: int
) -> str:
    """Make an account (sign-in name, name, roles); its first password, to be seen this once."""
    staff_id, name, roles = member[0].strip().lower(), member[1].strip(), member[2]
    if _NAME.fullmatch(staff_id) is None:
        raise BadRequestError("A sign-in name is 2 to 40 of a-z, 0-9, dot, dash.", parameter="id")
    if not 1 <= len(name) <= MAXIMUM_NAME_LENGTH or not name.isprintable():
        raise BadRequestError(f"A name has 1 to {MAXIMUM_NAME_LENGTH} characters.", parameter="name")
    password = new_password()
    hashed = await passwords.hash(password)

    def insert(connection: sa.Connection) -> None:
        if connection.execute(sa.select(staff.c.id).where(staff.c.id == staff_id)).first() is not None:
            raise ConflictError("There is an account with this sign-in name.", parameter="id")
        connection.execute(
            sa.insert(staff).values(
                id=staff_id,
                name=name,
                roles=" ".join(sorted(roles)),
                password_argon2=hashed,
                must_change=True,
                created_ms=now_ms,
            )
        )
        _tell(connection, Action.STAFF_CHANGE, (staff_id, Outcome.SUCCESS, {"account": "made"}), now_ms)

    await database.write(insert)
    return password


async def list_staff(database: Database) -> list[Member]:
    return await database.read(_select_staff)


async def end_staff(database: Database, staff_id: str, now_ms: int) -> None:
    """Close an account and end its sessions."""
    await database.write(_end, staff_id, now_ms)


async def reset_staff(database: Database, passwords: Passwords, staff_id: str, now_ms: int) -> str:
    """A new first password for an account; its app has to be set up anew."""
    password = new_password()
    await database.write(_reset, staff_id, await passwords.hash(password), now_ms)
    return password


async def sign_in_by_password(access: Access, staff_id: str, password: str, visitor: Visitor) -> StaffStep:
    """The first step. Raises SignInError, the same for an unknown name."""
    staff_id, now_ms = staff_id.strip().lower(), access.clock()
    row = await access.database.keyed(_find, staff_id)
    if row is None or row["password_argon2"] is None:
        await access.passwords.is_right(password, _UNKNOWN_ARGON2)
        await access.unknown_links.count(visitor.network, now_ms)
        raise SignInError("The name or the password is not right.")
    tries = await access.database.write(take_from, SessionKind.STAFF, staff_id, now_ms)
    if not await access.passwords.is_right(password, row["password_argon2"]):
        await access.database.write(_tell_failure, staff_id, visitor, now_ms)
        raise SignInError("The name or the password is not right.")
    return await access.database.write(_password_passed, access, (staff_id, tries), visitor, now_ms)


async def change_password(access: Access, cookie: str | None, password: str) -> StaffStep:
    """The step of a first sign-in: an own password instead of the one that was made."""
    hashed = await access.passwords.hash(check_new_password(password))
    return await access.database.write(_change, access, cookie, hashed, access.clock())


async def give_staff_totp(access: Access, cookie: str | None, code: str, visitor: Visitor) -> StaffStep:
    """The second step. Raises WrongCodeError."""
    step = await access.database.write(_take_totp, access, (cookie, code), visitor, access.clock())
    if step is None:
        raise WrongCodeError("This code is not right, or was used before.", parameter="code")
    return step


async def staff_passkey_options(access: Access, cookie: str | None) -> dict[str, Any]:
    """What the authenticator is asked for: as the second step, or, for who is signed in, to make a passkey."""
    return await access.database.write(_passkey_options, access, cookie, access.clock())


async def give_staff_passkey(access: Access, cookie: str | None, answer: dict[str, Any], visitor: Visitor) -> StaffStep:
    """The authenticator's answer: signs in, or keeps a new passkey. Raises WrongCodeError, WrongPasskeyError."""
    step = await access.database.write(_take_passkey, access, (cookie, answer), visitor, access.clock())
    if step is None:
        raise WrongCodeError("This passkey is not right.")
    return step


async def sign_out(access: Access, cookie: str | None) -> None:
    now_ms = access.clock()
    session = await access.database.keyed(find_session, SessionKind.STAFF, "", cookie or "", now_ms)
    if session is not None:
        await access.database.write(end_session, session.session_id, now_ms)
        access.forget()


_UNKNOWN_ARGON2 = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""The hash of no password, so that an unknown name takes as long as a known one."""


def _find(connection: sa.Connection, staff_id: str) -> sa.RowMapping | None:
    query = sa.select(staff).where(staff.c.id == staff_id, staff.c.ended_ms.is_(None))
    return connection.execute(query).mappings().one_or_none()


def _password_passed(
    connection: sa.Connection, access: Access, who: tuple[str, Tries], visitor: Visitor, now_ms: int
) -> StaffStep:
    staff_id, tries = who
    give_back(connection, SessionKind.STAFF, staff_id, tries)
    token = start_session(connection, NewSession(SessionKind.STAFF, staff_id, visitor, False), now_ms)
    session = find_session(connection, SessionKind.STAFF, staff_id, token, now_ms)
    row = _find(connection, staff_id)
    if session is None or row is None:
        raise UnauthorizedError("Sign in again.")
    if row["must_change"]:
        return StaffStep(StaffNext.CHANGE, pass_step(connection, session, CHANGED, now_ms))
    return _second_step(connection, access, session, now_ms)


def _change(connection: sa.Connection, access: Access, cookie: str | None, hashed: str, now_ms: int) -> StaffStep:
    session = _half_open(connection, cookie, CHANGED, now_ms)
    connection.execute(
        sa.update(staff).where(staff.c.id == session.subject).values(password_argon2=hashed, must_change=False)
    )
    _tell(connection, Action.STAFF_CHANGE, (session.subject, Outcome.SUCCESS, {"password": "changed"}), now_ms)
    return _second_step(connection, access, session, now_ms)


def _second_step(connection: sa.Connection, access: Access, session: Session, now_ms: int) -> StaffStep:
    row = _find(connection, session.subject)
    token = pass_step(connection, session, PASSWORD, now_ms)
    if has_passkey(connection, Account(SessionKind.STAFF, session.subject)):
        return StaffStep(StaffNext.PASSKEY, token)
    if row is not None and row["totp_encrypted"] is not None and row["totp_step"] > 0:
        return StaffStep(StaffNext.TOTP, token)
    seed = new_seed()
    connection.execute(
        sa.update(staff).where(staff.c.id == session.subject).values(totp_encrypted=access.vault.encrypt(seed, SEED))
    )
    uri = setup_uri(seed, session.subject, access.settings.site_name)
    return StaffStep(StaffNext.SETUP_TOTP, token, {"seed": seed, "uri": uri})


def _take_totp(
    connection: sa.Connection, access: Access, given: tuple[str | None, str], visitor: Visitor, now_ms: int
) -> StaffStep | None:
    session = _half_open(connection, given[0], PASSWORD, now_ms)
    row = _find(connection, session.subject)
    if row is None or row["totp_encrypted"] is None:
        raise UnauthorizedError("Sign in again.")
    tries = take_from(connection, SessionKind.STAFF, session.subject, now_ms)
    step = matching_step(access.vault.decrypt(row["totp_encrypted"], SEED), given[1], now_ms, row["totp_step"])
    if step is None:
        _tell_failure(connection, session.subject, visitor, now_ms)
        return None
    connection.execute(sa.update(staff).where(staff.c.id == session.subject).values(totp_step=step))
    return _signed_in(connection, session, tries, visitor, now_ms)


def _passkey_options(connection: sa.Connection, access: Access, cookie: str | None, now_ms: int) -> dict[str, Any]:
    session = find_session(connection, SessionKind.STAFF, "", cookie or "", now_ms)
    if session is not None and session.open:
        return {"create": registration_options(connection, access.party, session, session.subject, now_ms)}
    return {"get": sign_in_options(connection, access.party, _half_open(connection, cookie, PASSWORD, now_ms), now_ms)}


def _take_passkey(
    connection: sa.Connection,
    access: Access,
    given: tuple[str | None, dict[str, Any]],
    visitor: Visitor,
    now_ms: int,
) -> StaffStep | None:
    cookie, answer = given
    session = find_session(connection, SessionKind.STAFF, "", cookie or "", now_ms)
    if session is not None and session.open:
        register(connection, access.party, session, answer, now_ms)
        _tell(connection, Action.STAFF_CHANGE, (session.subject, Outcome.SUCCESS, {"passkey": "made"}), now_ms)
        return StaffStep(StaffNext.NONE, cookie or "")
    session = _half_open(connection, cookie, PASSWORD, now_ms)
    tries = take_from(connection, SessionKind.STAFF, session.subject, now_ms)
    if not sign_in(connection, access.party, session, answer, now_ms):
        _tell_failure(connection, session.subject, visitor, now_ms)
        return None
    return _signed_in(connection, session, tries, visitor, now_ms)


def _signed_in(connection: sa.Connection, session: Session, tries: Tries, visitor: Visitor, now_ms: int) -> StaffStep:
    give_back(connection, SessionKind.STAFF, session.subject, tries)
    connection.execute(sa.update(staff).where(staff.c.id == session.subject).values(signed_in_ms=now_ms))
    detail = {"device": visitor.device, "address": visitor.address}
    _tell(connection, Action.STAFF_SIGN_IN, (session.subject, Outcome.SUCCESS, detail), now_ms)
    return StaffStep(StaffNext.NONE, open_session(connection, session, now_ms))


def _half_open(connection: sa.Connection, cookie: str | None, passed: str, now_ms: int) -> Session:
    session = find_session(connection, SessionKind.STAFF, "", cookie or "", now_ms)
    if session is None or session.open or session.passed != passed:
        raise UnauthorizedError("Sign in again.")
    return session


def _select_staff(connection: sa.Connection) -> list[Member]:
    return [
        Member(
            row.id,
            row.name,
            frozenset(StaffRole(role) for role in row.roles.split()),
            row.totp_step > 0,
            row.created_ms,
            row.signed_in_ms,
            row.ended_ms,
            row.oidc_subject is not None,
        )
        for row in connection.execute(sa.select(staff).order_by(staff.c.id))
    ]


def _end(connection: sa.Connection, staff_id: str, now_ms: int) -> None:
    ended = connection.execute(
        sa.update(staff).where(staff.c.id == staff_id, staff.c.ended_ms.is_(None)).values(ended_ms=now_ms)
    )
    if not ended.rowcount:
        raise NotFoundError("There is no such account.", parameter="id")
    end_sessions(connection, SessionKind.STAFF, staff_id, now_ms)
    _tell(connection, Action.STAFF_CHANGE, (staff_id, Outcome.SUCCESS, {"account": "closed"}), now_ms)


def _reset(connection: sa.Connection, staff_id: str, hashed: str, now_ms: int) -> None:
    changed = connection.execute(
        sa.update(staff)
        .where(staff.c.id == staff_id, staff.c.ended_ms.is_(None), staff.c.oidc_subject.is_(None))
        .values(password_argon2=hashed, must_change=True, totp_encrypted=None, totp_step=0)
    )
    if not changed.rowcount:
        raise NotFoundError("There is no such account with a password.", parameter="id")
    resume(connection, SessionKind.STAFF, staff_id)
    end_sessions(connection, SessionKind.STAFF, staff_id, now_ms)
    _tell(connection, Action.STAFF_CHANGE, (staff_id, Outcome.SUCCESS, {"account": "reset"}), now_ms)


def _tell_failure(connection: sa.Connection, staff_id: str, visitor: Visitor, now_ms: int) -> None:
    detail = {"device": visitor.device, "address": visitor.address}
    _tell(connection, Action.STAFF_SIGN_IN, (staff_id, Outcome.REFUSED, detail), now_ms)


def _tell(connection: sa.Connection, action: Action, told: tuple[str, Outcome, dict[str, str]], now_ms: int) -> None:
    staff_id, outcome, detail = told
    address = detail.get("address", "")
    rest = {name: value for name, value in detail.items() if name != "address"}
    append(connection, [Event(action, "staff", f"staff {staff_id}", outcome, address=address, detail=rest)], now_ms)
