"""One-time codes of six digits, sent to a contact: for 10 minutes, for one use, for this session alone.

A new code ends the one before. At most `TRIES` tries are taken from a code, each before it is looked at, so that tries
at the same time cannot be more. At most `SENDS_PER_HOUR` codes are sent for one link or person.
"""

import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from archive.database.journey_tables import codes
from archive.errors import TooManyRequestsError
from archive.vault import Vault
from auth.sessions import Session

DIGITS = 6
LIFE_MS = 10 * 60_000
TRIES = 5
SENDS_PER_HOUR = 3
HOUR_MS = 3_600_000
CODE, CHALLENGE = "code", "challenge"


@dataclass(frozen=True, slots=True)
class CodeKey:
    """What a code is bound to."""

    session: Session
    purpose: str = CODE

    def digest(self, vault: Vault, code: str) -> bytes:
        bound = f"{self.session.kind}/{self.session.subject}/{self.session.session_id}/{code}"
        return vault.digest(bound, self.purpose)


def new_code(connection: sa.Connection, vault: Vault, session: Session, now_ms: int) -> str:
    """Make a code for this session; the ones before it end. Raises TooManyRequestsError."""
    sent = connection.execute(
        sa.select(sa.func.count()).where(
            codes.c.kind == str(session.kind),
            codes.c.subject == session.subject,
            codes.c.purpose == CODE,
            codes.c.created_ms > now_ms - HOUR_MS,
        )
    ).scalar_one()
    if sent >= SENDS_PER_HOUR:
        raise TooManyRequestsError("Three codes were sent within an hour; wait before the next.", retry_after_s=1200)
    code = "".join(secrets.choice("0123456789") for _ in range(DIGITS))
    key = CodeKey(session)
    _end_earlier(connection, key, now_ms)
    _insert(connection, key, key.digest(vault, code), now_ms)
    return code


def use_code(connection: sa.Connection, vault: Vault, session: Session, code: str, now_ms: int) -> bool:
    """Take a try of the session's living code; True, once, when the code is right."""
    key = CodeKey(session)
    taken = connection.execute(
        sa.update(codes)
        .where(*_living(key, now_ms), codes.c.tries < TRIES)
        .values(tries=codes.c.tries + 1)
        .returning(codes.c.id, codes.c.code_digest)
    ).one_or_none()
    digits = "".join(character for character in code if character.isdigit())
    if taken is None or not secrets.compare_digest(taken.code_digest, key.digest(vault, digits)):
        return False
    connection.execute(sa.update(codes).where(codes.c.id == taken.id).values(ended_ms=now_ms))
    return True


def new_challenge(connection: sa.Connection, session: Session, now_ms: int) -> bytes:
    """A challenge for a passkey, for this session; the ones before it end."""
    key, challenge = CodeKey(session, CHALLENGE), secrets.token_bytes(32)
    _end_earlier(connection, key, now_ms)
    _insert(connection, key, challenge, now_ms)
    return challenge


def take_challenge(connection: sa.Connection, session: Session, now_ms: int) -> bytes | None:
    """The session's living challenge; it is good for one answer."""
    taken: bytes | None = connection.execute(
        sa.update(codes)
        .where(*_living(CodeKey(session, CHALLENGE), now_ms))
        .values(ended_ms=now_ms)
        .returning(codes.c.code_digest)
    ).scalar_one_or_none()
    return taken


def _living(key: CodeKey, now_ms: int) -> list[sa.ColumnElement[bool]]:
    return [
        codes.c.session_id == key.session.session_id,
        codes.c.kind == str(key.session.kind),
        codes.c.subject == key.session.subject,
        codes.c.purpose == key.purpose,
        codes.c.ended_ms.is_(None),
        codes.c.expires_ms > now_ms,
    ]


def _end_earlier(connection: sa.Connection, key: CodeKey, now_ms: int) -> None:
    earlier = _living(key, now_ms)
    if key.purpose == CODE:  # of whatever session: the newest message in the mailbox is the one that counts
        earlier = earlier[1:]
    connection.execute(sa.update(codes).where(*earlier).values(ended_ms=now_ms))


def _insert(connection: sa.Connection, key: CodeKey, digest: bytes, now_ms: int) -> None:
    connection.execute(
        sa.insert(codes).values(
            session_id=key.session.session_id,
            kind=str(key.session.kind),
            subject=key.session.subject,
            purpose=key.purpose,
            code_digest=digest,
            created_ms=now_ms,
            expires_ms=now_ms + LIFE_MS,
        )
    )
