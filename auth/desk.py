"""What the desk does: takes requests, stands behind them, sends the link out, makes it anew, takes consent back.

A link is made and handed on in one go and can never be looked up again. Made anew, the one before is dead.
"""

from dataclasses import dataclass, replace

import sqlalchemy as sa

from archive.audit import Action
from archive.database.access_tables import shares
from archive.database.journey_tables import requests
from archive.delivery.outbox import Channel, MessageState, NewMessage, states, withdraw
from archive.errors import BadRequestError, ConflictError, NotFoundError
from archive.identifiers import parse_study_uid
from auth.access import Access
from auth.factors import new_password
from auth.matching import attach, match_waiting
from auth.passkeys import Account, remove_all
from auth.requests import (
    Names,
    NewRequest,
    OwnerLink,
    Request,
    RequestState,
    change_contacts,
    checked,
    find_request,
    insert_request,
    new_owner_link,
    tell,
    withdraw_request,
)
from auth.sessions import SessionKind

SECRET_LIFE_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Sending:
    """By which ways the link leaves: `channels` of email and sms, and on paper."""

    channels: frozenset[Channel] = frozenset()
    on_paper: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it. `link` only when it goes on paper; `passphrase` for a patient who cannot be sent a code."""

    request_id: str
    link: OwnerLink | None = None
    passphrase: str = ""


@dataclass(frozen=True, slots=True)
class DeskRow:
    """A request as the desk sees it: of what the patient shared only how many links there are."""

    request: Request
    messages: list[MessageState]
    living_shares: int


async def take_request(access: Access, new: NewRequest, sending: Sending) -> Made:
    """A request entered at the desk: kept, and its link sent out at once. A "no" is kept and nothing is sent."""
    form = checked(new, Names(access.vault, access.settings.country_code))
    if not form.wants_images:
        request_id = await access.database.write(
            insert_request, access.vault, form, RequestState.DECLINED, access.clock()
        )
        return Made(request_id)
    _check_sending(access, form, sending)
    passphrase, hashed = await _passphrase(access, form)

    def take(connection: sa.Connection, now_ms: int) -> tuple[str, OwnerLink]:
        request_id = insert_request(connection, access.vault, form, RequestState.WAITING, now_ms)
        link = _send_out(connection, access, (request_id, form.by), sending, now_ms)
        _set_passphrase(connection, request_id, hashed)
        match_waiting(connection, now_ms)
        return request_id, link

    request_id, link = await access.database.write(take, access.clock())
    access.outbox.wake()
    return Made(request_id, link if sending.on_paper else None, passphrase)


async def take_patients_request(access: Access, new: NewRequest) -> str:
    """A request from a patient's own telephone: the desk has to stand behind it before anything is sent."""
    form = checked(replace(new, by="patient"), Names(access.vault, access.settings.country_code))
    if form.wants_images and not (form.name and (form.email or form.mobile)):
        raise BadRequestError("Tell your name, and a mail address or a telephone number.", parameter="email")
    state = RequestState.NEW if form.wants_images else RequestState.DECLINED
    return await access.database.write(insert_request, access.vault, form, state, access.clock())


async def confirm_request(access: Access, request_id: str, numbers: tuple[str, str], sending: Sending, by: str) -> Made:
    """The desk says who this is: patient ID and accession number; the link is sent out."""
    request = await _require(access, request_id)
    if request.state is not RequestState.NEW:
        raise ConflictError("This request was dealt with before.")
    form = NewRequest(True, email=request.email, mobile=request.mobile)
    _check_sending(access, form, sending)
    passphrase, hashed = await _passphrase(access, form)

    def confirm(connection: sa.Connection, now_ms: int) -> OwnerLink:
        connection.execute(
            sa.update(requests)
            .where(requests.c.id == request_id)
            .values(state=str(RequestState.WAITING), patient_id=numbers[0].strip(), accession_number=numbers[1].strip())
        )
        link = _send_out(connection, access, (request_id, by), sending, now_ms)
        _set_passphrase(connection, request_id, hashed)
        match_waiting(connection, now_ms)
        return link

    link = await access.database.write(confirm, access.clock())
    access.outbox.wake()
    return Made(request_id, link if sending.on_paper else None, passphrase)


async def renew_link(
    access: Access, whose: tuple[str, str], contacts: tuple[str, str] | None, sending: Sending
) -> Made:
    """Send the link again: a new one, by right contacts if those were wrong; the old one is dead.

    `whose` is the request's id and who asks; `contacts` a mail address and a number, None for those on file.
    """
    request_id, by = whose
    request = await _require(access, request_id)
    email, mobile = contacts if contacts is not None else (request.email, request.mobile)
    form = checked(
        NewRequest(True, email=email, mobile=mobile, consented=True), Names(access.vault, access.settings.country_code)
    )
    _check_sending(access, form, sending)
    passphrase, hashed = await _passphrase(access, form)

    def renew(connection: sa.Connection, now_ms: int) -> OwnerLink:
        withdraw(connection, request_id, now_ms)
        if (form.email, form.mobile) != (request.email, request.mobile):
            change_contacts(connection, access.vault, request_id, (form.email, form.mobile), now_ms)
            remove_all(connection, Account(SessionKind.OWNER, request_id))  # made by whoever got the codes before
        _set_passphrase(connection, request_id, hashed)
        return _send_out(connection, access, (request_id, by), sending, now_ms)

    link = await access.database.write(renew, access.clock())
    access.forget()
    access.outbox.wake()
    return Made(request_id, link if sending.on_paper else None, passphrase)


async def attach_studies(access: Access, request_id: str, study_uids: list[str], by: str) -> None:
    """The desk says which studies are meant."""
    await _require(access, request_id)
    await access.database.write(attach, request_id, [parse_study_uid(uid) for uid in study_uids], by, access.clock())
    access.forget()


async def withdraw_consent(access: Access, request_id: str, by: str) -> None:
    """The patient took the consent back at the desk."""

    def take_back(connection: sa.Connection, now_ms: int) -> None:
        withdraw_request(connection, request_id, by, now_ms)
        withdraw(connection, request_id, now_ms)

    await access.database.write(take_back, access.clock())
    access.forget()


def desk_row(connection: sa.Connection, request: Request) -> DeskRow:
    """A request with the state of its messages."""
    living = connection.execute(
        sa.select(sa.func.count()).where(shares.c.owner_id == request.request_id, shares.c.ended_ms.is_(None))
    ).scalar_one()
    return DeskRow(request, states(connection, request.request_id), int(living))


def _send_out(
    connection: sa.Connection, access: Access, whose: tuple[str, str], sending: Sending, now_ms: int
) -> OwnerLink:
    request_id, by = whose
    link = new_owner_link(connection, request_id, by, now_ms)
    request = find_request(connection, access.vault, request_id)
    if request is None:
        raise NotFoundError
    wording = access.wording(request.language)
    for channel in sorted(sending.channels):
        content = wording.link(channel, link.url(access.public_base), link.typed())
        message = NewMessage(channel, "link", request_id, request.contacts[channel], content, SECRET_LIFE_MS)
        access.outbox.put(connection, message, now_ms)
    ways = [*sorted(sending.channels), *(["paper"] if sending.on_paper else [])]
    tell(connection, Action.REQUEST_CHANGE, request_id, by, {"sent": ",".join(ways)}, now_ms)
    return link


def _check_sending(access: Access, form: NewRequest, sending: Sending) -> None:
    if not sending.channels and not sending.on_paper:
        raise BadRequestError("Choose how the link is given: mail, text message, paper.", parameter="channels")
    contacts = {Channel.EMAIL: form.email, Channel.SMS: form.mobile}
    for channel in sending.channels:
        if not contacts[channel]:
            raise BadRequestError("For this way a contact is needed.", parameter=str(channel))
        if channel not in access.outbox.channels.available:
            raise BadRequestError("This way is not set up here.", parameter="channels")


async def _passphrase(access: Access, form: NewRequest) -> tuple[str, str | None]:
    """Words for a patient to whom no code can be sent."""
    contacts = {Channel.EMAIL: form.email, Channel.SMS: form.mobile}
    if any(contacts[channel] for channel in access.outbox.channels.available):
        return "", None
    passphrase = new_password()
    return passphrase, await access.passwords.hash(passphrase)


def _set_passphrase(connection: sa.Connection, request_id: str, hashed: str | None) -> None:
    connection.execute(sa.update(requests).where(requests.c.id == request_id).values(passphrase_argon2=hashed))


async def _require(access: Access, request_id: str) -> Request:
    request = await access.database.keyed(find_request, access.vault, request_id)
    if request is None:
        raise NotFoundError
    return request
