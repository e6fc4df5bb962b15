"""An owner's passkeys: set up once the page is open, they open it from then on without a code. The code stays a way in.

A passkey alone opens nothing: the owner's link comes first. Whoever sets one up is told of to the contact on file.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from archive.audit import Action
from auth.access import Access
from auth.limits import take_try
from auth.notices import Notice, note
from auth.owning import OwnerNext, OwnerStep, Taken, finish, half_open_owner, tell_failed_claim
from auth.passkeys import Account, WrongPasskeyError, register, registration_options, remove, sign_in, sign_in_options
from auth.requests import tell
from auth.sessions import SessionKind, Visitor


@dataclass(frozen=True, slots=True)
class Given:
    """What the authenticator answered, in which session of which owner."""

    request_id: str
    cookie: str | None
    answer: dict[str, Any]


def account_of(request_id: str) -> Account:
    return Account(SessionKind.OWNER, request_id)


async def owner_passkey_options(access: Access, request_id: str, cookie: str | None) -> dict[str, Any]:
    """What the authenticator is asked for: instead of a code, or, once the page is open, to make a passkey."""
    return await access.database.write(_options, access, (request_id, cookie), access.clock())


async def give_owner_passkey(access: Access, given: Given, visitor: Visitor) -> OwnerStep:
    """The authenticator's answer: opens the owner's page, or keeps a new passkey. Raises WrongPasskeyError."""
    step = await access.database.write(_take, access, given, visitor, access.clock())
    if step is None:
        raise WrongPasskeyError("This passkey is not right.")
    return step


async def remove_owner_passkey(access: Access, request_id: str, number: int) -> None:
    """The code alone again, or one of the other passkeys. Raises NotFoundError."""

    def take_away(connection: sa.Connection, now_ms: int) -> None:
        remove(connection, account_of(request_id), number)
        tell(connection, Action.REQUEST_CHANGE, request_id, f"owner {request_id}", {"passkey": "removed"}, now_ms)

    await access.database.write(take_away, access.clock())


def _options(connection: sa.Connection, access: Access, asked: tuple[str, str | None], now_ms: int) -> dict[str, Any]:
    request, session = half_open_owner(connection, access, *asked, now_ms)
    if session.open:
        name = f"{access.settings.site_name} {request.request_id}"
        return {"create": registration_options(connection, access.party, session, name, now_ms)}
    return {"get": sign_in_options(connection, access.party, session, now_ms)}


def _take(connection: sa.Connection, access: Access, given: Given, visitor: Visitor, now_ms: int) -> OwnerStep | None:
    request, session = half_open_owner(connection, access, given.request_id, given.cookie, now_ms)
    if session.open:
        register(connection, access.party, session, given.answer, now_ms)
        by = f"owner {request.request_id}"
        tell(connection, Action.REQUEST_CHANGE, request.request_id, by, {"passkey": "made"}, now_ms)
        note(connection, request.request_id, "", Notice.PASSKEY, now_ms)
        return OwnerStep(request.request_id, OwnerNext.NONE, given.cookie or "")
    taken = Taken(request, session, take_try(connection, session, now_ms))
    if not sign_in(connection, access.party, session, given.answer, now_ms):
        tell_failed_claim(connection, taken, visitor, now_ms)
        return None
    return finish(connection, taken, visitor, now_ms)
