"""What an owner does with the images: shares them in one of four ways, sees who did what, switches off."""

import re
from dataclasses import dataclass, replace

import sqlalchemy as sa

from archive.audit import Action
from archive.database.access_tables import sessions, shares
from archive.database.journey_tables import access_requests
from archive.delivery.contacts import masked, parse_email, parse_mobile
from archive.delivery.outbox import Channel, NewMessage, withdraw
from archive.errors import BadRequestError, ConflictError, NotFoundError
from auth.access import Access
from auth.factors import new_password
from auth.limits import resume
from auth.notices import Notice, note
from auth.opening import half_open
from auth.people import CONTACT, NAME, PERSONAL, NewPerson, add_person, find_person
from auth.requests import Request, end_owned_shares, find_request, mark, tell
from auth.sessions import NewSession, SessionKind, Visitor, start_session
from auth.shares import (
    Ending,
    Link,
    Mode,
    NewShare,
    Share,
    create_share,
    end_share,
    find_share,
)
from auth.tickets import list_tickets

MAXIMUM_PEOPLE = 20
MAXIMUM_LIVING = 50
MAXIMUM_ASKING = 20
OWN_LABEL = "\u2022"
"""The label of the share through which owners look at their own images; pages show words for it."""


class NotVerifiedError(ConflictError):
    code = "not-checked"


@dataclass(frozen=True, slots=True)
class OwnerShare:
    """What the owner chose. `people` belong to code, totp and passkey; `password` "" has one made up."""

    mode: Mode
    label: str = ""
    ttl_s: int = 30 * 86_400
    password: str = ""
    people: tuple[NewPerson, ...] = ()
    maximum_opens: int | None = None
    may_download: bool = True
    with_reports: bool = True
    frozen: bool = False
    without_name: bool = False
    send_to: str = ""
    """Where to send the link, for link and password; people get theirs by their own contacts when `send`."""
    send: bool = False


@dataclass(frozen=True, slots=True)
class MadeLink:
    """One link, to be shown this once. `password` goes another way than the link."""

    name: str
    link: Link
    password: str = ""
    sent_to: str = ""


@dataclass(frozen=True, slots=True)
class SharedWith:
    """A share or a person's own link as the owner's page lists it."""

    share: Share
    name: str
    contact: str
    open_sessions: int
    ticket_count: int


@dataclass(frozen=True, slots=True)
class Asking:
    """Somebody who came by a link for named people, and asks to be one of them."""

    number: int
    share_id: str
    name: str
    contact: str
    created_ms: int


async def share_as_owner(access: Access, request: Request, wanted: OwnerShare) -> list[MadeLink]:
    """Make a link, or one for each person named. The link has to have been checked first."""
    if request.verified_ms is None:
        raise NotVerifiedError("Check your link first; then you can share.")
    if not request.study_uids:
        raise ConflictError("The images are not here yet.")
    if await access.database.read(_count_living, request.request_id) >= MAXIMUM_LIVING:
        raise ConflictError(f"At most {MAXIMUM_LIVING} links at a time; switch one off first.")
    if wanted.mode in (Mode.LINK, Mode.PASSWORD):
        made = [await _share_by_link(access, request, wanted)]
    else:
        made = await _share_with_people(access, request, wanted)
    await access.database.write(lambda connection: mark(connection, request.request_id, shared_ms=access.clock()))
    access.outbox.wake()
    return made


async def _share_by_link(access: Access, request: Request, wanted: OwnerShare) -> MadeLink:
    channel_and_contact = _contact(access, wanted.send_to) if wanted.send_to else None
    password = (wanted.password or new_password()) if wanted.mode is Mode.PASSWORD else None
    if password is not None:
        _check_not_known(request, password)
    new = _new_share(request, wanted, wanted.mode, password)
    link = await create_share(access.database, access.passwords, new, access.clock())
    sent_to = ""
    if channel_and_contact is not None:
        sent_to = await _send_link(access, request, link, channel_and_contact)
    return MadeLink("", link, password or "", sent_to)


async def _share_with_people(access: Access, request: Request, wanted: OwnerShare) -> list[MadeLink]:
    if not 1 <= len(wanted.people) <= MAXIMUM_PEOPLE:
        raise BadRequestError(f"Name 1 to {MAXIMUM_PEOPLE} people.", parameter="people")
    for person in wanted.people:  # all are looked at before the first link is made
        _contact(access, person.contact)
    parent_share = _new_share(request, wanted, Mode.NAMED, None)
    parent = await create_share(access.database, access.passwords, parent_share, access.clock())
    made = []
    for person in wanted.people:
        new = replace(_new_share(request, wanted, wanted.mode, None), parent_id=parent.share_id)
        link = await add_person(access, new, person)
        sent_to = ""
        if wanted.send:
            sent_to = await _send_link(access, request, link, _contact(access, person.contact))
        made.append(MadeLink(person.name.strip(), link, "", sent_to))
    return made


def _new_share(request: Request, wanted: OwnerShare, mode: Mode, password: str | None) -> NewShare:
    return NewShare(
        request.study_uids,
        label=_label(request, wanted),
        mode=mode,
        password=password,
        ttl_s=wanted.ttl_s,
        maximum_opens=None if mode is Mode.NAMED else wanted.maximum_opens,
        may_download=wanted.may_download,
        with_reports=wanted.with_reports,
        frozen=wanted.frozen,
        without_name=wanted.without_name,
        created_by=f"owner {request.request_id}",
        owner_id=request.request_id,
    )


def _label(request: Request, wanted: OwnerShare) -> str:
    """Who shares; without a name, nothing that has a part of it."""
    label = wanted.label or request.name
    parts = {part.casefold() for part in re.split(r"[\W_]+", request.name) if len(part) > 1}
    if wanted.without_name and parts & {part.casefold() for part in re.split(r"[\W_]+", label)}:
        return ""
    return label


async def _send_link(access: Access, request: Request, link: Link, to: tuple[Channel, str]) -> str:
    """Queue the link, never its password."""
    content = access.wording(request.language).share(to[0], link.url(access.public_base), link.typed())
    message = NewMessage(to[0], "share", link.share_id, to[1], content)
    await access.database.write(lambda connection: access.outbox.put(connection, message, access.clock()))
    return masked(to[1])


def _contact(access: Access, contact: str) -> tuple[Channel, str]:
    if "@" in contact:
        found = Channel.EMAIL, parse_email(contact)
    else:
        found = Channel.SMS, parse_mobile(contact, access.settings.country_code)
    if found[0] not in access.outbox.channels.available:
        raise BadRequestError("Nothing can be sent this way from here.", parameter="contact")
    return found


def _check_not_known(request: Request, password: str) -> None:
    """Refuse what stands on letters: the patient's own identifiers."""
    plain = "".join(filter(str.isalnum, password)).casefold()
    for known in (request.name, request.patient_id, request.accession_number, request.email, request.mobile):
        bare = "".join(filter(str.isalnum, known)).casefold()
        if len(bare) >= 4 and (bare in plain or plain in bare):
            raise BadRequestError("This password is on your papers; take another.", parameter="password")


def list_shared(connection: sa.Connection, access: Access, request_id: str, now_ms: int) -> list[SharedWith]:
    """Every share of an owner, people's links after the share they are under."""
    rows = connection.execute(
        sa.select(shares.c.id)
        .where(shares.c.owner_id == request_id, shares.c.label != OWN_LABEL)
        .order_by(
            sa.func.coalesce(shares.c.parent_id, shares.c.id), shares.c.parent_id.is_not(None), shares.c.created_ms
        )
    ).scalars()
    listed = []
    for share_id in rows:
        share, person = find_share(connection, share_id, now_ms), find_person(connection, access, share_id)
        if share is None:
            continue
        open_sessions = connection.execute(
            sa.select(sa.func.count()).where(
                sessions.c.kind == str(SessionKind.SHARE),
                sessions.c.subject == share_id,
                sessions.c.open.is_(True),
                sessions.c.ended_ms.is_(None),
                sessions.c.expires_ms > now_ms,
            )
        ).scalar_one()
        living_tickets = len(list_tickets(connection, share_id, now_ms))
        name, contact = (person.name, person.contact) if person else ("", "")
        listed.append(SharedWith(share, name, contact, open_sessions, living_tickets))
    return listed


async def end_as_owner(access: Access, request_id: str, share_id: str) -> None:
    """Switch one share, or one person's link, off."""

    def end(connection: sa.Connection, now_ms: int) -> None:
        _require_owned(connection, request_id, share_id)
        end_share(connection, share_id, Ending.REVOKED, f"owner {request_id}", now_ms)
        withdraw(connection, share_id, now_ms)

    await access.database.write(end, access.clock())
    access.forget()


async def end_all_as_owner(access: Access, request_id: str) -> int:
    """Switch everything off; how many links there were."""
    ending = (Ending.REVOKED, f"owner {request_id}")
    count = await access.database.write(end_owned_shares, request_id, ending, access.clock())
    access.forget()
    return count


async def resume_as_owner(access: Access, request_id: str, share_id: str) -> None:
    """Let tries go on after too many wrong ones."""

    def go_on(connection: sa.Connection, now_ms: int) -> None:
        _require_owned(connection, request_id, share_id)
        resume(connection, SessionKind.SHARE, share_id)
        tell(connection, Action.SHARE_CHANGE, request_id, f"owner {request_id}", {"resumed": share_id}, now_ms)

    await access.database.write(go_on, access.clock())


async def look_at(access: Access, request: Request, share_id: str | None, visitor: Visitor) -> tuple[str, str]:
    """A session of a share, as its recipients have it and with no right of the owner's: the share's id and a cookie.

    Without `share_id` the owner looks at all their own images; nobody else can open that share: nobody has its secret.
    """
    if share_id is None and not request.study_uids:
        raise ConflictError("The images are not here.")
    if share_id is None:
        share_id = await access.database.read(_own_share, request.request_id, request.study_uids, access.clock())
    if share_id is None:
        mode = NewShare(
            request.study_uids,
            label=OWN_LABEL,
            created_by=f"owner {request.request_id}",
            owner_id=request.request_id,
        )
        share_id = (await create_share(access.database, access.passwords, mode, access.clock())).share_id

    def begin(connection: sa.Connection, now_ms: int) -> str:
        share = _require_owned(connection, request.request_id, share_id, now_ms)
        if share.ended_reason is not None:
            raise NotFoundError
        share.require_running()
        return start_session(connection, NewSession(SessionKind.SHARE, share_id, visitor, True), now_ms)

    return share_id, await access.database.write(begin, access.clock())


async def ask_for_access(access: Access, share_id: str, cookie: str | None, person: NewPerson) -> None:
    """Somebody to whom a named person's link was passed on asks the owner; the answer is the same whoever they are."""
    channel, contact = _contact(access, person.contact)
    if not 1 <= len(person.name.strip()) <= 80 or not person.name.isprintable():
        raise BadRequestError("Tell your name, in at most 80 characters.", parameter="name")

    def ask(connection: sa.Connection, now_ms: int) -> None:
        share, _ = half_open(connection, (share_id, PERSONAL | {Mode.NAMED}), cookie, now_ms)
        asked_id = share.parent_id or share_id
        waiting = sa.select(sa.func.count()).where(
            access_requests.c.share_id == asked_id, access_requests.c.answered_ms.is_(None)
        )
        if connection.execute(waiting).scalar_one() >= MAXIMUM_ASKING:
            return
        connection.execute(
            sa.insert(access_requests).values(
                share_id=asked_id,
                created_ms=now_ms,
                name_encrypted=access.vault.encrypt(person.name.strip(), NAME),
                channel=str(channel),
                contact_encrypted=access.vault.encrypt(contact, CONTACT),
            )
        )
        note(connection, share.owner_id, asked_id, Notice.ASK, now_ms)

    await access.database.write(ask, access.clock())


def list_asking(connection: sa.Connection, access: Access, request_id: str) -> list[Asking]:
    """Who asks an owner for access and has no answer."""
    query = (
        sa.select(access_requests)
        .join(shares, shares.c.id == access_requests.c.share_id)
        .where(shares.c.owner_id == request_id, shares.c.ended_ms.is_(None), access_requests.c.answered_ms.is_(None))
        .order_by(access_requests.c.id)
    )
    return [
        Asking(
            row.id,
            row.share_id,
            access.vault.decrypt(row.name_encrypted, NAME),
            access.vault.decrypt(row.contact_encrypted, CONTACT),
            row.created_ms,
        )
        for row in connection.execute(query)
    ]


async def answer_asking(access: Access, request: Request, number: int, *, grant: bool) -> MadeLink | None:
    """Grant or refuse; who is granted gets an own link, with a code, by the contact they gave."""
    asking = await access.database.read(list_asking, access, request.request_id)
    found = next((one for one in asking if one.number == number), None)
    if found is None:
        raise NotFoundError
    if grant and not request.study_uids:
        raise ConflictError("The images are not here.")

    def answer(connection: sa.Connection, now_ms: int) -> Share | None:
        changed = connection.execute(
            sa.update(access_requests)
            .where(access_requests.c.id == number, access_requests.c.answered_ms.is_(None))
            .values(answered_ms=now_ms, answer="granted" if grant else "refused")
        )
        return find_share(connection, found.share_id, now_ms) if changed.rowcount else None

    parent = await access.database.write(answer, access.clock())
    if parent is None or not grant:
        return None
    left_s = max(60, (parent.expires_ms - access.clock()) // 1000)
    wanted = OwnerShare(
        Mode.CODE, parent.label, left_s, may_download=parent.may_download, with_reports=parent.with_reports
    )
    new = replace(_new_share(request, wanted, Mode.CODE, None), parent_id=parent.share_id)
    link = await add_person(access, new, NewPerson(found.name, found.contact))
    sent_to = await _send_link(access, request, link, _contact(access, found.contact))
    access.outbox.wake()
    return MadeLink(found.name, link, "", sent_to)


def require_request(connection: sa.Connection, access: Access, request_id: str) -> Request:
    """The owner's request; it is there, as the owner's session is."""
    request = find_request(connection, access.vault, request_id)
    if request is None:
        raise NotFoundError
    return request


def _require_owned(connection: sa.Connection, request_id: str, share_id: str, now_ms: int = 0) -> Share:
    share = find_share(connection, share_id, now_ms)
    if share is None or share.owner_id != request_id:
        raise NotFoundError
    return share


def _own_share(connection: sa.Connection, request_id: str, study_uids: tuple[str, ...], now_ms: int) -> str | None:
    query = sa.select(shares.c.id).where(
        shares.c.owner_id == request_id,
        shares.c.label == OWN_LABEL,
        shares.c.ended_ms.is_(None),
        shares.c.expires_ms > now_ms + 86_400_000,
    )
    for share_id in connection.execute(query).scalars():
        share = find_share(connection, share_id, now_ms)
        if share is not None and set(share.study_uids) == set(study_uids):
            return share.share_id
    return None


def _count_living(connection: sa.Connection, request_id: str) -> int:
    query = sa.select(sa.func.count()).where(shares.c.owner_id == request_id, shares.c.ended_ms.is_(None))
    return int(connection.execute(query).scalar_one())
