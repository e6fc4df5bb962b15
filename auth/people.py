"""Named people: each has a link of their own, and passes a step that only they can.

Code: six digits to the contact that the owner named. Authenticator app and passkey: the first time a code, then the
setting up; from then on the app or the passkey alone. Whether the visitor's guess of a contact is right is never told:
nobody is asked for one.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from archive.database.journey_tables import people
from archive.delivery.contacts import masked, parse_email, parse_mobile
from archive.delivery.outbox import Channel, NewMessage
from archive.errors import BadRequestError, ForbiddenError, UnauthorizedError
from auth.access import Access
from auth.codes import CODE, LIFE_MS, new_code, use_code
from auth.limits import give_back
from auth.opening import (
    Next,
    Step,
    finish_step,
    half_open,
    next_step,
    take_step,
    tell_failure,
)
from auth.passkeys import register, registration_options, sign_in, sign_in_options
from auth.sessions import SessionKind, Visitor, pass_step
from auth.shares import Link, Mode, NewShare, insert_share
from auth.tokens import SECRET_LENGTH, SHARE_ID_LENGTH, random_code
from auth.totp import matching_step, new_seed, setup_uri

PERSONAL = frozenset({Mode.CODE, Mode.TOTP, Mode.PASSKEY})
CONTACT, NAME, SEED = "person contact", "person name", "person seed"
MAXIMUM_NAME_LENGTH = 80


class WrongCodeError(ForbiddenError):
    code = "wrong-code"


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Somebody whom the owner names. `contact` is a mail address or a telephone number."""

    name: str
    contact: str

    def channel_and_contact(self, country_code: str) -> tuple[Channel, str]:
        if "@" in self.contact:
            return Channel.EMAIL, parse_email(self.contact)
        return Channel.SMS, parse_mobile(self.contact, country_code)


@dataclass(frozen=True, slots=True)
class Person:
    """A named person as it stands, decrypted."""

    share_id: str
    name: str
    channel: Channel
    contact: str
    seed: str
    totp_step: int
    enrolled_ms: int | None


async def add_person(access: Access, new: NewShare, person: NewPerson) -> Link:
    """Make a person's own link under a share for named people; `new` is that share with the person's mode."""
    if new.mode not in PERSONAL or new.parent_id is None:
        raise BadRequestError("A named person gets a code, an app or a passkey.", parameter="mode")
    if not 1 <= len(person.name.strip()) <= MAXIMUM_NAME_LENGTH or not person.name.isprintable():
        raise BadRequestError(f"A name has 1 to {MAXIMUM_NAME_LENGTH} characters.", parameter="name")
    channel, contact = person.channel_and_contact(access.settings.country_code)
    if channel not in access.outbox.channels.available:
        raise BadRequestError("Codes cannot be sent this way from here.", parameter="contact")
    link = Link(random_code(SHARE_ID_LENGTH), random_code(SECRET_LENGTH))
    row = {
        "share_id": link.share_id,
        "name_encrypted": access.vault.encrypt(person.name.strip(), NAME),
        "channel": str(channel),
        "contact_encrypted": access.vault.encrypt(contact, CONTACT),
    }

    def insert(connection: sa.Connection, now_ms: int) -> None:
        insert_share(connection, new, link, None, now_ms)
        connection.execute(sa.insert(people).values(**row))

    await access.database.write(insert, access.clock())
    return link


def find_person(connection: sa.Connection, access: Access, share_id: str) -> Person | None:
    row = connection.execute(sa.select(people).where(people.c.share_id == share_id)).one_or_none()
    if row is None:
        return None
    return Person(
        share_id,
        access.vault.decrypt(row.name_encrypted, NAME),
        Channel(row.channel),
        access.vault.decrypt(row.contact_encrypted, CONTACT),
        access.vault.decrypt(row.totp_encrypted, SEED) if row.totp_encrypted else "",
        row.totp_step,
        row.enrolled_ms,
    )


async def send_code(access: Access, share_id: str, cookie: str | None, language: str) -> str:
    """Send the person of this link a code; the masked contact it went to."""
    contact = await access.database.write(_queue_code, access, (share_id, cookie, language), access.clock())
    access.outbox.wake()
    return contact


async def give_code(access: Access, share_id: str, cookie: str | None, code: str, visitor: Visitor) -> Step:
    """Take the code; the session opens, or the app or passkey is set up next. Raises WrongCodeError."""
    return _right(await access.database.write(_take_code, access, (share_id, cookie, code), visitor, access.clock()))


async def give_totp(access: Access, share_id: str, cookie: str | None, code: str, visitor: Visitor) -> Step:
    """Take an app's code, also the first one that proves the setting up. Raises WrongCodeError."""
    return _right(await access.database.write(_take_totp, access, (share_id, cookie, code), visitor, access.clock()))


async def passkey_options(access: Access, share_id: str, cookie: str | None) -> dict[str, Any]:
    """What the authenticator is asked: to sign in, or, after a code, to make a passkey."""
    return await access.database.write(_options, access, share_id, cookie, access.clock())


async def give_passkey(
    access: Access, share_id: str, cookie: str | None, answer: dict[str, Any], visitor: Visitor
) -> Step:
    """Take the authenticator's answer. Raises WrongPasskeyError, WrongCodeError."""
    given = (share_id, cookie, answer)
    return _right(await access.database.write(_take_passkey, access, given, visitor, access.clock()))


def _right(step: Step | None) -> Step:
    """A wrong try was written down, in a transaction that stands; now it is refused."""
    if step is None:
        raise WrongCodeError("This code is not right, or no longer.", parameter="code")
    return step


def _queue_code(connection: sa.Connection, access: Access, asked: tuple[str, str | None, str], now_ms: int) -> str:
    share_id, cookie, language = asked
    share, session = half_open(connection, (share_id, PERSONAL), cookie, now_ms)
    person = find_person(connection, access, share_id)
    if person is None or next_step(connection, share) is not Next.CODE:
        raise UnauthorizedError("Open the link first.")
    code = new_code(connection, access.vault, session, now_ms)
    content = access.wording(language).code(person.channel, code)
    message = NewMessage(person.channel, "code", share_id, person.contact, content, LIFE_MS)
    access.outbox.put(connection, message, now_ms)
    return masked(person.contact)


def _take_code(
    connection: sa.Connection, access: Access, given: tuple[str, str | None, str], visitor: Visitor, now_ms: int
) -> Step | None:
    share_id, cookie, code = given
    taken = take_step(connection, (share_id, PERSONAL), cookie, now_ms)
    if next_step(connection, taken.share) is not Next.CODE:
        raise UnauthorizedError("Open the link first.")
    if not use_code(connection, access.vault, taken.session, code, now_ms):
        tell_failure(connection, taken, visitor, now_ms)
        return None
    if taken.share.mode is Mode.CODE:
        return finish_step(connection, taken, visitor, now_ms)
    give_back(connection, SessionKind.SHARE, share_id, taken.tries)
    token = pass_step(connection, taken.session, CODE, now_ms)
    if taken.share.mode is Mode.PASSKEY:
        return Step(share_id, Next.SETUP_PASSKEY, token)
    seed = new_seed()
    sealed = access.vault.encrypt(seed, SEED)
    connection.execute(sa.update(people).where(people.c.share_id == share_id).values(totp_encrypted=sealed))
    uri = setup_uri(seed, f"share {share_id}", access.settings.site_name)
    return Step(share_id, Next.SETUP_TOTP, token, {"seed": seed, "uri": uri})


def _take_totp(
    connection: sa.Connection, access: Access, given: tuple[str, str | None, str], visitor: Visitor, now_ms: int
) -> Step | None:
    share_id, cookie, code = given
    taken = take_step(connection, (share_id, frozenset({Mode.TOTP})), cookie, now_ms)
    person = find_person(connection, access, share_id)
    if person is None or not person.seed or (person.enrolled_ms is None and taken.session.passed != CODE):
        raise UnauthorizedError("Open the link first.")
    step = matching_step(person.seed, code, now_ms, person.totp_step)
    if step is None:
        tell_failure(connection, taken, visitor, now_ms)
        return None
    _enrol(connection, share_id, now_ms, totp_step=step)
    return finish_step(connection, taken, visitor, now_ms)


def _options(
    connection: sa.Connection, access: Access, share_id: str, cookie: str | None, now_ms: int
) -> dict[str, Any]:
    share, session = half_open(connection, (share_id, frozenset({Mode.PASSKEY})), cookie, now_ms)
    if next_step(connection, share) is Next.PASSKEY:
        return {"get": sign_in_options(connection, access.party, session, now_ms)}
    if session.passed != CODE:
        raise UnauthorizedError("Open the link first.")
    return {"create": registration_options(connection, access.party, session, f"share {share_id}", now_ms)}


def _take_passkey(
    connection: sa.Connection,
    access: Access,
    given: tuple[str, str | None, dict[str, Any]],
    visitor: Visitor,
    now_ms: int,
) -> Step | None:
    share_id, cookie, answer = given
    taken = take_step(connection, (share_id, frozenset({Mode.PASSKEY})), cookie, now_ms)
    if next_step(connection, taken.share) is Next.PASSKEY:
        if not sign_in(connection, access.party, taken.session, answer, now_ms):
            tell_failure(connection, taken, visitor, now_ms)
            return None
    elif taken.session.passed == CODE:
        register(connection, access.party, taken.session, answer, now_ms)
        _enrol(connection, share_id, now_ms)
    else:
        raise UnauthorizedError("Open the link first.")
    return finish_step(connection, taken, visitor, now_ms)


def _enrol(connection: sa.Connection, share_id: str, now_ms: int, **values: int) -> None:
    first = sa.func.coalesce(people.c.enrolled_ms, now_ms)
    connection.execute(sa.update(people).where(people.c.share_id == share_id).values(enrolled_ms=first, **values))
