"""Passkeys (WebAuthn): registered after another step was passed; the relying party is the public base's host."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
import webauthn
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from archive.database.journey_tables import passkeys
from archive.errors import ForbiddenError, NotFoundError
from auth.codes import new_challenge, take_challenge
from auth.sessions import Session, SessionKind

MAXIMUM_PASSKEYS = 10


class WrongPasskeyError(ForbiddenError):
    code = "wrong-passkey"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose passkeys: a share's, an owner's, a staff member's."""

    kind: SessionKind
    subject: str

    @property
    def owns(self) -> sa.ColumnElement[bool]:
        return sa.and_(passkeys.c.kind == str(self.kind), passkeys.c.subject == self.subject)


@dataclass(frozen=True, slots=True)
class Kept:
    """A passkey as its owner sees it."""

    number: int
    created_ms: int
    used_ms: int | None


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who we are to an authenticator."""

    name: str
    origin: str

    @property
    def rp_id(self) -> str:
        return urlsplit(self.origin).hostname or "localhost"


def registration_options(
    connection: sa.Connection, party: RelyingParty, session: Session, account: str, now_ms: int
) -> dict[str, Any]:
    """What `navigator.credentials.create` is asked for."""
    options = webauthn.generate_registration_options(
        rp_id=party.rp_id,
        rp_name=party.name,
        user_name=account,
        user_id=f"{session.kind}:{session.subject}".encode(),
        challenge=new_challenge(connection, session, now_ms),
        exclude_credentials=_descriptors(connection, session),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return dict(json.loads(webauthn.options_to_json(options)))


def register(
    connection: sa.Connection, party: RelyingParty, session: Session, answer: dict[str, Any], now_ms: int
) -> None:
    """Keep the passkey that the authenticator made. Raises WrongPasskeyError."""
    challenge = take_challenge(connection, session, now_ms)
    if challenge is None or len(_descriptors(connection, session)) >= MAXIMUM_PASSKEYS:
        raise WrongPasskeyError("The passkey could not be set up; start again.")
    try:
        verified = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise WrongPasskeyError("The passkey could not be set up; start again.") from error
    connection.execute(
        sa.insert(passkeys).values(
            kind=str(session.kind),
            subject=session.subject,
            credential_id=verified.credential_id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            created_ms=now_ms,
        )
    )


def sign_in_options(connection: sa.Connection, party: RelyingParty, session: Session, now_ms: int) -> dict[str, Any]:
    """What `navigator.credentials.get` is asked for."""
    options = webauthn.generate_authentication_options(
        rp_id=party.rp_id,
        challenge=new_challenge(connection, session, now_ms),
        allow_credentials=_descriptors(connection, session),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return dict(json.loads(webauthn.options_to_json(options)))


def sign_in(
    connection: sa.Connection, party: RelyingParty, session: Session, answer: dict[str, Any], now_ms: int
) -> bool:
    """Whether the authenticator's answer is right for this session's challenge and one of its subject's passkeys."""
    challenge = take_challenge(connection, session, now_ms)
    try:
        credential_id = webauthn.base64url_to_bytes(str(answer.get("rawId", "")))
    except ValueError:
        return False
    kept = connection.execute(
        sa.select(passkeys).where(passkeys.c.credential_id == credential_id, _account(session).owns)
    ).one_or_none()
    if challenge is None or kept is None:
        return False
    try:
        verified = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            credential_public_key=kept.public_key,
            credential_current_sign_count=kept.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        return False
    connection.execute(
        sa.update(passkeys).where(passkeys.c.id == kept.id).values(sign_count=verified.new_sign_count, used_ms=now_ms)
    )
    return True


def has_passkey(connection: sa.Connection, account: Account) -> bool:
    return connection.execute(sa.select(passkeys.c.id).where(account.owns).limit(1)).first() is not None


def list_passkeys(connection: sa.Connection, account: Account) -> list[Kept]:
    """The account's passkeys, oldest first."""
    query = sa.select(passkeys.c.id, passkeys.c.created_ms, passkeys.c.used_ms).where(account.owns)
    return [Kept(*row) for row in connection.execute(query.order_by(passkeys.c.id))]


def remove(connection: sa.Connection, account: Account, number: int) -> None:
    """Take one passkey of the account away. Raises NotFoundError."""
    gone = connection.execute(sa.delete(passkeys).where(account.owns, passkeys.c.id == number))
    if not gone.rowcount:
        raise NotFoundError


def remove_all(connection: sa.Connection, account: Account) -> None:
    """Whoever the account belonged to may be somebody else."""
    connection.execute(sa.delete(passkeys).where(account.owns))


def _account(session: Session) -> Account:
    return Account(session.kind, session.subject)


def _descriptors(connection: sa.Connection, session: Session) -> list[PublicKeyCredentialDescriptor]:
    ids = connection.execute(sa.select(passkeys.c.credential_id).where(_account(session).owns)).scalars()
    return [PublicKeyCredentialDescriptor(id=credential_id) for credential_id in ids]
