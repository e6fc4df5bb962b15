"""Secrets made, hashed and compared; tokens of machines.

A secret of 128 bits or more is kept as its SHA-256: a slow hash adds nothing where nothing can be guessed.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from archive.audit import Action, Event, append
from archive.database.access_tables import tokens
from archive.database.engine import Database
from archive.errors import BadRequestError, NotFoundError

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SHARE_ID_LENGTH = 10
SECRET_LENGTH = 26
"""26 characters of 5 bits: 130 bits."""
MAXIMUM_NAME_LENGTH = 100
TOKEN_PREFIX = "lbx_"  # noqa: S105 - tells a token from a ticket; secret scanners look for such a mark
_MISREAD = str.maketrans("ILO", "110", "- \t\r\n")


class Role(StrEnum):
    """What a machine may do: `store` only adds, `read` sees everything, `admin` both and the extensions."""

    STORE = "store"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a machine's token; not the token."""

    token_id: int
    name: str
    roles: frozenset[Role]
    created_ms: int
    expires_ms: int | None
    used_ms: int | None
    ended_ms: int | None


def random_code(length: int) -> str:
    """Characters of Crockford's alphabet, 5 bits each, from the system's generator."""
    return "".join(secrets.choice(CROCKFORD) for _ in range(length))


def decode_code(text: str, length: int) -> str | None:
    """The code as made, however a person typed it (case, dashes, blanks, I, L, O); None when it cannot be one."""
    code = text.upper().translate(_MISREAD)
    return code if len(code) == length and all(character in CROCKFORD for character in code) else None


def grouped(code: str) -> str:
    """The code in groups that can be read aloud: 10 as 5-5, 26 as 5-5-5-5-6."""
    groups = [code[start : start + 5] for start in range(0, len(code), 5)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return "-".join(groups)


def hash_secret(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def is_secret(secret: str, secret_sha256: bytes) -> bool:
    """Whether the secret has this hash, in a time that does not tell how nearly."""
    return secrets.compare_digest(hash_secret(secret), secret_sha256)


def parse_roles(names: Iterable[str]) -> frozenset[Role]:
    try:
        roles = frozenset(Role(name) for name in names)
    except ValueError:
        raise BadRequestError("role is one of store, read, admin.", parameter="role") from None
    if not roles:
        raise BadRequestError("A token needs at least one role: store, read, admin.", parameter="role")
    return roles


async def create_token(
    database: Database, name: str, roles: frozenset[Role], now_ms: int, *, ttl_s: int | None = None
) -> str:
    """Make a token and return it: this is the only time that it can be seen."""
    if not 1 <= len(name) <= MAXIMUM_NAME_LENGTH or not name.isprintable():
        raise BadRequestError(f"name is 1 to {MAXIMUM_NAME_LENGTH} printable characters.", parameter="name")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = {
        "name": name,
        "token_sha256": hash_secret(token),
        "roles": " ".join(sorted(roles)),
        "created_ms": now_ms,
        "expires_ms": None if ttl_s is None else now_ms + ttl_s * 1000,
    }
    await database.write(_insert, row)
    return token


async def list_tokens(database: Database) -> list[Token]:
    return await database.read(_select_all)


async def revoke_token(database: Database, token_id: int, now_ms: int) -> None:
    """End a token; the next request with it is refused."""
    await database.write(_end, token_id, now_ms)


def find_token(connection: sa.Connection, token: str, now_ms: int) -> Token | None:
    """The living token that this text is."""
    row = connection.execute(
        sa.select(tokens).where(tokens.c.token_sha256 == hash_secret(token), tokens.c.ended_ms.is_(None))
    ).one_or_none()
    if row is None or (row.expires_ms is not None and row.expires_ms <= now_ms):
        return None
    return _token(row)


def touch_token(connection: sa.Connection, token_id: int, now_ms: int) -> None:
    connection.execute(sa.update(tokens).where(tokens.c.id == token_id).values(used_ms=now_ms))


def _insert(connection: sa.Connection, row: dict[str, object]) -> None:
    token_id = connection.execute(sa.insert(tokens).values(**row).returning(tokens.c.id)).scalar_one()
    _told(connection, Action.TOKEN_CREATE, token_id, int(str(row["created_ms"])), str(row["roles"]))


def _select_all(connection: sa.Connection) -> list[Token]:
    return [_token(row) for row in connection.execute(sa.select(tokens).order_by(tokens.c.id))]


def _end(connection: sa.Connection, token_id: int, now_ms: int) -> None:
    ended = connection.execute(
        sa.update(tokens).where(tokens.c.id == token_id, tokens.c.ended_ms.is_(None)).values(ended_ms=now_ms)
    )
    if not ended.rowcount:
        raise NotFoundError("There is no living token with this number.", parameter="token")
    _told(connection, Action.TOKEN_REVOKE, token_id, now_ms)


def _told(connection: sa.Connection, action: Action, token_id: int, now_ms: int, roles: str = "") -> None:
    detail = {"token": str(token_id)} | ({"roles": roles} if roles else {})
    append(connection, [Event(action, "operator", "command line", detail=detail)], now_ms)


def _token(row: sa.Row[tuple[object, ...]]) -> Token:
    fields = row._mapping
    return Token(
        fields["id"],
        fields["name"],
        frozenset(Role(name) for name in fields["roles"].split()),
        fields["created_ms"],
        fields["expires_ms"],
        fields["used_ms"],
        fields["ended_ms"],
    )
