"""The owner's link → the owner's session: the link, then a passkey set up before, or a code to a contact on file.

Nobody can type a contact. A forwarded owner link gets a stranger nowhere: the code goes to the patient, and so does
word of a wrong one.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa

from archive.audit import Action, Event, Outcome, append
from archive.delivery.contacts import masked
from archive.delivery.outbox import Channel, NewMessage
from archive.errors import BadRequestError, GoneError, UnauthorizedError
from auth.access import Access
from auth.codes import LIFE_MS, new_code, use_code
from auth.limits import Tries, give_back, take_try
from auth.notices import Notice, note
from auth.opening import UnknownLinkError, WithdrawnLinkError, WrongPasswordError
from auth.passkeys import Account, has_passkey
from auth.people import WrongCodeError
from auth.requests import Request, RequestState, find_request, mark
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
from auth.tokens import SECRET_LENGTH, SHARE_ID_LENGTH, decode_code, is_secret

NO_LINK_SHA256 = bytes(32)


class OwnerNext(StrEnum):
    NONE = "none"
    CODE = "code"
    PASSPHRASE = "passphrase"  # noqa: S105 - the word for it
    PASSKEY = "passkey"


@dataclass(frozen=True, slots=True)
class OwnerStep:
    """Where the opening stands. `contacts`: channel → masked contact that a code can be sent to.

    `instead` is what can be given instead of a passkey.
    """

    request_id: str
    next: OwnerNext
    cookie: str
    contacts: dict[str, str] = field(default_factory=dict)
    instead: OwnerNext = OwnerNext.NONE


async def open_owner_link(access: Access, typed_id: str, typed_secret: str, visitor: Visitor) -> OwnerStep:
    """Take an owner link. Unknown and wrong are one answer; nothing about the patient is told."""
    request_id = decode_code(typed_id, SHARE_ID_LENGTH) or ""
    secret = decode_code(typed_secret, SECRET_LENGTH) or ""
    now_ms = access.clock()
    request = await access.database.keyed(find_request, access.vault, request_id)
    kept = request.secret_sha256 if request is not None else None
    if not is_secret(secret, kept or NO_LINK_SHA256) or request is None or kept is None:
        await access.unknown_links.count(visitor.network, now_ms)
        raise UnknownLinkError("This link is not known here, or was replaced by a newer one.")
    if request.expires_ms <= now_ms:
        raise GoneError("This link has expired. Ask for a new one at the desk.")
    return await access.database.write(_begin, access, request, visitor, now_ms)


async def send_owner_code(access: Access, request_id: str, cookie: str | None, channel: str) -> str:
    """Send a code to the contact on file; the masked contact."""
    contact = await access.database.write(_queue_code, access, (request_id, cookie, channel), access.clock())
    access.outbox.wake()
    return contact


async def give_owner_code(
    access: Access, request_id: str, cookie: str | None, code: str, visitor: Visitor
) -> OwnerStep:
    """Take the code; the owner's session opens. Raises WrongCodeError."""
    given = (request_id, cookie, code)
    step = await access.database.write(_take_code, access, given, visitor, access.clock())
    if step is None:
        raise WrongCodeError("This code is not right, or no longer.", parameter="code")
    return step


async def give_passphrase(
    access: Access, request_id: str, cookie: str | None, passphrase: str, visitor: Visitor
) -> OwnerStep:
    """Take the words that the desk gave to a patient without mail and telephone."""
    now_ms = access.clock()
    taken = await access.database.write(_take, access, request_id, cookie, now_ms)
    kept = taken.request.passphrase_argon2
    if kept is None or not await access.passwords.is_right(passphrase, kept):
        await access.database.write(tell_failed_claim, taken, visitor, now_ms)
        raise WrongPasswordError("These words are not right.", parameter="passphrase")
    return await access.database.write(finish, taken, visitor, now_ms)


async def close_owner_session(access: Access, request_id: str, cookie: str | None) -> None:
    now_ms = access.clock()
    session = await access.database.keyed(find_session, SessionKind.OWNER, request_id, cookie or "", now_ms)
    if session is not None:
        await access.database.write(end_session, session.session_id, now_ms)
        access.forget()


@dataclass(frozen=True, slots=True)
class Taken:
    request: Request
    session: Session
    tries: Tries


def _begin(connection: sa.Connection, access: Access, request: Request, visitor: Visitor, now_ms: int) -> OwnerStep:
    contacts = {
        channel: masked(contact)
        for channel, contact in request.contacts.items()
        if Channel(channel) in access.outbox.channels.available
    }
    by_hand = OwnerNext.CODE if contacts else OwnerNext.PASSPHRASE
    account = Account(SessionKind.OWNER, request.request_id)
    cookie = start_session(connection, NewSession(SessionKind.OWNER, request.request_id, visitor, False), now_ms)
    _tell(connection, (Action.OWNER_OPEN, Outcome.SUCCESS), request.request_id, visitor, now_ms)
    if has_passkey(connection, account):
        return OwnerStep(request.request_id, OwnerNext.PASSKEY, cookie, contacts, by_hand)
    return OwnerStep(request.request_id, by_hand, cookie, contacts)


def _queue_code(connection: sa.Connection, access: Access, asked: tuple[str, str | None, str], now_ms: int) -> str:
    request_id, cookie, channel = asked
    request, session = half_open_owner(connection, access, request_id, cookie, now_ms)
    contact = request.contacts.get(channel)
    if contact is None or Channel(channel) not in access.outbox.channels.available:
        raise BadRequestError("A code cannot be sent this way.", parameter="channel")
    code = new_code(connection, access.vault, session, now_ms)
    content = access.wording(request.language).code(Channel(channel), code)
    access.outbox.put(connection, NewMessage(Channel(channel), "code", request_id, contact, content, LIFE_MS), now_ms)
    return masked(contact)


def _take_code(
    connection: sa.Connection, access: Access, given: tuple[str, str | None, str], visitor: Visitor, now_ms: int
) -> OwnerStep | None:
    request_id, cookie, code = given
    taken = _take(connection, access, request_id, cookie, now_ms)
    if not use_code(connection, access.vault, taken.session, code, now_ms):
        tell_failed_claim(connection, taken, visitor, now_ms)
        return None
    return finish(connection, taken, visitor, now_ms)


def _take(connection: sa.Connection, access: Access, request_id: str, cookie: str | None, now_ms: int) -> Taken:
    request, session = half_open_owner(connection, access, request_id, cookie, now_ms)
    return Taken(request, session, take_try(connection, session, now_ms))


def half_open_owner(
    connection: sa.Connection, access: Access, request_id: str, cookie: str | None, now_ms: int
) -> tuple[Request, Session]:
    """The living session that the link began, and its request; nothing is counted."""
    session = find_session(connection, SessionKind.OWNER, request_id, cookie or "", now_ms)
    request = find_request(connection, access.vault, request_id)
    if session is None or request is None:
        raise UnauthorizedError("Open the link first.")
    if request.state is RequestState.WITHDRAWN:
        raise WithdrawnLinkError("The consent was withdrawn; this link is switched off.")
    return request, session


def finish(connection: sa.Connection, taken: Taken, visitor: Visitor, now_ms: int) -> OwnerStep:
    """The last step was right: the owner's session opens, under a new cookie."""
    request_id = taken.request.request_id
    give_back(connection, SessionKind.OWNER, request_id, taken.tries)
    mark(connection, request_id, opened_ms=now_ms)
    cookie = open_session(connection, taken.session, now_ms)
    _tell(connection, (Action.OWNER_STEP, Outcome.SUCCESS), request_id, visitor, now_ms)
    return OwnerStep(request_id, OwnerNext.NONE, cookie)


def tell_failed_claim(connection: sa.Connection, taken: Taken, visitor: Visitor, now_ms: int) -> None:
    """Write a wrong try down, and tell the patient of it."""
    request_id = taken.request.request_id
    _tell(connection, (Action.OWNER_STEP, Outcome.REFUSED), request_id, visitor, now_ms)
    note(connection, request_id, "", Notice.CLAIM, now_ms)


def _tell(
    connection: sa.Connection, done: tuple[Action, Outcome], request_id: str, visitor: Visitor, now_ms: int
) -> None:
    event = Event(
        done[0],
        "owner",
        f"owner {request_id}",
        done[1],
        share_id=request_id,
        address=visitor.address,
        detail={"device": visitor.device},
    )
    append(connection, [event], now_ms)
