"""A link and what is asked with it → a session. Each step is done on the server, in order; none can be skipped.

| the link is | answer |
|---|---|
| unknown, or its secret wrong | 404, the same for both |
| right, and over | 410 with the reason in plain words |
| right, and nothing of it shown for now | 409 |
| right | what comes next, and a cookie that is worth nothing until the last step |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa

from archive.audit import Action, Event, Outcome, append
from archive.database.journey_tables import people
from archive.errors import ForbiddenError, GoneError, NotFoundError, UnauthorizedError
from auth.access import Access
from auth.limits import Tries, give_back, take_try
from auth.notices import Notice, note
from auth.sessions import (
    NewSession,
    Session,
    SessionKind,
    Visitor,
    end_session,
    find_session,
    open_session,
    start_session,
)
from auth.shares import Ending, Mode, Share, count_open, find_share
from auth.tokens import SECRET_LENGTH, SHARE_ID_LENGTH, decode_code, is_secret

NO_SHARE_SHA256 = bytes(32)
BURST = 5
"""Wrong tries within an hour that the owner is told of."""


class UnknownLinkError(NotFoundError):
    code = "unknown-link"


class ExpiredLinkError(GoneError):
    code = "link-expired"


class RevokedLinkError(GoneError):
    code = "link-revoked"


class UsedUpLinkError(GoneError):
    code = "link-used-up"


class WithdrawnLinkError(GoneError):
    code = "link-withdrawn"


class ReplacedLinkError(GoneError):
    code = "link-replaced"


class WrongPasswordError(ForbiddenError):
    code = "wrong-password"


_ENDED: dict[Ending, tuple[type[GoneError], str]] = {
    Ending.EXPIRED: (ExpiredLinkError, "This link has expired."),
    Ending.REVOKED: (RevokedLinkError, "This link was switched off by whoever shared it."),
    Ending.USED_UP: (UsedUpLinkError, "This link has been opened as often as it may be."),
    Ending.WITHDRAWN: (WithdrawnLinkError, "The patient has withdrawn consent; this link is switched off."),
    Ending.ROTATED: (ReplacedLinkError, "This link was replaced by a newer one."),
}


def ended(ending: Ending) -> GoneError:
    """The error that tells why a link is over."""
    kind, message = _ENDED[ending]
    return kind(message)


class Next(StrEnum):
    """What is asked next; `none`: the way is free."""

    NONE = "none"
    PASSWORD = "password"  # noqa: S105 - the word for it
    CODE = "code"
    TOTP = "totp"
    PASSKEY = "passkey"
    SETUP_TOTP = "setup-totp"
    SETUP_PASSKEY = "setup-passkey"
    ASK = "ask"
    """A link to a share for named people, passed on: its holder can ask for access."""


_NEXT = {
    Mode.LINK: Next.NONE,
    Mode.PASSWORD: Next.PASSWORD,
    Mode.CODE: Next.CODE,
    Mode.TOTP: Next.TOTP,
    Mode.PASSKEY: Next.PASSKEY,
    Mode.NAMED: Next.ASK,
}


@dataclass(frozen=True, slots=True)
class Step:
    """Where an opening stands, and the cookie's new value."""

    share_id: str
    next: Next
    cookie: str
    data: Mapping[str, object] = field(default_factory=dict)
    """What the next step needs: the masked contact, what an app or an authenticator is set up with."""


async def open_link(access: Access, typed_id: str, typed_secret: str, visitor: Visitor) -> Step:
    """Take a link's id and secret, however they were typed.

    Raises
    ------
    NotFoundError, GoneError
        See the table above.
    TooManyRequestsError
        Many unknown links came from this network; a right link is never held up.
    """
    share_id = decode_code(typed_id, SHARE_ID_LENGTH) or ""
    secret = decode_code(typed_secret, SECRET_LENGTH) or ""
    now_ms = access.clock()
    share = await access.database.keyed(find_share, share_id, now_ms)
    # The comparison is made for an unknown id as well, so that both wrong answers take the same time.
    if not is_secret(secret, share.secret_sha256 if share else NO_SHARE_SHA256) or share is None:
        await access.unknown_links.count(visitor.network, now_ms)
        raise UnknownLinkError("This link is not known here. Check that it was copied whole.")
    if share.ended_reason is not None:
        raise ended(share.ended_reason)
    share.require_running()
    return await access.database.write(_begin, share, visitor, now_ms)


async def give_password(access: Access, share_id: str, cookie: str | None, password: str, visitor: Visitor) -> Step:
    """The second step of a share with a password.

    Raises
    ------
    UnauthorizedError
        The link was not opened before, or too long ago.
    TooManyRequestsError
        The tries of this visitor or of this share are used up for now.
    ForbiddenError
        The password is wrong.
    """
    now_ms = access.clock()
    taken = await access.database.write(take_step, (share_id, frozenset({Mode.PASSWORD})), cookie, now_ms)
    if not await access.passwords.is_right(password, taken.share.password_argon2 or ""):
        await access.database.write(tell_failure, taken, visitor, now_ms)
        raise WrongPasswordError("This password is not right.", parameter="password")
    return await access.database.write(finish_step, taken, visitor, now_ms)


@dataclass(frozen=True, slots=True)
class Taken:
    """A try taken from the counters, to be given back when it was right."""

    share: Share
    session: Session
    tries: Tries


def take_step(connection: sa.Connection, step: tuple[str, frozenset[Mode]], cookie: str | None, now_ms: int) -> Taken:
    """Find the half-open session of this cookie and take one try; the share's mode must be one of the step's."""
    share, session = half_open(connection, step, cookie, now_ms)
    return Taken(share, session, take_try(connection, session, now_ms))


def half_open(
    connection: sa.Connection, step: tuple[str, frozenset[Mode]], cookie: str | None, now_ms: int
) -> tuple[Share, Session]:
    """The living share and the session that its link began; nothing is counted."""
    share_id, modes = step
    session = find_session(connection, SessionKind.SHARE, share_id, cookie or "", now_ms)
    share = find_share(connection, share_id, now_ms)
    if session is None or share is None or share.mode not in modes:
        raise UnauthorizedError("Open the link first.")
    if share.ended_reason is not None:
        raise ended(share.ended_reason)
    share.require_running()
    return share, session


def tell_failure(connection: sa.Connection, taken: Taken, visitor: Visitor, now_ms: int) -> None:
    """Write a wrong try down."""
    detail = {"step": str(taken.share.mode)} | ({"paused": "yes"} if taken.tries.last else {})
    if taken.tries.window_failures == BURST or taken.tries.last:
        note(connection, taken.share.owner_id, taken.share.share_id, Notice.FAILURES, now_ms)
    _tell(connection, (Action.SHARE_STEP, Outcome.REFUSED), taken.share, visitor, detail, now_ms)


def finish_step(connection: sa.Connection, taken: Taken, visitor: Visitor, now_ms: int) -> Step:
    """The last step was right: the session opens, under a new cookie."""
    give_back(connection, SessionKind.SHARE, taken.share.share_id, taken.tries)
    if not taken.session.open:
        _count(connection, taken.share, now_ms)
    cookie = open_session(connection, taken.session, now_ms)
    _tell_open(connection, taken.share, visitor, now_ms)
    return Step(taken.share.share_id, Next.NONE, cookie)


def next_step(connection: sa.Connection, share: Share) -> Next:
    """What a share's link is followed by. Whoever has not set the app or passkey up yet begins with a code."""
    if share.mode in (Mode.TOTP, Mode.PASSKEY):
        enrolled = connection.execute(sa.select(people.c.enrolled_ms).where(people.c.share_id == share.share_id))
        return _NEXT[share.mode if enrolled.scalar_one_or_none() is not None else Mode.CODE]
    return _NEXT[share.mode]


def _begin(connection: sa.Connection, share: Share, visitor: Visitor, now_ms: int) -> Step:
    following = next_step(connection, share)
    is_open = following is Next.NONE
    if is_open:
        _count(connection, share, now_ms)
        _tell_open(connection, share, visitor, now_ms)
    cookie = start_session(connection, NewSession(SessionKind.SHARE, share.share_id, visitor, is_open), now_ms)
    return Step(share.share_id, following, cookie)


def _tell_open(connection: sa.Connection, share: Share, visitor: Visitor, now_ms: int) -> None:
    _tell(connection, (Action.SHARE_OPEN, Outcome.SUCCESS), share, visitor, {}, now_ms)
    note(connection, share.owner_id, share.share_id, Notice.OPENED, now_ms)


def _count(connection: sa.Connection, share: Share, now_ms: int) -> None:
    if not count_open(connection, share.share_id, now_ms):
        raise ended(Ending.USED_UP)


def _tell(
    connection: sa.Connection,
    done: tuple[Action, Outcome],
    share: Share,
    visitor: Visitor,
    detail: dict[str, str],
    now_ms: int,
) -> None:
    event = Event(
        done[0],
        "share",
        f"share {share.share_id}",
        done[1],
        share_id=share.share_id,
        address=visitor.address,
        detail={"device": visitor.device, **detail},
    )
    append(connection, [event], now_ms)


async def close_session(access: Access, share_id: str, cookie: str | None) -> None:
    """End a visitor's session ("Done"); nothing happens when there is none."""
    now_ms = access.clock()
    session = await access.database.keyed(find_session, SessionKind.SHARE, share_id, cookie or "", now_ms)
    if session is not None:
        await access.database.write(end_session, session.session_id, now_ms)
        access.forget()
