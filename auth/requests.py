"""What a patient asked for: the request, the consent, the owner link, and the studies that belong to it.

A request is made at the desk or on the patient's own telephone. From the moment that the desk stands behind it, it has
one owner link, which says "not here yet" until the study has come.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from archive.audit import Action, Event, append
from archive.database.access_tables import shares
from archive.database.journey_tables import request_studies, requests
from archive.delivery.contacts import parse_email, parse_mobile
from archive.errors import BadRequestError, ConflictError, NotFoundError
from archive.identifiers import StudyUID
from archive.vault import Vault
from auth.holding import HeldStudy, held_studies, is_shown
from auth.sessions import SessionKind, end_sessions
from auth.shares import DAY_S, Ending, end_share
from auth.tokens import SECRET_LENGTH, SHARE_ID_LENGTH, decode_code, grouped, hash_secret, random_code

CONSENT_VERSION = "2026-11"
"""The version of the consent text in `archive.languages` (`consent.text`); changed with the text."""
LIFE_MS = 365 * DAY_S * 1000
MAXIMUM_NAME_LENGTH = 120
MAXIMUM_IDENTIFIER_LENGTH = 64
CONTACT = "request contact"


class RequestState(StrEnum):
    """NEW: sent by a patient's own phone, the desk has not looked yet. DECLINED: the patient said no."""

    NEW = "new"
    WAITING = "waiting"
    DOUBTFUL = "doubtful"
    MATCHED = "matched"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"

    @property
    def has_link(self) -> bool:
        return self in (RequestState.WAITING, RequestState.DOUBTFUL, RequestState.MATCHED)


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What the form says. `consented_by` is who entered the consent: "patient", or a member of staff."""

    wants_images: bool
    name: str = ""
    email: str = ""
    mobile: str = ""
    language: str = "en"
    helper: str = ""
    patient_id: str = ""
    accession_number: str = ""
    consented: bool = False
    by: str = "patient"


@dataclass(frozen=True, slots=True)
class OwnerLink:
    """A request's id and the secret of its owner link; the secret exists only here, when the link is made."""

    request_id: str
    secret: str

    def url(self, public_base: str) -> str:
        return f"{public_base}/o/{self.request_id}#{self.secret}"

    def typed(self) -> tuple[str, str]:
        return grouped(self.request_id), grouped(self.secret)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it stands, contacts decrypted."""

    request_id: str
    state: RequestState
    reason: str
    language: str
    name: str
    email: str
    mobile: str
    helper: str
    patient_id: str
    accession_number: str
    study_uids: tuple[StudyUID, ...]
    held: tuple[HeldStudy, ...]
    created_ms: int
    created_by: str
    changed_ms: int
    consent_ms: int | None
    consent_by: str
    consent_version: str
    expires_ms: int
    sent_ms: int | None
    opened_ms: int | None
    verified_ms: int | None
    shared_ms: int | None
    ready_ms: int | None
    check_ms: int | None
    check_result: str
    passphrase_argon2: str | None
    secret_sha256: bytes | None
    failures: int

    @property
    def contacts(self) -> dict[str, str]:
        """Channel → contact on file."""
        return {name: value for name, value in (("email", self.email), ("sms", self.mobile)) if value}


@dataclass(frozen=True, slots=True)
class Names:
    """How contacts are read: encrypted by the vault, national numbers taken for those of `country_code`."""

    vault: Vault
    country_code: str = ""


def checked(new: NewRequest, names: Names) -> NewRequest:
    """The form's values in one form, or BadRequestError naming the field. A "no" keeps no contact at all."""
    for field in ("name", "helper"):
        _check_text(getattr(new, field), field, MAXIMUM_NAME_LENGTH)
    for field in ("patient_id", "accession_number"):
        _check_text(getattr(new, field), field, MAXIMUM_IDENTIFIER_LENGTH)
    if not new.wants_images:
        return NewRequest(False, language=new.language, patient_id=new.patient_id.strip(),
                          accession_number=new.accession_number.strip(), by=new.by)  # fmt: skip
    if not new.consented:
        raise BadRequestError("Without the patient's consent nothing is made.", parameter="consented")
    return NewRequest(
        True,
        new.name.strip(),
        parse_email(new.email) if new.email.strip() else "",
        parse_mobile(new.mobile, names.country_code) if new.mobile.strip() else "",
        new.language,
        new.helper.strip(),
        new.patient_id.strip(),
        new.accession_number.strip(),
        True,
        new.by,
    )


def insert_request(connection: sa.Connection, vault: Vault, new: NewRequest, state: RequestState, now_ms: int) -> str:
    """Write a checked request; returns its id."""
    request_id = random_code(SHARE_ID_LENGTH)

    def sealed(text: str) -> bytes | None:
        return vault.encrypt(text, CONTACT) if text else None

    connection.execute(
        sa.insert(requests).values(
            id=request_id,
            created_ms=now_ms,
            created_by=new.by,
            changed_ms=now_ms,
            state=str(state),
            language=new.language,
            name_encrypted=sealed(new.name),
            email_encrypted=sealed(new.email),
            mobile_encrypted=sealed(new.mobile),
            helper_encrypted=sealed(new.helper),
            patient_id=new.patient_id,
            accession_number=new.accession_number,
            consent_version=CONSENT_VERSION if new.consented else "",
            consent_ms=now_ms if new.consented else None,
            consent_by=new.by if new.consented else "",
            expires_ms=now_ms + LIFE_MS,
        )
    )
    detail = {"state": str(state), "consent": CONSENT_VERSION if new.consented else "no"}
    tell(connection, Action.REQUEST_CREATE, request_id, new.by, detail, now_ms)
    return request_id


def new_owner_link(connection: sa.Connection, request_id: str, by: str, now_ms: int) -> OwnerLink:
    """Make the request's owner link, or make it anew: the one before is dead, and so is who had opened it."""
    link = OwnerLink(request_id, random_code(SECRET_LENGTH))
    changed = connection.execute(
        sa.update(requests)
        .where(requests.c.id == request_id, requests.c.state.in_([state for state in RequestState if state.has_link]))
        .values(secret_sha256=hash_secret(link.secret), changed_ms=now_ms, sent_ms=now_ms)
    )
    if not changed.rowcount:
        raise ConflictError("This request has no link: it was declined, withdrawn, or waits for the desk.")
    end_sessions(connection, SessionKind.OWNER, request_id, now_ms)
    tell(connection, Action.REQUEST_CHANGE, request_id, by, {"link": "made"}, now_ms)
    return link


def find_request(connection: sa.Connection, vault: Vault, request_id: str) -> Request | None:
    """The request with this id, in any state."""
    row = connection.execute(sa.select(requests).where(requests.c.id == request_id)).mappings().one_or_none()
    if row is None:
        return None
    return _request(row, _named(connection, request_id), vault)


def list_requests(connection: sa.Connection, vault: Vault, since_ms: int) -> list[Request]:
    """Requests that changed since then, and all that still wait for the desk, newest first."""
    open_states = [RequestState.NEW, RequestState.DOUBTFUL, RequestState.WAITING]
    query = sa.select(requests).where(sa.or_(requests.c.changed_ms >= since_ms, requests.c.state.in_(open_states)))
    rows = connection.execute(query.order_by(requests.c.created_ms.desc()).limit(500)).mappings().all()
    return [_request(row, _named(connection, row["id"]), vault) for row in rows]


def change_contacts(
    connection: sa.Connection, vault: Vault, request_id: str, contacts: tuple[str, str], now_ms: int
) -> None:
    """Put the right mail address and number on file; the link has to be made anew by the caller."""
    sealed = [vault.encrypt(contact, CONTACT) if contact else None for contact in contacts]
    connection.execute(
        sa.update(requests)
        .where(requests.c.id == request_id)
        .values(email_encrypted=sealed[0], mobile_encrypted=sealed[1], changed_ms=now_ms)
    )


def withdraw_request(connection: sa.Connection, request_id: str, by: str, now_ms: int) -> None:
    """The patient takes the consent back: every link of these studies that came of it is dead."""
    changed = connection.execute(
        sa.update(requests)
        .where(requests.c.id == request_id, requests.c.state != RequestState.WITHDRAWN)
        .values(state=str(RequestState.WITHDRAWN), secret_sha256=None, changed_ms=now_ms)
    )
    if not changed.rowcount:
        raise NotFoundError
    end_sessions(connection, SessionKind.OWNER, request_id, now_ms)
    end_owned_shares(connection, request_id, (Ending.WITHDRAWN, by), now_ms)
    tell(connection, Action.REQUEST_CHANGE, request_id, by, {"consent": "withdrawn"}, now_ms)


def end_owned_shares(connection: sa.Connection, request_id: str, ending: tuple[Ending, str], now_ms: int) -> int:
    """Switch off every living share of a request; how many there were."""
    owned = sa.select(shares.c.id).where(
        shares.c.owner_id == request_id, shares.c.parent_id.is_(None), shares.c.ended_ms.is_(None)
    )
    ids = list(connection.execute(owned).scalars())
    for share_id in ids:
        end_share(connection, share_id, *ending, now_ms)
    return len(ids)


def mark(connection: sa.Connection, request_id: str, **moments: Any) -> None:
    """Write down that a step of the link's life was taken; the first time stands."""
    for name, value in moments.items():
        column = requests.c[name]
        connection.execute(
            sa.update(requests).where(requests.c.id == request_id, column.is_(None)).values({name: value})
        )


def parse_request_id(text: str) -> str:
    request_id = decode_code(text, SHARE_ID_LENGTH)
    if request_id is None:
        raise NotFoundError
    return request_id


def tell(
    connection: sa.Connection, action: Action, request_id: str, by: str, detail: dict[str, str], now_ms: int
) -> None:
    """Write what happened to a request into the trail."""
    kind = "owner" if by in ("patient", f"owner {request_id}") else "staff"
    append(connection, [Event(action, kind, by, share_id=request_id, detail=detail)], now_ms)


def _study_uids(connection: sa.Connection, request_id: str) -> tuple[StudyUID, ...]:
    query = sa.select(request_studies.c.study_uid).where(
        request_studies.c.request_id == request_id, is_shown(request_studies)
    )
    return tuple(StudyUID(uid) for uid in connection.execute(query.order_by(request_studies.c.study_uid)).scalars())


def _named(connection: sa.Connection, request_id: str) -> tuple[tuple[StudyUID, ...], tuple[HeldStudy, ...]]:
    return _study_uids(connection, request_id), held_studies(connection, request_id)


def _request(row: sa.RowMapping, named: tuple[tuple[StudyUID, ...], tuple[HeldStudy, ...]], vault: Vault) -> Request:
    def opened(name: str) -> str:
        sealed = row[f"{name}_encrypted"]
        return vault.decrypt(sealed, CONTACT) if sealed else ""

    same = (
        "reason",
        "language",
        "patient_id",
        "accession_number",
        "created_ms",
        "created_by",
        "changed_ms",
        "consent_ms",
        "consent_by",
        "consent_version",
        "expires_ms",
        "sent_ms",
        "opened_ms",
        "verified_ms",
        "shared_ms",
        "ready_ms",
        "check_ms",
        "check_result",
        "passphrase_argon2",
        "secret_sha256",
        "failures",
    )
    taken: dict[str, Any] = {name: row[name] for name in same}
    return Request(
        request_id=row["id"],
        state=RequestState(row["state"]),
        name=opened("name"),
        email=opened("email"),
        mobile=opened("mobile"),
        helper=opened("helper"),
        study_uids=named[0],
        held=named[1],
        **taken,
    )


def _check_text(text: str, field: str, maximum: int) -> None:
    if len(text) > maximum or not (text.isprintable() or not text):
        raise BadRequestError(f"{field} is at most {maximum} printable characters.", parameter=field)
