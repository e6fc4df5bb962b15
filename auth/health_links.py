"""SMART Health Links of a share (HL7 SMART Health Cards and Links, flags L and P): a passcode, a lifetime of tries.

The manifest gives one file, a FHIR Bundle encrypted (JWE, `dir`, A256GCM) with the key that only the link carries. The
bundle's Endpoint is a ticket, made anew each time the manifest is asked for.
"""

import base64
import json
import secrets
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from archive.database.journey_tables import health_links
from archive.errors import BadRequestError, NotFoundError
from auth.access import Access
from auth.factors import check_new_password
from auth.shares import Share, find_share
from auth.tokens import hash_secret

TRIES = 10
MAXIMUM_URL_LENGTH = 128
LABEL = "Images"
KEY = "health link key"


async def make_health_link(access: Access, share: Share, passcode: str) -> str:
    """Make a link `shlink:/…`; it ends with its share."""
    check_new_password(passcode)
    manifest, key = secrets.token_urlsafe(32), secrets.token_bytes(32)
    url = f"{access.public_base}/shl/{manifest}"
    if len(url) > MAXIMUM_URL_LENGTH:
        raise BadRequestError("The public address is too long for a SMART Health Link.")
    row = {
        "share_id": share.share_id,
        "manifest_sha256": hash_secret(manifest),
        "key_encrypted": access.vault.encrypt(_text(key), KEY),
        "passcode_argon2": await access.passwords.hash(passcode),
        "tries_left": TRIES,
        "created_ms": access.clock(),
    }
    await access.database.write(lambda connection: connection.execute(sa.insert(health_links).values(**row)).rowcount)
    payload = {"url": url, "flag": "LP", "key": _text(key), "exp": share.expires_ms // 1000, "label": LABEL, "v": 1}
    return f"shlink:/{_text(json.dumps(payload, separators=(',', ':')).encode())}"


async def open_health_link(access: Access, manifest: str, passcode: str) -> tuple[Share, bytes] | int:
    """The share and the key, when the passcode is right; else how many tries are left. NotFoundError: no such link.

    A try is taken before the passcode is looked at, so that tries at the same time cannot be more than there are.
    """
    row = await access.database.write(_take, manifest)
    share = await access.database.keyed(find_share, row["share_id"], access.clock()) if row is not None else None
    if row is None or share is None or share.ended_reason is not None:
        raise NotFoundError
    if row["tries_left"] < 0 or not await access.passwords.is_right(passcode, row["passcode_argon2"]):
        return max(0, int(row["tries_left"]))
    await access.database.write(_give_back, row["id"])
    return share, _bytes(access.vault.decrypt(row["key_encrypted"], KEY))


def encrypt_file(document: dict[str, Any], key: bytes) -> str:
    """The document as JWE in compact form (RFC 7516), key agreed directly, AES-256-GCM."""
    header = _text(json.dumps({"alg": "dir", "enc": "A256GCM", "cty": "application/fhir+json"}).encode())
    nonce = secrets.token_bytes(12)
    sealed = AESGCM(key).encrypt(nonce, json.dumps(document).encode(), header.encode())
    return f"{header}..{_text(nonce)}.{_text(sealed[:-16])}.{_text(sealed[-16:])}"


def _take(connection: sa.Connection, manifest: str) -> sa.RowMapping | None:
    ours = health_links.c.manifest_sha256 == hash_secret(manifest)
    taken = (
        sa.update(health_links)
        .where(ours, health_links.c.tries_left > 0)
        .values(tries_left=health_links.c.tries_left - 1)
        .returning(health_links)
    )
    row = connection.execute(taken).mappings().one_or_none()
    if row is not None:
        return row
    used_up = sa.select(
        health_links.c.id, health_links.c.share_id, health_links.c.passcode_argon2, sa.literal(-1).label("tries_left")
    )
    return connection.execute(used_up.where(ours)).mappings().one_or_none()


def _give_back(connection: sa.Connection, number: int) -> None:
    connection.execute(
        sa.update(health_links).where(health_links.c.id == number).values(tries_left=health_links.c.tries_left + 1)
    )


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
